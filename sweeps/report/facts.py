"""The origin of a sweep's numbers: advice, warnings, environment, seed and spec, and the commands that check them."""

from collections.abc import Mapping
from importlib.metadata import version

from sweeps.commands import command
from sweeps.report.parts import Listing, Part, Section, Table
from sweeps.returning import to_finish, to_reproduce, to_resume
from sweeps.search.advice import advice
from sweeps.search.extension import searching_on
from sweeps.search.history import History
from sweeps.search.ranges import measured_ranges
from sweeps.search.standing import State
from sweeps.spec import SweepSpec


def advice_section(spec: SweepSpec, history: History, where: Mapping[str, str]) -> Section | None:
    """Return the section of advice and warnings.

    Args:
        spec: The spec of the sweep.
        history: The history of the sweep.
        where: The option with which commands find the results, by name.

    Returns:
        The section, or None if there is neither advice nor a warning.
    """
    warned = [
        (f"Trial {note.key.label}: " if note.key else "") + str(note.body["text"]) for note in history.noted("warning")
    ]
    points = (*map(str, advice(spec, history, where)), *dict.fromkeys(warned))
    return Section("advice", "Advice and warnings", points=points) if points else None


def commands(spec: SweepSpec, history: History, where: Mapping[str, str], state: State) -> str:
    """Return the commands that check the sweep and continue it.

    Args:
        spec: The spec of the sweep.
        history: The history of the sweep.
        where: The option with which commands find the results, by name.
        state: The state of the sweep; a running one is not resumed, and only a search that is over searches on.

    Returns:
        A command with a comment on each line.
    """
    known = [
        (command("verify", spec.name, **where), "computes every suggestion and decision again"),
        (to_reproduce(spec, where, 0 if spec.design else None), "trains a trial again, bit for bit"),
    ]
    if state != "running":
        known.append((to_finish(spec, history, where), "continues it, if there is anything left to do"))
    if state == "over" and not spec.design:
        more = searching_on(spec, history).split()
        known.append((to_resume(spec, where, *more), "searches on"))
    return "\n".join(f"{line}  # {what}" for line, what in known)


def facts_section(spec: SweepSpec, history: History, where: Mapping[str, str], state: State) -> Section:
    """Return the section of versions, seed, sessions, range tests, commands, environments, and the spec itself."""
    sessions = list(history.noted("session"))
    rows = [
        ("sweep", spec.name),
        ("package", f"nn-training-study {version('nn-training-study')}"),
        ("seed", str(spec.seed)),
        ("hash of the spec", spec.hash),
        ("rows in the ledger", f"{history.last.seq:,}"),
        ("sessions", str(len(sessions))),
        ("trials at a time", str(sessions[-1].body.get("slots", "–")) if sessions else "–"),
    ]
    for found in measured_ranges(history).values():
        rows.append(
            (f"range test of {found['optimizer']}", f"learning_rate from {found['low']:.2g} to {found['high']:.2g}")
        )
    parts: list[Part] = [
        Table(("what", "value"), tuple(rows), "This sweep"),
        Listing(commands(spec, history, where, state)),
    ]
    environments = [note.body["values"] for note in history.noted("environment")]
    for place, values in enumerate(environments, start=1):
        name = "Environment" if len(environments) == 1 else f"Environment {place} of {len(environments)}"
        parts.append(Table(("what", "value"), tuple((k, str(v)) for k, v in sorted(values.items())), name, name))
    parts.append(Listing(spec.to_toml(), "The spec as TOML"))
    return Section("facts", "Where this comes from, and how to check it", parts=tuple(parts))
