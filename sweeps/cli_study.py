"""The commands of the study, which do not search: train, lr-range, baseline, ablate and path."""

import json
from functools import partial
from typing import Annotated

import typer

from sweeps.options import (
    RESULTS,
    CpusPerTrial,
    Data,
    DataDir,
    DesignName,
    Epochs,
    GpusPerTrial,
    Json,
    LedgerUrl,
    Model,
    Name,
    Results,
    Seconds,
    Seed,
    Seeds,
    Verbose,
)
from sweeps.terminal.streams import begin, say

commands = typer.Typer()
_MODEL = ["custom_cnn"]


@commands.command()
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

    Without a file, knobs that are not given have the values of the model's baseline: `sweeps train` alone trains the
    small CNN for 9 epochs. `sweeps train optimizer=adam learning_rate=0.001 epochs=3` changes three knobs, and
    `sweeps train model=vgg dataset=mnist` takes another model and full MNIST.

    Ctrl-C ends the run after its current step and stores what was trained; the run can't be continued. Use `sweeps
    baseline`, which writes checkpoints, for training that must survive a kill.

    Knobs: model, dataset, seed, optimizer, learning_rate, weight_decay, momentum, beta1, beta2, batch_size,
    label_smoothing, schedule, warmup_epochs, step_epochs, step_gamma, init, dropout, dropout_rate, rotation,
    rotation_degrees, color_jitter, color_jitter_strength, perspective, perspective_distortion, epochs or seconds,
    reports_per_epoch, first_report, precision, device, threads. The error for a wrong name or value lists valid ones.
    """
    begin("one training run: starting", as_json=False)
    from sweeps.terminal.single import read_config, train_one

    train_one(read_config(given or []), results, data_dir)


@commands.command("lr-range")
def lr_range(
    model: Model = "custom_cnn",
    optimizer: Annotated[str, typer.Option(help="sgd, nesterov, adam or adamw.")] = "nesterov",
    data: Data = "mnist_sample",
    batch_size: Annotated[int, typer.Option(help="Images in a step; the best rate depends on it.")] = 128,
    low: Annotated[float, typer.Option(help="Rate of the first step.")] = 1e-6,
    high: Annotated[float, typer.Option(help="Rate of the last step, if the loss doesn't diverge before.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps of the ramp, one batch each.")] = 120,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order of the data.")] = 0,
    results: Results = RESULTS,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Raise the learning rate step by step to find where the loss falls and where it diverges.

    Too small a rate learns nothing, and too large a rate destroys what was learned; in between, the loss falls. The
    test suggests two rates, where the loss falls fastest (steepest) and the middle of its fall (valley), and bounds for
    a search. It takes seconds, and the figure shows the whole ramp. All other knobs are at the baseline of the model.
    """
    say(f"range test of {model}: starting", error=as_json)
    from study.config import TrialConfig
    from sweeps.design import with_defaults
    from sweeps.terminal.ramps import range_test

    knobs: dict[str, str | int | float | bool] = {"optimizer": optimizer, "dataset": data, "seed": seed}
    config = TrialConfig(**with_defaults(model, {**knobs, "batch_size": batch_size}))
    found = range_test(config, results, data_dir, low=low, high=high, steps=steps)
    if as_json:
        say(json.dumps(found))
        return
    say(f"steepest descent at {found['steepest']:.2g}, valley at {found['valley']:.2g}")
    say(f"search between {found['low']:.2g} and {found['high']:.2g}")
    end = found["diverged"]
    say("the loss did not diverge" if end is None else f"the loss diverged at {end:.2g}")
    say(f"stored in {found['stored']}, figure lr_range.png")


@commands.command()
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
    """Train models unchanged, at their presets' defaults, each on the same seeds.

    The results are what any change has to beat. `sweeps resume` continues a baseline that was stopped, and `sweeps
    show` prints it again.
    """
    begin(f"baseline of {', '.join(model)}: starting", as_json=as_json)
    from sweeps.api import baseline as train_baseline
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        train_baseline,
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
    tell_end(sweep, as_json=as_json)


@commands.command()
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
    """Change one factor of a model's baseline at a time, to measure the effect of each change.

    Factors: optimizer, schedule, init, label_smoothing, dropout, weight_decay, batch_size, rotation, color_jitter,
    perspective. Each other value of a factor is a separate cell, in addition to the baseline. Every cell trains on the
    same seeds, so differences are paired; each comes with its 95 % interval. Adam and AdamW have their usual
    learning rate, a 50th of the baseline's. The test set is not read.
    """
    begin(f"ablation of {model}: starting", as_json=as_json)
    from sweeps.api import ablate as run_ablation
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        run_ablation,
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
    tell_end(sweep, as_json=as_json)


@commands.command()
def path(
    name: Name,
    results: Results = RESULTS,
    seeds: Seeds = 3,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Walk from a sweep's baseline to its winner, one change after another, to measure what each change gains."""
    begin(f"{name}: reading", as_json=as_json)
    from sweeps.api import ablation_path
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        ablation_path,
        name,
        seeds=seeds,
        results=results,
        data_dir=data_dir,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(sweep, as_json=as_json)
