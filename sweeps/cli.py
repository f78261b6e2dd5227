"""The command line: each command is a few lines over the Python face, and words every error in one line."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sweeps.errors import SpecError
from sweeps.terminal.secrets import hide_password
from sweeps.terminal.wording import worded

app = typer.Typer(
    name="sweeps",
    help="Hyperparameter sweeps over neural-network training that end in a model you can trust.",
    epilog="Exit codes: 0 done, 1 failed or not identical, 2 wrong input, 3 no such sweep, 4 ledger, 5 sweep in use, "
    "6 resources, 130 stopped.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Results = Annotated[Path, typer.Option(help="Folder that holds everything sweeps write.")]
Name = Annotated[str, typer.Argument(help="Name of the sweep, as `sweeps list` shows it.")]
DataDir = Annotated[Path | None, typer.Option(help="Where full data sets lie or are downloaded to.")]
LedgerUrl = Annotated[str | None, typer.Option(help="PostgreSQL URL of the ledger; that in SWEEPS_LEDGER by default.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every report, and Ray's own logs.")]
Model = Annotated[str, typer.Option(help="custom_cnn, alexnet or vgg.")]
Data = Annotated[str, typer.Option(help="mnist_sample (embedded), mnist, fashion_mnist, kmnist or cifar10.")]

Epochs = Annotated[int | None, typer.Option(help="Passes over the training set; 9 where neither limit is given.")]
Seconds = Annotated[float | None, typer.Option(help="Seconds of training; with --epochs too, both are compared.")]
Seeds = Annotated[int, typer.Option(help="How often each configuration is trained, each time from another seed.")]
Seed = Annotated[int, typer.Option(help="The one seed from which all others derive.")]
CpusPerTrial = Annotated[float | None, typer.Option(help="CPUs a trial occupies; may be a fraction.")]
GpusPerTrial = Annotated[float | None, typer.Option(help="GPUs a trial occupies; fractions share one.")]
DesignName = Annotated[
    str | None,
    typer.Option(help="Name to resume and show it by; baseline or ablation-MODEL without, -2, -3 where that is taken."),
]

RESULTS = Path("results")
_Number = TypeVar("_Number", int, float)
_MODEL = ["custom_cnn"]


@app.callback()
def _options(debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False) -> None:
    """Take what stands before the command; `main` reads --debug itself."""


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="A preset's name, such as quickstart, or a .toml file.")],
    results: Results = RESULTS,
    name: Annotated[str | None, typer.Option(help="Name of the sweep; the spec's by default.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials to search.")] = None,
    time: Annotated[str | None, typer.Option(help="Wall-clock of the whole sweep, like 90s, 10m or 1h30m.")] = None,
    seed: Annotated[int | None, typer.Option(help="The one seed from which all others derive.")] = None,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run a sweep: search, prune, choose on fresh seeds, test once, store."""
    from sweeps.api import run as run_sweep
    from sweeps.terminal.showing import tell_end

    result = run_sweep(
        spec,
        results=results,
        name=name,
        trials=trials,
        time=time,
        seed=seed,
        data_dir=data_dir,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(result, as_json=as_json)


@app.command()
def resume(
    name: Name,
    results: Results = RESULTS,
    trials: Annotated[str | None, typer.Option(help="How many trials more, like +20.")] = None,
    time: Annotated[str | None, typer.Option(help="How much more time, like +10m.")] = None,
    device_hours: Annotated[str | None, typer.Option(help="How many more device-hours, like +0.5.")] = None,
    trial_time: Annotated[str | None, typer.Option(help="How much more time for each trial, like +1m.")] = None,
    data_dir: DataDir = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Go on with a sweep that was interrupted, however it was, or extend one that is over."""
    from sweeps.api import resume as resume_sweep
    from sweeps.terminal.showing import tell_end

    result = resume_sweep(
        name,
        results=results,
        trials=_number("--trials", trials, int),
        time=_more("--time", time),
        device_hours=_number("--device-hours", device_hours, float),
        trial_time=_more("--trial-time", trial_time),
        data_dir=data_dir,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(result, as_json=as_json)


def _more(option: str, given: str | None) -> str | None:
    """What stands behind the plus sign: an amount in place of an addition would be ambiguous."""
    if given is not None and not given.startswith("+"):
        raise SpecError(f"{option} says how much is added, like +20 or +10m, but got {given!r}: put a + before it")
    return given and given[1:]


def _number(option: str, given: str | None, kind: type[_Number]) -> _Number | None:
    more = _more(option, given)
    try:
        return None if more is None else kind(more)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise SpecError(f"{option} takes {what} behind its +, but got {given!r}") from None


@app.command("list")
def list_sweeps(results: Results = RESULTS, as_json: Json = False) -> None:
    """List the sweeps of a results folder."""
    from sweeps.terminal.showing import tell_list

    tell_list(results, as_json=as_json)


@app.command()
def show(
    name: Name,
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the sweep's main figure into this file (png, svg, pdf).")
    ] = None,
) -> None:
    """Show a sweep: its outcome, its selection and its trials."""
    from sweeps.api import load
    from sweeps.terminal.showing import draw, tell_sweep

    result = load(name, results=results, ledger=ledger)
    tell_sweep(result, as_json=as_json)
    if figure is not None:
        draw(result, figure)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="Name of a sweep, or a stored experiment's folder, with its '/'.")],
    results: Results = RESULTS,
    trial: Annotated[str, typer.Option(help="best, a trial's number, or a label like 3-seed1 or range-adam.")] = "best",
    data_dir: DataDir = None,
    ledger: LedgerUrl = None,
) -> None:
    """Train a trial again in a fresh process and compare every bit; exit 0 if identical, 1 if not.

    A sweep's trial is compared with its ledger, an experiment such as results/custom_cnn/exp_1 with its own files.
    """
    if "/" in name:
        if trial != "best":
            raise SpecError(f"--trial belongs to a sweep, and {name} is one experiment: leave it out")
        from sweeps.terminal.single import reproduce_one

        replay, what = reproduce_one(Path(name), data_dir), f"experiment {name}"
    else:
        from sweeps.api import load

        replay = load(name, results=results, ledger=ledger).reproduce(trial, data_dir)
        what = f"trial {replay.label} of {name}"
    if replay.identical:
        typer.echo(f"identical: {what}, {replay.what}")
    else:
        typer.echo(f"different: {what}, {replay.difference}")
    for line in replay.environment:
        typer.echo(f"environment: {line}")
    if not replay.identical and not replay.environment:
        typer.echo("environment: the same as recorded")
    raise typer.Exit(0 if replay.identical else 1)


@app.command()
def verify(name: Name, results: Results = RESULTS, ledger: LedgerUrl = None) -> None:
    """Compute every suggestion and pruning decision of a sweep again from its ledger; exit 0 if all are as recorded.

    Nothing is trained: `reproduce` does that. A stored value that was changed later is named with its trial.
    """
    from sweeps.api import verify as verify_sweep

    found = verify_sweep(name, results=results, ledger=ledger)
    if not found.holds:
        typer.echo(f"different: {found.difference}")
        raise typer.Exit(1)
    typer.echo(f"verified: {found.suggestions} suggestions and {found.decisions} decisions follow from the ledger")


@app.command()
def train(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.toml] [KNOB=VALUE]...",
            help="A TOML file of one training run, such as a sweep's best.toml, and knobs that differ from it.",
        ),
    ] = None,
    results: Results = RESULTS,
    data_dir: DataDir = None,
) -> None:
    """Train one model, show its loss and accuracy, and store it as an experiment with its curves.

    Without a file, what is not given is the baseline of the model: `sweeps train` alone trains the small CNN for 9
    epochs. `sweeps train optimizer=adam learning_rate=0.001 epochs=3` changes three knobs, `sweeps train model=vgg
    dataset=mnist` takes another model and full MNIST.

    Ctrl-C ends it after the step under way and stores what was trained; it can't be continued. For what must survive a
    kill, `sweeps baseline` trains with checkpoints.

    Knobs: model, dataset, seed, optimizer, learning_rate, weight_decay, momentum, beta1, beta2, batch_size,
    label_smoothing, schedule, warmup_epochs, step_epochs, step_gamma, init, dropout, dropout_rate, rotation,
    rotation_degrees, color_jitter, color_jitter_strength, perspective, perspective_distortion, epochs or seconds,
    reports_per_epoch, precision, device, threads. A wrong name or value says which there are.
    """
    from sweeps.terminal.single import read_config, train_one

    train_one(read_config(given or []), results, data_dir)


@app.command("lr-range")
def lr_range(
    model: Model = "custom_cnn",
    optimizer: Annotated[str, typer.Option(help="sgd, nesterov, adam or adamw.")] = "nesterov",
    data: Data = "mnist_sample",
    batch_size: Annotated[int, typer.Option(help="Images in a step; the best rate hangs on it.")] = 128,
    low: Annotated[float, typer.Option(help="Rate of the first step.")] = 1e-6,
    high: Annotated[float, typer.Option(help="Rate of the last step, if the loss doesn't diverge before.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps of the ramp, one batch each.")] = 120,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order of the data.")] = 0,
    results: Results = RESULTS,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let the learning rate climb step by step and see where the loss falls, and where it diverges.

    Too small a rate learns nothing, too large a one destroys what was learnt: in between the loss falls. Two rates are
    suggested, where it falls fastest (steepest) and the middle of its fall (valley), and bounds for a search. It takes
    seconds, and the figure shows the whole ramp. All else is at the baseline of the model.
    """
    from study.config import TrialConfig
    from sweeps.design import with_defaults
    from sweeps.terminal.ramps import range_test

    knobs: dict[str, str | int | float | bool] = {"optimizer": optimizer, "dataset": data, "seed": seed}
    config = TrialConfig(**with_defaults(model, {**knobs, "batch_size": batch_size}))
    found = range_test(config, results, data_dir, low=low, high=high, steps=steps)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"steepest descent at {found['steepest']:.2g}, valley at {found['valley']:.2g}")
    typer.echo(f"search between {found['low']:.2g} and {found['high']:.2g}")
    end = found["diverged"]
    typer.echo("the loss did not diverge" if end is None else f"the loss diverged at {end:.2g}")
    typer.echo(f"stored in {found['stored']}, figure lr_range.png")


@app.command()
def baseline(
    model: Annotated[list[str], typer.Option(help="custom_cnn, alexnet or vgg; give it again for more.")] = _MODEL,
    data: Data = "mnist_sample",
    epochs: Epochs = None,
    seconds: Seconds = None,
    seeds: Seeds = 3,
    test: Annotated[bool, typer.Option(help="Score each trained model once on the test set, and store it.")] = True,
    name: DesignName = None,
    seed: Seed = 0,
    results: Results = RESULTS,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train models as they stand, at their presets' defaults, each on the same seeds.

    What any change has to beat. `sweeps resume` goes on with one that was stopped; `sweeps show` tells it again.
    """
    from sweeps.api import baseline as train_baseline
    from sweeps.terminal.showing import tell_end

    result = train_baseline(
        model,
        data=data,
        epochs=epochs,
        seconds=seconds,
        seeds=seeds,
        test=test,
        name=name,
        seed=seed,
        results=results,
        data_dir=data_dir,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(result, as_json=as_json)


@app.command()
def ablate(
    model: Model = "custom_cnn",
    factor: Annotated[
        list[str] | None,
        typer.Option(help="What to change, such as optimizer or dropout; give it again for more. All without."),
    ] = None,
    data: Data = "mnist_sample",
    epochs: Epochs = None,
    seconds: Seconds = None,
    seeds: Seeds = 3,
    name: DesignName = None,
    seed: Seed = 0,
    results: Results = RESULTS,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Change one thing of a model's baseline at a time, and see what each change does.

    Factors: optimizer, schedule, init, label_smoothing, dropout, weight_decay, batch_size, rotation, color_jitter,
    perspective. Each other value of a factor is a cell of its own, beside the baseline. Every cell trains on the same
    seeds, so that differences are taken in pairs; each comes with its 95 % interval. An optimizer brings its own usual
    learning rate. The test set is not read.
    """
    from sweeps.api import ablate as run_ablation
    from sweeps.terminal.showing import tell_end

    result = run_ablation(
        model,
        factors=factor or None,
        data=data,
        epochs=epochs,
        seconds=seconds,
        seeds=seeds,
        name=name,
        seed=seed,
        results=results,
        data_dir=data_dir,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(result, as_json=as_json)


@app.command()
def clean(
    name: Annotated[str | None, typer.Argument(help="A sweep that is over, whose checkpoints may go.")] = None,
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
) -> None:
    """Remove the checkpoints of a sweep that is over or, without a NAME, what dead Rays of this user left behind."""
    from sweeps.terminal.cleaning import clean_rays, clean_sweep

    typer.echo(clean_rays() if name is None else clean_sweep(name, results, ledger))


def main() -> None:
    """Run the command line; an error is one line and its exit code, a traceback only with --debug."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    hide_password()
    run_app = partial(app, standalone_mode=False)
    sys.exit(run_app() if "--debug" in sys.argv else worded(run_app))
