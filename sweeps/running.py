"""A sweep from its spec to its outcome: new or resumed, on this machine's Ray, with one driver at a time."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from study.data import DataError
from study.files import replacing
from sweeps.cautions import cautions
from sweeps.errors import InterruptedSweepError, LedgerError, SpecError, SweepError
from sweeps.execution.driver import Driver
from sweeps.execution.functions import (
    Function,
    check_ours,
    function_name,
    pickled,
    resolve,
    source_hash,
    takes_checkpoint,
)
from sweeps.execution.session import only_one, session
from sweeps.execution.spending import Profile
from sweeps.report.following import Follower
from sweeps.returning import how_to_continue
from sweeps.search.earlier import NOTE as WARM_START
from sweeps.search.extension import Changes, as_extended
from sweeps.search.history import History, Noted
from sweeps.search.standing import is_over
from sweeps.signals import Stop, stop_signals
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.lease import is_held, lease
from sweeps.store.ledger import Ledger
from sweeps.store.places import new_place, place_of, remember
from sweeps.terminal.metrics import Meter
from sweeps.terminal.progress import Progress
from sweeps.terminal.screen import Form, check_form
from sweeps.terminal.selecting import SelectionCosts
from sweeps.watching import attempt, draw, draw_profile, say_warning, watched_by


@only_one()
def start(
    spec: SweepSpec,
    folder: SweepFolder,
    function: Function | None,
    data_dir: Path | None,
    form: Form,
    *,
    verbose: bool,
    note: str = "",
    ledger_url: str | None = None,
    profiled: bool = False,
) -> None:
    """Run a new sweep to its end; raise LedgerError if its folder has one already.

    `note` is printed first. With `profiled`, the end shows and draws where the time went.
    """
    begun = perf_counter()
    check_form(form)
    function = _target_of(spec, function)
    spec, notices = as_it_can_be_pruned(spec, function)
    place = new_place(folder, ledger_url)
    folder.create()
    with lease(folder.lease, spec.name):
        _write_spec(folder, spec)
        with closing(Ledger.create(place, spec)) as ledger:
            remember(folder, place)
            folder.send()
            try:
                _drive(
                    Driver(spec, folder, ledger),
                    ledger,
                    function,
                    data_dir,
                    form,
                    verbose=verbose,
                    note=note,
                    notices=notices,
                    ledger_url=ledger_url,
                    profiled_from=begun if profiled else None,
                )
            except (SweepError, DataError) as error:
                # Refused before anything began: there is nothing to resume, so the name becomes free again.
                if not _may_have_rows(ledger) and not isinstance(error, InterruptedSweepError):
                    ledger.remove()
                    folder.drop(folder.path)
                raise


def _target_of(spec: SweepSpec, function: Function | None) -> Function | None:
    """Return a sweep's function, or None if it trains the study's models; raise SpecError if it can't be imported."""
    function = function or (resolve(spec.target) if spec.target else None)
    if function is not None:
        check_ours()
    return function


def as_it_can_be_pruned(spec: SweepSpec, function: Function | None) -> tuple[SweepSpec, list[str]]:
    """Return the spec, with pruning by `stop` if its function cannot continue, and notices of that change.

    Promoting a trial that has no checkpoint would train it again from its start.
    """
    is_promoting = spec.pruning.name != "none" and spec.pruning.variant == "promote"
    if function is None or not is_promoting or takes_checkpoint(function):
        return spec, []
    stopping = spec.model_copy(update={"pruning": spec.pruning.model_copy(update={"variant": "stop"})})
    return stopping, [
        f"{function_name(function)} takes no checkpoint, so that a trial can't continue after a pause: pruned ones are "
        'stopped for good, as with pruning.variant = "stop"'
    ]


def _may_have_rows(ledger: Ledger) -> bool:
    try:
        return bool(ledger.rows())
    except LedgerError:
        return True  # unknown now, and the error that is being raised says why


def _write_spec(folder: SweepFolder, spec: SweepSpec) -> None:
    with replacing(folder.spec) as temporary:
        temporary.write_text(f"# What ran; hash {spec.hash}\n{spec.to_toml()}", "utf-8")


