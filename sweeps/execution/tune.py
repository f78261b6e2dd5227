"""Ray Tune as executor: a thin Searcher and a thin TrialScheduler hand the driver's legs to warm actors.

To Tune a trial is a worker's stay in an actor, through one leg after another for as long as there is one: a Tune trial
for each leg would cost its set-up every time, and memory for good. Promotion, resume and retry are the driver's, so
Tune neither pauses nor restores anything; it places stays on free resources, reuses actors and says when one died.
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

_START = 60.0  # s that an actor may take to start, with what it imports, on a busy node
_Answer = TypeVar("_Answer")


class _Bridge:
    """What the Searcher and the scheduler share: the driver, and the first error it raised inside Tune."""

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
        self.actors: dict[Any, Any] = {}  # each actor, and its method `train` as it was made
        self.holders: dict[TrialKey | RangeKey, Any] = {}  # which actor has a leg now
        self._faults: dict[TrialKey | RangeKey, str] = {}  # why the actor of a leg was killed
        self._given: dict[TrialKey | RangeKey, float] = {}  # when Tune was given what it has no actor for yet, s
        self._started = 0.0  # when an actor had its first leg last, s

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles its plugins for a restore that never comes; a driver and its ledger can't be copied."""
        return object, ()

    def free_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """The driver's next leg, if it may have one more under way."""
        return self.driver.next_leg() if len(self.driver.live) < self.slots() else "wait"

    def suggested(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """The same for Tune, which looks for an actor for it; none while another waits too long for one.

        Tune gives a free actor to any that waits: were there ever new ones, one could wait for good.
        """
        leg = "wait" if self._is_short else self.free_leg()
        if not isinstance(leg, str):
            self._given[leg.key] = time.monotonic()
        return leg

    @property
    def _is_short(self) -> bool:
        """Whether a leg waits for an actor for longer than one takes to start, as where another job took its place.

        Not while other actors come: many start one after another, and one that Tune gives away, because its leg gets
        another's, has to start again.
        """
        return bool(self._waiting)

    @property
    def _waiting(self) -> int:
        now = time.monotonic()
        return sum(now - max(given, self._started) > _START for given in self._given.values())

    def tell_of_waiting(self) -> None:
        """Say, once a wait, that other work has the places, lest a sweep that waits for its turn seem to hang."""
        if self._is_short and not self._was_short:
            self._say(
                f"note: {self._waiting} of its trials wait for a place, since other work occupies the nodes: a sweep "
                "keeps its places to its end, see `sweeps list --address`"
            )
        self._was_short = self._is_short

    def hold(self, actor: Any, leg: Leg | RangeLeg) -> Any:
        """An actor has begun with a leg; gives its method `train`, named after that for the Ray dashboard.

        A reused actor's own name is fixed at its start.
        """
        self.holders[leg.key] = actor
        if actor not in self.actors:
            self._started = time.monotonic()
        self._given.pop(leg.key, None)
        self.driver.began(leg.key)
        return self.actors.setdefault(actor, actor.train).options(name=leg.title)

    def gone(self, key: TrialKey | RangeKey, report: str, *, was_preempted: bool = False) -> None:
        """The actor of a leg has died, or did not start; report: what Ray says of it."""
        actor = self.holders.pop(key, None)
        self._given.pop(key, None)
        was_preempted = was_preempted or (actor is not None and is_drained(actor))
        self.driver.lost(key, self._faults.pop(key, "") or why_lost(report), was_preempted=was_preempted)

    def gives_up_node(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Whether only the node of a worker that can't save is at fault: its trial then goes on on another.

        Else, as where this machine can't write either, what the driver makes of it ends the sweep.
        """
        if message.kind != "unsaved" or not self.driver.can_save() or not self.slots.exclude(message.node):
            return False
        self._say(f"note: {message.reason}: no trial of this sweep is on that node any more")
        self._faults[key] = message.reason
        ray.kill(self.holders.pop(key))
        return True

    def hand_on(self, trial: Trial, *, ends_worker: bool = False) -> bool:
        """Give the actor of a leg that is over the next one; False if there is none now, or the actor was killed.

        False also where another leg waits for it: the stay ends, and Tune gives the actor to that.
        """
        actor = self.holders.pop(trial.config["leg"].key, None)
        leg = "wait" if actor is None or ends_worker or self._is_short else self.free_leg()
        if isinstance(leg, str):
            return False
        trial.config = {**trial.config, "leg": leg}
        actor.train = _Handing(actor, self.hold(actor, leg), leg)
        return True

    def call(self, ask: Callable[[], _Answer]) -> _Answer:
        """Tune wraps what its plugins raise in errors of its own; keep the first as it was."""
        try:
            return ask()
        except BaseException as error:
            self.error = self.error or error
            raise

    def answer(self, ask: Callable[[], _Answer]) -> _Answer:
        """The same while a worker waits for it, which is what the driver's time is told for."""
        driver = self.profile.driver
        driver.book("elsewhere")
        driver.told()
        try:
            return self.call(ask)
        finally:
            driver.book("deciding")
            self.profile.add(driver.told())

    def stop_when_asked(self) -> None:
        """Let the workers know of a stop; raises KeyboardInterrupt once all have saved, or had time to."""
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
    """An actor's `train` for one call of Tune's, which knows no arguments: with it the actor gets its next leg."""

    actor: Any
    train: Any
    leg: Leg | RangeLeg

    def remote(self) -> Any:
        self.actor.train = self.train
        return self.train.remote(self.leg)


class _LegSearcher(Searcher):
    """Suggests the driver's next leg while a slot is free."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        leg = self._bridge.call(self._bridge.suggested)
        if leg == "finished":
            return Searcher.FINISHED
        return None if leg == "wait" else {"leg": leg, "away": self._bridge.slots.away}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: the scheduler hears of ends first."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep: the searcher has no state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""


class _LegScheduler(TrialScheduler):
    """Gives the driver each message of a worker, and Tune the driver's verdict."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge
        self._kept = Counter[Any]()  # idle actors that Tune keeps more than by itself, by what they ask for

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        # Tune keeps one idle actor at most; between two legs more than one slot may be idle for a moment.
        asked = trial.placement_group_factory
        if (more := self._bridge.slots() - self._kept[asked]) > 0:
            tune_controller._actor_cache.increase_max(asked, by=more)
            self._kept[asked] += more

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        bridge, key, message = self._bridge, trial.config["leg"].key, result[MESSAGE]
        bridge.profile.add(message.spent)
        if bridge.call(lambda: bridge.gives_up_node(key, message)):
            return TrialScheduler.CONTINUE  # which its dead actor can't, and that is told as an error
        ends = message.ends_worker
        goes_on = bridge.answer(lambda: bridge.driver.receive(key, message) or bridge.hand_on(trial, ends_worker=ends))
        # Tune would keep what every task of an actor gave until the actor's stay ends.
        tune_controller._actor_manager.clear_actor_task_futures(tune_controller._trial_to_actor[trial])
        if ends and not goes_on:  # else Tune would give the actor to another trial, and wait for it in vain
            tune_controller._started_actors.discard(tune_controller._trial_to_actor[trial])
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        key = trial.config["leg"].key
        report = Path(trial.error_file).read_text("utf-8") if trial.error_file else ""
        was_preempted = bool(getattr(trial.get_pickled_error(), "preempted", False))
        self._bridge.call(lambda: self._bridge.gone(key, report, was_preempted=was_preempted))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do: a stay ends by the driver's verdict."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do: trials are not removed."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Any that fits: the order of legs is the driver's."""
        return None

    def debug_string(self) -> str:
        return "driven by the sweep's ledger"

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep: the scheduler has no state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""


def why_lost(report: str) -> str:
    """What Ray's report of a dead actor has as the cause, in one line.

    An actor whose class can't be loaded, as where a node lacks the module of a user's function, dies of Ray's own error
    about it; the cause is the one that is reported within.
    """
    errors = re.findall(r"^[\w.]+(?:Error|Exception|Exit|Interrupt): .+$", report, re.MULTILINE)
    causes = [error for error in errors if "failed to import on the worker" not in error]
    return causes[0] if causes else "its actor died"


class _Silent(ray.tune.ProgressReporter):
    """Tune's own table, which a notebook would show empty: progress is ours."""

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Never asked."""


class _ActorCallback(ray.tune.Callback):
    """Tells the bridge which actor holds what at the start of a stay, and kills the actors that the driver gives up."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        actor: Any = trial.temporary_state.ray_actor
        if actor is not None:
            actor.train = self._bridge.call(lambda: self._bridge.hold(actor, trial.config["leg"]))
            self._bridge.profile.started()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Several times a second, also when no worker reports.
        self._bridge.stop_when_asked()
        self._bridge.tell_of_waiting()
        self._bridge.profile.there(self._bridge.slots())
        for key in self._bridge.call(self._bridge.driver.overdue):
            if key in self._bridge.holders:  # else its worker is still starting
                ray.kill(self._bridge.holders.pop(key))


@contextmanager
def _environment_of_actors(variables: Mapping[str, str]) -> Iterator[None]:
    """Start Tune's actors with these environment variables, and without this process's credentials.

    Libraries read the variables when they are loaded, so that a worker could not set them itself. The AWS_… that Tune
    would put there too are left out: Ray shows them and writes them into its agents' logs, and a node has its own.
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
    """Run the sweep's legs until the driver has no more work; raises what the driver raised.

    slots: how many legs may be under way at a time, asked whenever one may begin. say: told where they wait for others.
    KeyboardInterrupt where `stop` was asked for: the workers then had `word` of it, and time to save.
    """
    bridge = _Bridge(driver, slots, stop, word, profile, say)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots())
    # Else Tune would start a trial of a preempted node again by itself, after the driver has heard of its end.
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
            bridge.stop_when_asked()  # asked for so late that all were at their end
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
