"""Cautions about a sweep's settings that break no rule, but that a user should know before it runs."""

from collections.abc import Iterator

from search_spaces import Float, Int
from sweeps.direction import direction_by_name
from sweeps.spec import LARGEST_GRID, SweepSpec


def cautions(spec: SweepSpec) -> list[str]:
    """Return what is unusual about a sweep's settings, one line for each finding."""
    return [*_of_the_metric(spec), *_of_the_sampler(spec), *_of_the_space(spec)]


def _of_the_metric(spec: SweepSpec) -> Iterator[str]:
    if direction_by_name(spec.metric) not in (None, spec.direction):
        yield f"{spec.metric} is {spec.direction}d, as the spec says and its name does not: is that meant?"


def _of_the_sampler(spec: SweepSpec) -> Iterator[str]:
    if spec.sampler.name == "gp" and spec.pruning.name != "none":
        yield "the sampler gp learns only from trials that come to full fidelity, and pruning leaves few of them"


def _of_the_space(spec: SweepSpec) -> Iterator[str]:
    if spec.design:
        return
    if repeated := len(spec.start) + 1 - len(spec.starting_points):
        yield f"start: {repeated} of its points are the baseline or listed twice: they are tried once"
    for name, one in spec.space.parameters.items():
        if isinstance(one, Float | Int) and one.written_high is not None:
            yield f"{name}: steps of {one.step!r} do not reach {one.written_high!r}: its range ends at {one.high!r}"
    if not spec.space.is_finite:
        return
    count = spec.space.count(min(spec.trials, LARGEST_GRID))
    if count < spec.trials and count <= LARGEST_GRID:
        yield (
            f"the space has {count:,} configurations for {spec.trials:,} trials: once all are tried, further trials "
            "repeat them on other seeds"
        )