@only_one()
def go_on(
    folder: SweepFolder,
    function: Function | None,
    data_dir: Path | None,
    form: Form,
    *,
    verbose: bool,
    changes: Changes,
    at_most: int | None = None,
    ledger_url: str | None = None,
    profiled: bool = False,
) -> None:
    """Run an interrupted sweep to its end, or a sweep that is changed to its new end.

    `at_most` limits the trials at a time if the spec allows more. `profiled` is as for `start`.
    """
    begun = perf_counter()
    check_form(form)
    place = place_of(folder, ledger_url)
    folder.create()
    with lease(folder.lease, folder.name), closing(Ledger.open(place)) as ledger:
        folder.refresh()
        remember(folder, place)
        if (changed := ledger.first_changed()) is not None:
            rest = folder.command("export", to="saved")
            raise LedgerError(f"the ledger of {folder.name!r} is damaged ({changed}): `{rest}` saves the rest")
        history, first = ledger.history(), ledger.spec()
        spec = folder.named(as_extended(first, history))
        _check_bound(spec, at_most)
        function = _target_of(spec, function)
        if changes.wanted is not None:
            changes = replace(changes, wanted=as_it_can_be_pruned(changes.wanted, function)[0])
        rows = []
        for row in changes.rows(first, history):
            history.apply(ledger.append(row), row)
            rows.append(row)
        spec = folder.named(as_extended(first, history))
        _write_spec(folder, spec)  # always, since a kill may have struck between an earlier row and its spec
        folder.send()
        _drive(
            Driver(spec, folder, ledger, history=history),
            ledger,
            function,
            data_dir,
            form,
            verbose=verbose,
            note=changes.in_words(rows),
            at_most=at_most,
            ledger_url=ledger_url,
            profiled_from=begun if profiled else None,
        )


def _check_bound(spec: SweepSpec, at_most: int | None) -> None:
    if at_most is not None and (at_most < 1 or spec.deterministic):
        rule = "give 1 or more" if at_most < 1 else "a deterministic sweep has the one in its spec: leave it out"
        raise SpecError(f"concurrency: {rule}, but got {at_most}")


def _drive(
    driver: Driver,
    ledger: Ledger,
    function: Function | None,
    data_dir: Path | None,
    form: Form,
    *,
    verbose: bool,
    note: str = "",
    notices: Sequence[str] = (),
    at_most: int | None = None,
    ledger_url: str | None = None,
    profiled_from: float | None = None,
) -> None:
    progress = Progress(driver.spec, driver.folder, driver.history, form, verbose=verbose)
    driver.observe = watched_by(progress.say, progress.observe)
    ledger.say = progress.say
    with progress.shown():
        _drive_in_sight(
            driver,
            ledger,
            function,
            data_dir,
            progress,
            verbose=verbose,
            note=note,
            notices=notices,
            at_most=at_most,
            ledger_url=ledger_url,
            profiled_from=profiled_from,
        )


def _drive_in_sight(
    driver: Driver,
    ledger: Ledger,
    function: Function | None,
    data_dir: Path | None,
    progress: Progress,
    *,
    verbose: bool,
    note: str,
    notices: Sequence[str],
    at_most: int | None,
    ledger_url: str | None,
    profiled_from: float | None,
) -> None:
    from sweeps.execution.conclusion import save_tables

    progress.begin()
    if note:
        progress.say(f"note: {note}")
    from sweeps.store.earlier import read_warm_start

    spec, folder = driver.spec, driver.folder
    profile = Profile(driver.spent, profiled_from or 0.0)
    if is_over(spec, driver.history):
        # They are written again, since a kill may have struck between the outcome and these files.
        progress.wait_for("writing tables and report")
        save_tables(folder, spec, driver.history, partial(say_warning, progress.say))
        draw(driver, "over", progress.say, ledger_url)
        progress.was_over()
        if profiled_from is not None:
            draw_profile(profile, folder, progress.say)
        return
    data_dir = data_dir or recorded_data_dir(driver.history)
    notes = [read_warm_start(spec, place, Path(folder.home)) for place in _unread(spec, driver.history)]
    said = {note.body["text"] for note in driver.history.noted("warning")}
    if (changed := _changed_source(function, driver.history)) is not None:
        notes.append(Noted("warning", {"text": changed}))
    warnings = (*notices, *cautions(spec), *ledger.cautions)
    notes += [Noted("warning", {"text": warning}) for warning in warnings if warning not in said]
    stop = Stop(progress.say)
    try:
        # Ray's output goes to standard error: standard output is for the sweep alone, and a program may read it.
        # The signal handlers are set twice, since starting Ray replaces the one for SIGTERM.
        with (
            redirect_stdout(sys.stderr),
            stop_signals(stop),
            session(*spec.every_resources, verbose=verbose) as ready,
            stop_signals(stop),
        ):
            bound = min(filter(None, (spec.at_a_time, at_most)), default=None)
            slots = min(ready.slots, bound or ready.slots)
            progress.opened(ready, slots)
            fresh = min(filter(None, (ready.selection_slots or ready.slots, bound)))
            facts = {**_session_facts(function, data_dir, slots, ready.dashboard), "selection_slots": fresh}
            follower = Follower(folder.shown, progress.say, ledger_url)
            meter = Meter(spec, driver.history, progress.summary)
            costs = SelectionCosts(spec, driver.history, fresh, progress.say).observe
            driver.observe = watched_by(
                progress.say, progress.observe, costs, meter.observe, lambda *_: follower.look()
            )
            with closing(follower):
                _run(driver, function, data_dir, facts, progress, notes, stop, profile, bound)
            attempt("metrics", partial(meter.settle, driver.clock()), "another session", progress.say)
            progress.wait_for("drawing figures and report")
            draw(driver, "over", progress.say, ledger_url)
            progress.wait_for("ending Ray")
        if profiled_from is not None:
            draw_profile(profile, folder, progress.say)
    except (KeyboardInterrupt, SystemExit):  # Ray raises SystemExit on SIGTERM while it starts
        progress.wait_for("writing tables and report")
        save_tables(folder, spec, driver.history, partial(say_warning, progress.say))
        folder.send()  # before drawing, since a job that is stopped is soon killed
        draw(driver, "stopped", progress.say, ledger_url)
        if profiled_from is not None:
            draw_profile(profile, folder, progress.say)
        how = how_to_continue(spec, folder.home)
        raise InterruptedSweepError(f"stopped; everything reported is kept: {how}") from None


