"""A user's function as a target: its checks, its call, its name, and how it is sent to the workers."""

import difflib
import hashlib
import importlib
import importlib.machinery
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from search_spaces.space import hint
from sweeps.errors import SpecError
from sweeps.execution.failures import place_of

Function = Callable[..., Iterator[Mapping[str, Any]]]

CHECKPOINT = "checkpoint"  # the key under which a function yields its checkpoint, and the parameter that takes it
LARGEST = 64 * 2**20  # bytes of a pickled function; Ray refuses 100 MB
MAIN, _SPAWNED = "__main__", "__mp_main__"  # a script's module, and its name in a process that multiprocessing spawned
_OURS = ("search_spaces", "study", "sweeps")
# This package imports these after the working directory is on the path: a user's module of the same name would hide it.
_LIBRARIES = (
    "grpc",
    "matplotlib",
    "numpy",
    "optuna",
    "pandas",
    "psutil",
    "psycopg",
    "pyarrow",
    "pydantic",
    "ray",
    "rich",
    "scipy",
    "sqlalchemy",
    "torch",
    "torchvision",
    "typer",
)
_RULE = "a target is a generator function of (params, seed), or of (params, seed, checkpoint) if it can continue"


_GIVEN = ("params", "seed")


def check_function(function: Function) -> Function:
    """Return the function, or raise SpecError if it can't be a target."""
    if not callable(function):
        named = ': the spec takes a name, as target = "module:function"' if isinstance(function, str) else ""
        raise SpecError(f"{_RULE}, but got {function!r}{named}")
    try:
        signature = _signature(function)
    except (TypeError, ValueError) as error:
        if isinstance(function, partial) and error.__cause__:
            raise SpecError(f"functools.partial binds what {function.func!r} can't take: {error.__cause__}") from error
        raise SpecError(f"a target must be a Python function, but got {function!r}") from error
    if inspect.isasyncgenfunction(_code_of(function)):
        raise SpecError(f"{_RULE}, but {function_name(function)}{signature} is asynchronous: define it without async")
    if not inspect.isgeneratorfunction(_code_of(function)):
        raise SpecError(
            f"{_RULE}: it yields dicts of metrics, but {function_name(function)}{signature} has no yield; one "
            "that calls a generator writes `yield from`"
        )
    if _way_to_pass(function) is None:
        raise SpecError(
            f"{_RULE}, but got {function_name(function)}{signature}: give its other parameters a default, "
            "or bind them with functools.partial"
        )
    return function


def takes_checkpoint(function: Function) -> bool:
    """Return whether a function can continue from what it yielded as its checkpoint."""
    way = _way_to_pass(function)
    return way is not None and CHECKPOINT in (*way[0], *way[1])


def call(function: Function, params: Mapping[str, Any], seed: int, checkpoint: object) -> Iterator[Mapping[str, Any]]:
    """Start the generator of a function that was checked.

    Args:
        function: The target.
        params: The parameters of the trial, which the function gets as a dict.
        seed: The seed of the trial.
        checkpoint: The checkpoint to continue from, or None. It is passed only to a function with a parameter for it.

    Returns:
        The iterator over the reports that the function yields.
    """
    values = {"params": dict(params), "seed": seed, CHECKPOINT: checkpoint}
    way = _way_to_pass(function)
    assert way is not None, "a target was checked"
    return iter(function(*(values[name] for name in way[0]), **{name: values[name] for name in way[1]}))


