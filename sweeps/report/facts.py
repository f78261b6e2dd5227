"""Where a sweep's numbers come from: warnings, environment, seed and spec, and the commands that check them."""

from importlib.metadata import version

from sweeps.report.parts import Listing, Part, Section, Table
from sweeps.search.advice import advice
from sweeps.search.extension import searching_on
from sweeps.search.history import History
from sweeps.search.ranges import measured_ranges
from sweeps.search.standing import State
from sweeps.spec import SweepSpec


def advice_section(spec: SweepSpec, history: History, option: str) -> Section | None:
    """What to do next, and what was warned of; None where there is nothing. option: as of `commands`."""
    warned = [
        (f"Trial {note.key.label}: " if note.key else "") + str(note.body["text"]) for note in history.noted("warning")
    ]
    points = (*map(str, advice(spec, history, option)), *dict.fromkeys(warned))
    return Section("advice", "Advice and warnings", points=points) if points else None


def commands(spec: SweepSpec, history: History, option: str, state: State) -> str:
    """What to type to check the sweep, and to go on with it. option: where its results are, "" for the default."""
    known = [
        (f"sweeps verify {spec.name}{option}", "computes every suggestion and decision again"),
        (
            f"sweeps reproduce {spec.name}{' --trial 0' if spec.design else ''}{option}",
            "trains a trial again, bit for bit",
        ),
    ]
    if state != "running":
        known.append((f"sweeps resume {spec.name}{option}", "goes on, if there is anything left to do"))
    if state == "over" and not spec.design:
        known.append((f"sweeps resume {spec.name} {searching_on(spec, history)}{option}", "searches on"))
    return "\n".join(f"{command}  # {what}" for command, what in known)


def facts_section(spec: SweepSpec, history: History, option: str, state: State) -> Section:
    """Versions, seed, environments and the spec itself."""
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
        Listing(commands(spec, history, option, state)),
    ]
    environments = [note.body["values"] for note in history.noted("environment")]
    for place, values in enumerate(environments, start=1):
        name = "Environment" if len(environments) == 1 else f"Environment {place} of {len(environments)}"
        parts.append(Table(("what", "value"), tuple((k, str(v)) for k, v in sorted(values.items())), name, name))
    parts.append(Listing(spec.to_toml(), "The spec as TOML"))
    return Section("facts", "Where this comes from, and how to check it", parts=tuple(parts))