def _unread(spec: SweepSpec, history: History) -> tuple[str, ...]:
    """Return the earlier sweeps whose trials are not in the ledger yet."""
    read = {note.body["place"] for note in history.noted(WARM_START)}
    return tuple(place for place in spec.warm_start if place not in read)


def _run(
    driver: Driver,
    function: Function | None,
    data_dir: Path | None,
    facts: Mapping[str, Any],
    progress: Progress,
    notes: list[Noted],
    stop: Stop,
    profile: Profile,
    bound: int | None,
) -> None:
    from sweeps.execution.conclusion import conclude
    from sweeps.execution.ordering import InOrder
    from sweeps.execution.placing import Slots
    from sweeps.execution.sharing import check_shared, make_mark
    from sweeps.execution.staging import stage
    from sweeps.execution.stopping import StopWord
    from sweeps.execution.tune import execute
    from sweeps.execution.worker import worker_class

    spec = driver.spec
    mark = make_mark(driver.folder)
    check_shared(mark)
    progress.wait_for("loading data")
    if function is not None:
        pickled(function)  # SpecError if it cannot be sent to workers
    data = stage(spec, data_dir)
    driver.start(facts, *notes)
    source = InOrder(driver) if spec.deterministic else driver
    progress.wait_for("")
    for stages in spec.parts:
        driver.stages, own, word = stages, spec.for_stage(stages[0]), StopWord()
        slots = Slots(own.resources, bound, progress.say, spares_gpus=own.resources.spares(spec.resources))
        execute(source, worker_class(own, function, data, word, mark), slots, stop, word, profile, progress.say)
    progress.wait_for("choosing the winner, scoring it and writing tables")
    conclude(driver, data, data_dir, slots(), slots.away)


def _source_hash(function: Function | None) -> str | None:
    try:
        return source_hash(function) if function is not None else None
    except (OSError, TypeError):
        return None  # typed into an interpreter: there is no source to hash


def _changed_source(function: Function | None, history: History) -> str | None:
    """Return a warning if the function's source has changed since the last session that recorded it, or None."""
    before = next((note.body.get("source_hash") for note in reversed([*history.noted("session")])), None)
    now = _source_hash(function)
    if before is None or now is None or before == now:
        return None
    return "the function or a value bound to it was changed since the last session: trials before and after may differ"


def _session_facts(
    function: Function | None, data_dir: Path | None, slots: int, dashboard: str | None
) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"slots": slots, "data_dir": str(data_dir) if data_dir else None, "dashboard": dashboard}
    if function is not None:
        facts["source_hash"] = _source_hash(function)
    return facts


def recorded_data_dir(history: History) -> Path | None:
    """Return the folder of data sets that the last session used, or None for the default one."""
    found = [note.body.get("data_dir") for note in history.noted("session")]
    return Path(found[-1]) if found and found[-1] else None


def new_folder(
    results: Path, spec: SweepSpec, *, name_was_given: bool, ledger_url: str | None = None
) -> tuple[SweepFolder, SweepSpec]:
    """Return a free folder and its spec; the spec's own name gets -2, -3, … if taken, a given one raises SpecError."""
    folder = SweepFolder(results, spec.name)
    if not is_taken(folder, ledger_url):
        return folder, spec
    if name_was_given:
        is_here = folder.holds_sweep or is_held(folder.lease)
        where = folder.home if is_here else new_place(folder, ledger_url)
        how = how_to_continue(spec, folder.home) + ("" if is_here else " and this --ledger")
        raise SpecError(f"there is a sweep named {spec.name!r} in {where}: {how}, or choose another --name")
    number = 2
    while is_taken(SweepFolder(results, f"{spec.name}-{number}"), ledger_url):
        number += 1
    renamed = spec.model_copy(update={"name": f"{spec.name}-{number}"})
    return SweepFolder(results, renamed.name), renamed


def is_taken(folder: SweepFolder, ledger_url: str | None) -> bool:
    """Return whether a sweep is there; a kill before the first commit leaves a folder without ledger and driver."""
    return folder.holds_sweep or is_held(folder.lease) or new_place(folder, ledger_url).exists()