def _way_to_pass(function: Function) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the names of the values passed by position and of those passed by name, or None if no way fits.

    A checkpoint is passed to the parameter of that name.
    """
    signature = _signature(function)
    given = signature.parameters
    bound = function.keywords if isinstance(function, partial) else {}
    by_name = {name for name, one in given.items() if one.kind is one.KEYWORD_ONLY and name not in bound}
    named = tuple(name for name in _GIVEN if name in by_name)
    first = tuple(name for name in _GIVEN if name not in named)
    ways = [(first, named)]
    if (own := given.get(CHECKPOINT)) is not None and CHECKPOINT not in bound:
        is_by_position = own.kind is own.POSITIONAL_ONLY
        ways.insert(0, ((*first, CHECKPOINT), named) if is_by_position else (first, (*named, CHECKPOINT)))
    return next((way for way in ways if _takes(signature, way)), None)


def _signature(function: Function) -> inspect.Signature:
    """Return the signature of a function; `inspect` would take the first parameter of a static __call__ for self."""
    is_static = isinstance(inspect.getattr_static(type(function), "__call__", None), staticmethod)
    return inspect.signature(function.__call__ if is_static else function)  # type: ignore[operator]


def _takes(signature: inspect.Signature, way: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    """Return whether a function can be called with these arguments by position and by name."""
    try:
        signature.bind(*way[0], **dict.fromkeys(way[1]))
    except TypeError:
        return False
    return True


def _code_of(function: Any) -> Any:
    """Return the plain function inside partials, bound methods, callable objects and decorators."""
    while True:
        if isinstance(function, partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not inspect.isroutine(function) and not inspect.isclass(function) and callable(function):
            function = type(function).__call__
        else:
            return function


def function_name(function: Any) -> str:
    """Return the name "module:function", with <...> in it if no import leads to this very object."""
    if isinstance(function, partial):
        return f"{function_name(function.func)}.<partial>"
    if isinstance(function, MethodType) and not inspect.isclass(function.__self__):
        return f"{function_name(function.__func__)}.<bound>"
    name = getattr(function, "__qualname__", None)
    if name is None:
        function, name = type(function), f"{type(function).__qualname__}.<instance>"
    return f"{MAIN if function.__module__ == _SPAWNED else function.__module__}:{name}"


def source_hash(function: Function) -> str:
    """Return the SHA-256 of a function's source text in hex, or of its whole class for a method or an object.

    The plain values that a `functools.partial` binds count as source. Helper functions do not.

    Raises:
        OSError: There is no source, such as for a function that was typed into an interpreter.
    """
    return hashlib.sha256(_source_of(function).encode()).hexdigest()


def _source_of(function: Function) -> str:
    if isinstance(function, partial):
        bound = [*enumerate(function.args), *sorted(function.keywords.items())]
        plain = [(name, value) for name, value in bound if isinstance(value, bool | int | float | str | bytes | None)]
        return f"{_source_of(function.func)}{plain or ''}"
    own: Any = function
    if isinstance(own, MethodType) and not inspect.isclass(own.__self__):
        own = type(own.__self__)
    elif not inspect.isroutine(own) and not inspect.isclass(own):
        own = type(own)
    return inspect.getsource(own)


def resolve(target: str) -> Function:
    """Return the function that "module:function" names, also from a module in the working directory.

    Raises:
        SpecError: The name is malformed, nothing can be imported by it, or what it names can't be a target.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise SpecError(f"target is written 'module:function', but got {target!r}")
    if "<" in name or (module_name == MAIN and not hasattr(sys.modules[MAIN], name.partition(".")[0])):
        raise SpecError(
            f"the target {target!r} was defined in a script: run or resume the sweep from that script, "
            "with sweeps.resume(..., target=...), or load it with sweeps.load(..., target=...)"
        )
    if os.getcwd() not in sys.path:
        check_ours()
        sys.path.insert(0, os.getcwd())
    found: Any = _imported(module_name)
    for part in name.split("."):
        public = [known for known in vars(found) if not known.startswith("_")] if hasattr(found, "__dict__") else []
        if not hasattr(found, part):
            raise SpecError(f"no function {name!r} in the module {module_name!r}{hint(name, public)}")
        found = getattr(found, part)
    if not callable(found):
        raise SpecError(f"the target {target!r} is a {type(found).__name__} and no function: {_RULE}")
    return check_function(found)


