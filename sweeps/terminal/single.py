"""Single experiments from the command line: training in this process with progress, storing, and training again."""

import math
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import ConfigError, TrialConfig
from study.files import replacing
from sweeps.commands import command
from sweeps.design import with_defaults
from sweeps.digits import number
from sweeps.errors import InterruptedSweepError, SpecError, SweepError
from sweeps.signals import stop_signals
from sweeps.store.folders import check_writable, writing
from sweeps.terminal.streams import console, say

if TYPE_CHECKING:
    from study.comparison import Replay
    from study.data import Dataset
    from study.measurement import Measurement
    from study.training import Training

COMPLETE, INTERRUPTED = "complete", "interrupted"  # exit reasons


def read_config(given: Sequence[str]) -> TrialConfig:
    """Return the config that a TOML file and KNOB=VALUE words describe.

    Without a file, knobs that are not given have the defaults of the model's preset.

    Args:
        given: At most one file, and any number of KNOB=VALUE words, which override the file.

    Raises:
        SpecError: If a file, knob or value is wrong; names the place, key, rule and value.
    """
    files = [Path(word) for word in given if "=" not in word or word.endswith(".toml")]
    words = [_knob(word) for word in given if "=" in word and not word.endswith(".toml")]
    if len(files) > 1:
        raise SpecError(f"one file at most, but got {', '.join(map(str, files))}: a knob is written KNOB=VALUE")
    knobs = dict(words)
    if twice := next((name for name in knobs if sum(name == known for known, _ in words) > 1), None):
        raise SpecError(f"the knob {twice!r} is given twice: keep one")
    model = str(knobs.pop("model", "custom_cnn")) if not files else ""
    table = {**_read(files[0]), **knobs} if files else with_defaults(model, knobs)
    try:
        return TrialConfig(**table)
    except ConfigError as error:
        raise SpecError(f"{files[0] if files else 'knobs'}: {error}") from error


def _knob(word: str) -> tuple[str, Any]:
    """Return a knob's name and value; a value that is not valid TOML is taken as a string."""
    name, _, text = word.partition("=")
    try:
        return name, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return name, text


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read ({getattr(error, 'strerror', error)})") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from error
    if not table:
        raise SpecError(f"{path} is empty: name a knob in it, such as model; without a file the baseline is trained")
    if {"space", "design", "trials"} & table.keys():
        raise SpecError(f"{path} describes a sweep, not one training run: `{command('run', path)}`")
    if "target" in table:
        raise SpecError(f"{path} belongs to a user's function: `sweeps train` trains the study's models")
    return table


def train_one(config: TrialConfig, results: Path, data_dir: Path | None) -> None:
    """Train, print each report, and store the experiment with its curves.

    A measured value that is not finite ends the run, and so does Ctrl-C, after the current step. The run so far is
    stored all the same with the reason, and can be replayed to its end.

    Args:
        config: The configuration to train.
        results: The results folder.
        data_dir: The folder of the full data sets, see `study.data.load`.

    Raises:
        InterruptedSweepError: If the run was stopped; nothing is stored if that was before the first step.
        SweepError: If the run diverged.
    """
    from study.data import load
    from study.experiments import store
    from study.figures import save, training_curves
    from study.reproducibility import environment
    from study.training import Training

    check_writable(results / config.model)
    data = load(config.dataset, data_dir)
    training = Training(config, data)
    with _stop_asked() as stop:
        measurements, reason = _train(training, stop)
    if not measurements:
        raise InterruptedSweepError("stopped before the first step: nothing is stored")
    ending = "" if reason == COMPLETE else f"; {reason}"
    title = f"{config.model}, {config.optimizer}, {config.dataset}, seed {config.seed}{ending}"
    figure = training_curves(measurements, title=title)
    with writing(results):
        experiment = store(results, training, measurements, environment(config, data), exit_reason=reason, extra={})
        with replacing(experiment.folder / "curves.png") as temporary:
            save(figure, temporary, format="png")
    say(f"stored in {experiment.folder}, figure curves.png")
    if reason == INTERRUPTED:
        raise InterruptedSweepError(
            f"stopped at step {training.step} of {training.plan.horizon_steps}: what is stored is the run so far, "
            "which can be replayed, but not continued"
        )
    if reason != COMPLETE:
        raise SweepError(f"the run ended early ({reason}): lower learning_rate; `sweeps lr-range` says how far")


def _train(training: "Training", stop: Callable[[], bool]) -> "tuple[list[Measurement], str]":
    """Train until the run is complete, diverges or is interrupted; return its measurements and why it ended."""
    measurements = []
    with _shown(training, stop) as run:
        for measurement in run:
            say(_line(measurement))
            measurements.append(measurement)
            if wrong := next((n for n, v in measurement.values.items() if not math.isfinite(v)), None):
                training.finish()
                return measurements, f"diverged: {wrong} is {measurement.values[wrong]}"
    if not training.interrupted:
        return measurements, COMPLETE
    last = training.finish()
    return measurements + ([last] if last else []), INTERRUPTED


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a stop signal came; a second signal raises KeyboardInterrupt at once."""
    pressed: list[int] = []

    def press(number: int, _frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    with stop_signals(press):
        yield lambda: bool(pressed)


def _line(measurement: "Measurement") -> str:
    v = measurement.values
    train, validation = number(v["train_loss"]), number(v["validation_loss"])
    return (
        f"epoch {measurement.fidelity:g}: loss {train} train {validation} validation, "
        f"accuracy {v['train_accuracy']:.4f} train {v['validation_accuracy']:.4f} validation, "
        f"rate {v['learning_rate']:.2g}, {measurement.seconds:.1f} s"
    )


@contextmanager
def _shown(training: "Training", stop: Callable[[], bool]) -> "Iterator[Iterator[Measurement]]":
    """Yield the run's measurements; on a terminal, a progress bar moves with each step."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    shown = console(sys.stderr)
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("step", total=training.plan.horizon_steps)

        def tick() -> bool:
            bar.update(task, completed=training.step)
            return stop()

        yield training.run(tick)


def reproduce_one(folder: Path, data_dir: Path | None) -> "Replay":
    """Check a stored experiment's weights against its recorded accuracy, and train it again if they agree."""
    from study.comparison import Replay, environment_differences
    from study.data import load
    from study.experiments import load_experiment, replay
    from study.reproducibility import environment

    experiment = load_experiment(folder)
    data: Dataset = load(experiment.config.dataset, data_dir)
    found = experiment.evaluate(data, data.validation)["accuracy"]
    stored = experiment.measurements[-1].values["validation_accuracy"]
    verdict = "as recorded" if found == stored else f"recorded was {stored!r}"
    say(f"weights: digest as recorded; validation accuracy {found!r}, {verdict}")
    if found != stored:
        here = environment_differences(experiment.metadata["environment"], environment(experiment.config, data))
        return Replay(
            str(folder), 0, f"the stored weights give accuracy {found!r}, recorded is {stored!r}", tuple(here)
        )
    return replay(experiment, data)
