"""Callables of all kinds, with and without the properties of a target, and objects that they hold."""

import functools
import threading


def plain(params, seed):
    yield {"loss": params["x"]}


def with_checkpoint(params, seed, checkpoint):
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_default_checkpoint(params, seed, checkpoint=None):
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_named_checkpoint(params, seed, *, checkpoint):
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_named_default_checkpoint(params, seed, *, verbose=False, checkpoint=None):
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_checkpoint_by_position(params, seed, checkpoint, /):
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_options(params, seed, *, verbose=False):
    yield {"loss": params["x"]}


def with_keywords(params, seed, **options):
    assert options == {}
    yield {"loss": params["x"]}


def with_named_seed(params, *, seed):
    assert seed == 3
    yield {"loss": params["x"]}


def with_names_alone(*, seed, checkpoint, params):
    assert seed == 3
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def with_any(*arguments):
    params, _ = arguments
    yield {"loss": params["x"]}


def with_other_default(params, seed, target=0.0):
    assert target == 0.0
    yield {"loss": params["x"]}


def with_data(params, seed, data):
    assert data == 0.5
    yield {"loss": params["x"]}


def with_data_first(data, params, seed, checkpoint=None):
    assert data == 0.5
    yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}


def timed(function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        return function(*arguments, **named)

    return wrapper


decorated = timed(plain)


class Trainer:
    """An object that holds what a training needs, and has several methods that train."""

    def __init__(self, held=None):
        self.held = held

    def __call__(self, params, seed):
        yield {"loss": params["x"]}

    def fit(self, params, seed, checkpoint=None):
        yield {"loss": params["x"], "checkpoint": {"given": checkpoint}}

    @classmethod
    def made(cls, params, seed):
        yield {"loss": params["x"]}

    @staticmethod
    def alone(params, seed):
        yield {"loss": params["x"]}


class Method:
    """A class whose function needs an instance."""

    def train(self, params, seed):
        yield {"loss": params["x"]}


class Static:
    """A callable object whose function needs no instance."""

    @staticmethod
    def __call__(params, seed):
        yield {"loss": params["x"]}


def needs_a_third(params, seed, verbose):
    yield {"loss": params["x"]}


def needs_more(params, seed, checkpoint, data):
    yield {"loss": params["x"]}


def needs_a_name(params, seed, *, data):
    yield {"loss": params["x"]}


def needs_less(params):
    yield {"loss": params["x"]}


async def waits(params, seed):
    yield {"loss": params["x"]}


def closing_over(value):
    def inner(params, seed):
        yield {"loss": params["x"], "held": bool(value)}

    return inner


lock = threading.Lock()