def _imported(name: str) -> ModuleType:
    """Import a target's module, or raise SpecError with its name and what is wrong with it."""
    check_hidden(name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module's own code may raise anything
        if isinstance(error, ModuleNotFoundError) and name.startswith(f"{error.name}"):
            here = difflib.get_close_matches(name, [file.stem for file in Path.cwd().glob("*.py")], n=1)
            near = f"did you mean {here[0]!r}? Else start" if here else "start"
            raise SpecError(
                f"the target's module {name!r} can't be imported ({error}): {near} from the folder that holds it, "
                "or name that with `sweeps submit --code`"
            ) from error
        raise SpecError(f"the target's module {name!r} can't be imported: {_in_a_line(error)}") from error


def _in_a_line(error: BaseException) -> str:
    """Return in one line what was raised, and where."""
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = place_of(error) or f"{last.filename}:{last.lineno}"
    return f"{type(error).__name__}{f': {text}' if text else ''} ({place}): mend that first"


def check_hidden(name: str, *others: str) -> None:
    """Raise SpecError if a module in the working directory has the name of another that Python takes instead."""
    for top in dict.fromkeys(one.partition(".")[0] for one in (name, *others)):
        here = importlib.machinery.PathFinder.find_spec(top, [os.getcwd()])
        taken = sys.modules.get(top)
        if here is None or here.origin is None or taken is None or top == MAIN:
            continue
        theirs = getattr(taken, "__file__", None)
        if theirs is None or not _is_same(theirs, here.origin):
            whose = "this package" if top in _OURS else "Python" if top in sys.stdlib_module_names else theirs
            raise SpecError(
                f"your module {_shown(here.origin)} can't be used, since a module of {whose} has the name {top!r}: "
                "rename your file"
            )


def check_ours() -> None:
    """Raise SpecError if a module in the working directory hides one of this package or of a library that it needs."""
    check_hidden(*_OURS)
    here = Path.cwd()
    for file in (file for name in _LIBRARIES for file in (f"{name}.py", f"{name}/__init__.py")):
        if (here / file).is_file():
            name = file.removesuffix("/__init__.py").removesuffix(".py")
            raise SpecError(
                f"your module {file} can't be used, since a library that sweeps need has the name {name!r}: rename "
                "your file"
            )


def _is_same(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _shown(path: str) -> str:
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def pickled(function: Function) -> bytes:
    """Return a function as the bytes that are sent to other processes.

    Raises:
        SpecError: The function can't be pickled, or it takes more than `LARGEST` bytes.
    """
    from ray import cloudpickle

    if (spawned := sys.modules.get(_SPAWNED)) is not None:  # like the main module, no other process can import it
        cloudpickle.register_pickle_by_value(spawned)  # type: ignore[no-untyped-call]
    try:
        found: bytes = cloudpickle.dumps(function)  # type: ignore[no-untyped-call]
    except Exception as error:  # objects in the function may raise anything
        part, why = _first_unpicklable(function) or ("it", error)
        raise SpecError(
            f"the target {function_name(function)} can't be sent to workers: {part} can't be pickled "
            f"({' '.join(str(why).split())}): make it inside the function"
        ) from error
    if len(found) > LARGEST:
        parts = {part: len(cloudpickle.dumps(value)) for part, value in _parts(function).items()}  # type: ignore[no-untyped-call]
        most = max(parts, key=lambda part: parts[part], default="")
        of = f", {parts[most] / 2**20:,.0f} MiB of them {most}" if most else ""
        raise SpecError(
            f"the target {function_name(function)} is too large to be sent to workers: it holds "
            f"{len(found) / 2**20:,.0f} MiB, of {LARGEST // 2**20} at most{of}: load it from a file inside the function"
        )
    return found


def _first_unpicklable(function: Function) -> tuple[str, Exception] | None:
    """Return the first part of a function that can't be pickled, in words, and why; or None if there is none."""
    from ray import cloudpickle

    for part, value in _parts(function).items():
        try:
            cloudpickle.dumps(value)  # type: ignore[no-untyped-call]
        except Exception as error:
            return f"{part}, a {type(value).__name__},", error
    return None


def _parts(function: Any) -> dict[str, Any]:
    """Return what is sent along with a function, by name: bound arguments, attributes and variables from outside."""
    parts: dict[str, Any] = {}
    while isinstance(function, partial):
        parts |= {f"its argument {place + 1}": value for place, value in enumerate(function.args)}
        parts |= {f"its argument {name!r}": value for name, value in function.keywords.items()}
        function = function.func
    owner = function.__self__ if isinstance(function, MethodType) else function
    if not inspect.isroutine(owner) and not inspect.isclass(owner) and hasattr(owner, "__dict__"):
        parts |= {f"its attribute {name!r}": value for name, value in vars(owner).items()}
    code = _code_of(function)
    if inspect.isfunction(code):
        outside = inspect.getclosurevars(code)
        by_value = code.__module__ in (MAIN, _SPAWNED) or "<locals>" in code.__qualname__
        names = {**outside.nonlocals, **(outside.globals if by_value else {})}
        parts |= {f"its variable {name!r}": value for name, value in names.items()}
    return parts
