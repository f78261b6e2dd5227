"""Ray Tune as executor: a thin Searcher and a thin TrialScheduler hand the driver's legs to warm actors.

To Tune, a trial is a worker's stay in an actor, through one leg after another as long as there is one. A Tune trial per
leg would cost its set-up every time, and memory forever. The driver promotes, resumes and retries, so Tune neither
pauses nor restores anything. It places stays on free resources, reuses actors and reports when one died.
"""

import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import ray
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, TuneError, Tuner
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeps.execution import stopping
from sweeps.execution.messages import Leg, LegSource, Message, RangeLeg
from sweeps.execution.placing import Slots, is_drained
from sweeps.execution.spending import Profile
from sweeps.execution.stopping import StopWord
from sweeps.execution.worker import MESSAGE
from sweeps.search.history import TrialKey
from sweeps.search.ranges import RangeKey
from sweeps.signals import Stop

_START = 60.0  # s that an actor may take to start, including its imports, on a busy node
_Answer = TypeVar("_Answer")


class _Bridge:
    """The state that the Searcher and the scheduler share: the driver, and the first error it raised inside Tune."""

    def __init__(
        self,
        driver: LegSource,
        slots: Slots,
        stop: Stop,
        word: StopWord,
        profile: Profile,
        say: Callable[[str], None],
    ) -> None:
        self.driver = driver
        self.slots = slots
        self.profile = profile
        self._stop = stop
        self._word = word
        self._is_said = False
        self._say = say
        self._was_short = False
        self.error: BaseException | None = None
        self.actors: dict[Any, Any] = {}  # each actor, and its original method `train`
        self.holders: dict[TrialKey | RangeKey, Any] = {}  # the actor that has a leg now
        self._faults: dict[TrialKey | RangeKey, str] = {}  # why the actor of a leg was killed
        self._given: dict[TrialKey | RangeKey, float] = {}  # when Tune got a leg for which it has no actor yet, s
        self._started = 0.0  # when an actor last began with a first leg, s

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Pickle as a plain object, for a restore by Tune that never comes: a driver and its ledger can't be copied."""
        return object, ()

    def free_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """Return the driver's next leg, or "wait" if no more legs may be under way."""
        return self.driver.next_leg() if len(self.driver.live) < self.slots() else "wait"

    def suggested(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """Return the next leg for which Tune is to find an actor, or "wait" while another waits too long for one.

        Tune gives a free actor to any leg that waits, so a constant flow of new ones could make one wait forever.
        """
        leg = "wait" if self._is_short else self.free_leg()
        if not isinstance(leg, str):
            self._given[leg.key] = time.monotonic()
        return leg

    @property
    def _is_short(self) -> bool:
        """Return whether a leg waits longer for an actor than a start takes, such as if another job took its place.

        It does not count while other actors start: many start one after another, and an actor that Tune gives away,
        because its leg gets another's, has to start again.
        """
        return bool(self._waiting)

    @property
    def _waiting(self) -> int:
        now = time.monotonic()
        return sum(now - max(given, self._started) > _START for given in self._given.values())

    def tell_of_waiting(self) -> None:
        """Say, once per wait, why trials may wait for workers, so a sweep that waits does not seem to hang."""
        if self._is_short and not self._was_short:
            self._say(
                f"note: {self._waiting} of its trials have waited for more than {_START:.0f} s for a worker: either "
                "other sweeps keep the nodes to their end (see `sweeps list --address`), or workers start slowly"
            )
        self._was_short = self._is_short

    def hold(self, actor: Any, leg: Leg | RangeLeg) -> Any:
        """Note that an actor begins a leg, and return its `train`, named after the leg for the Ray dashboard.

        The name of an actor itself is fixed at its start, also if it is reused.
        """
        self.holders[leg.key] = actor
        if actor not in self.actors:
            self._started = time.monotonic()
        self._given.pop(leg.key, None)
        self.driver.began(leg.key)
        return self.actors.setdefault(actor, actor.train).options(name=leg.title)

    def gone(self, key: TrialKey | RangeKey, report: str, *, was_preempted: bool = False) -> None:
        """Note that the actor of a leg has died or did not start; `report` is what Ray says about it."""
        actor = self.holders.pop(key, None)
        self._given.pop(key, None)
        was_preempted = was_preempted or (actor is not None and is_drained(actor))
        self.driver.lost(key, self._faults.pop(key, "") or why_lost(report), was_preempted=was_preempted)

    def gives_up_node(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Give up the node of a worker that can't save, if only the node is at fault, and return whether it was.

        The trial then continues on another node. If this machine can't write either, the driver ends the sweep instead.
        """
        if message.kind != "unsaved" or not self.driver.can_save() or not self.slots.exclude(message.node):
            return False
        self._say(f"note: {message.reason}: no trial of this sweep is on that node any more")
        self._faults[key] = message.reason
        ray.kill(self.holders.pop(key))
        return True

    def hand_on(self, trial: Trial, *, ends_worker: bool = False) -> bool:
        """Give the next leg to the actor of one that is over; return False if there is none or the actor was killed.

        Return False also if the worker ends, or another leg waits: the stay ends, and Tune gives the actor to that.
        """
        actor = self.holders.pop(trial.config["leg"].key, None)
        leg = "wait" if actor is None or ends_worker or self._is_short else self.free_leg()
        if isinstance(leg, str):
            return False
        trial.config = {**trial.config, "leg": leg}
        actor.train = _Handing(actor, self.hold(actor, leg), leg)
        return True

    def call(self, ask: Callable[[], _Answer]) -> _Answer:
        """Call `ask`, and keep the first error as it was: Tune wraps errors of its plugins in its own."""
        try:
            return ask()
        except BaseException as error:
            self.error = self.error or error
            raise

    def answer(self, ask: Callable[[], _Answer]) -> _Answer:
        """Call `ask` while a worker waits for it, and add the driver's time to the profile."""
        driver = self.profile.driver
        driver.book("elsewhere")
        driver.told()
        try:
            return self.call(ask)
        finally:
            driver.book("deciding")
            self.profile.add(driver.told())

    def stop_when_asked(self) -> None:
        """Pass a stop to the workers, and raise KeyboardInterrupt once all have saved, or had time to."""
        if self._stop.asked is None:
            return
        if not self._is_said:
            self._is_said = True
            self.driver.stop()
            self._word.say()
            self._stop.tell("stopping: trials in training save what they have; once more stops at once")
        is_late = time.monotonic() - self._stop.asked > stopping.patience
        if is_late or not self.driver.live & self.holders.keys():  # a worker that is starting has nothing to save
            raise KeyboardInterrupt


@dataclass(frozen=True)
class _Handing:
    """An actor's `train` for one call by Tune, which passes no arguments: it gives the actor its next leg."""

    actor: Any
    train: Any
    leg: Leg | RangeLeg

    def remote(self) -> Any:
        self.actor.train = self.train
        return self.train.remote(self.leg)


class _LegSearcher(Searcher):
    """A Searcher that suggests the driver's next leg while a slot is free."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        leg = self._bridge.call(self._bridge.suggested)
        if leg == "finished":
            return Searcher.FINISHED
        return None if leg == "wait" else {"leg": leg, "away": self._bridge.slots.away}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler learns of ends first."""

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the searcher has no state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing, since nothing was kept."""


class _LegScheduler(TrialScheduler):
    """A scheduler that passes each message of a worker to the driver, and the driver's verdict to Tune."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge
        self._kept = Counter[Any]()  # idle actors that Tune keeps beyond its default, by their resources

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        # Tune keeps at most one idle actor, but between two legs several slots may be idle for a moment.
        asked = trial.placement_group_factory
        if (more := self._bridge.slots() - self._kept[asked]) > 0:
            tune_controller._actor_cache.increase_max(asked, by=more)
            self._kept[asked] += more

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        bridge, key, message = self._bridge, trial.config["leg"].key, result[MESSAGE]
        bridge.profile.add(message.spent)
        if bridge.call(lambda: bridge.gives_up_node(key, message)):
            return TrialScheduler.CONTINUE  # its dead actor can't, which Tune reports as an error
        ends = message.ends_worker
        goes_on = bridge.answer(lambda: bridge.driver.receive(key, message) or bridge.hand_on(trial, ends_worker=ends))
        # Tune would keep the results of all tasks of an actor until the actor's stay ends.
        tune_controller._actor_manager.clear_actor_task_futures(tune_controller._trial_to_actor[trial])
        if ends and not goes_on:  # otherwise Tune would give the actor to another trial and wait in vain
            tune_controller._started_actors.discard(tune_controller._trial_to_actor[trial])
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        key = trial.config["leg"].key
        report = Path(trial.error_file).read_text("utf-8") if trial.error_file else ""
        was_preempted = bool(getattr(trial.get_pickled_error(), "preempted", False))
        self._bridge.call(lambda: self._bridge.gone(key, report, was_preempted=was_preempted))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Do nothing: a stay ends by the driver's verdict."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Do nothing: trials are not removed."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return None, so Tune runs any trial that fits: the driver decides the order of legs."""
        return None

    def debug_string(self) -> str:
        return "driven by the sweep's ledger"

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the scheduler has no state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing, since nothing was kept."""


def why_lost(report: str) -> str:
    """Return the cause in Ray's report of a dead actor, in one line.

    If an actor's class can't be loaded, such as on a node that lacks a user's module, Ray raises its own error about
    that. The cause is the error reported within it.
    """
    errors = re.findall(r"^[\w.]+(?:Error|Exception|Exit|Interrupt): .+$", report, re.MULTILINE)
    causes = [error for error in errors if "failed to import on the worker" not in error]
    return causes[0] if causes else "its actor died"


class _Silent(ray.tune.ProgressReporter):
    """A reporter that replaces Tune's table, which a notebook would show empty: the sweep shows its own progress."""

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Do nothing; Tune never calls this."""


class _ActorCallback(ray.tune.Callback):
    """A callback that passes the actor of each new stay to the bridge, and kills actors that the driver gives up."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        actor: Any = trial.temporary_state.ray_actor
        if actor is not None:
            actor.train = self._bridge.call(lambda: self._bridge.hold(actor, trial.config["leg"]))
            self._bridge.profile.started()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Tune calls this several times a second, also when no worker reports.
        self._bridge.stop_when_asked()
        self._bridge.tell_of_waiting()
        self._bridge.profile.there(self._bridge.slots())
        for key in self._bridge.call(self._bridge.driver.overdue):
            if key in self._bridge.holders:  # otherwise its worker is still starting
                ray.kill(self._bridge.holders.pop(key))


@contextmanager
def _environment_of_actors(variables: Mapping[str, str]) -> Iterator[None]:
    """Start Tune's actors with these environment variables, and without this process's credentials.

    Libraries read the variables when they are loaded, so a worker could not set them itself. The AWS_… that Tune would
    add are left out: Ray shows them and writes them into its agents' logs, and a node has its own.
    """
    defaults, known = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS = {**defaults, **variables}
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in known if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = defaults, known


def execute(
    driver: LegSource,
    worker: Any,
    slots: Slots,
    stop: Stop,
    word: StopWord,
    profile: Profile,
    say: Callable[[str], None],
) -> None:
    """Run the sweep's legs until the driver has no more work, and raise what the driver raised.

    `slots` is asked how many legs may be under way whenever one may begin. `say` reports legs that wait for other work.
    Raise KeyboardInterrupt if `stop` was asked for: the workers then had `word` of it, and time to save.
    """
    bridge = _Bridge(driver, slots, stop, word, profile, say)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots())
    # Otherwise Tune would restart a trial of a preempted node by itself, after the driver was notified of its end.
    os.environ["RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE"] = "1"
    with tempfile.TemporaryDirectory(prefix="sweeps-tune-") as scratch:
        tuner = Tuner(
            worker,
            tune_config=TuneConfig(
                search_alg=_LegSearcher(bridge),
                scheduler=_LegScheduler(bridge),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.config["leg"].key.label,  # of the first leg
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=RunConfig(
                name=driver.spec.name,
                storage_path=scratch,
                verbose=0,
                progress_reporter=_Silent(),
                callbacks=[_ActorCallback(bridge)],
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        try:
            profile.opened(slots())
            with stop.gently(), _environment_of_actors(worker.variables):
                tuner.fit()
            bridge.stop_when_asked()  # it may come so late that all trials had ended
        except (TuneError, RuntimeError) as error:
            raise bridge.error or error from error
        except KeyboardInterrupt:
            for actor in bridge.actors:
                ray.kill(actor)
            raise
        finally:
            profile.closed()
            word.forget()
    if bridge.error:
        raise bridge.error
