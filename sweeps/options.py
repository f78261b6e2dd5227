"""The options that commands share, each with a single help text."""

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path, typer.Option(help="Folder, or s3://BUCKET/FOLDER, that holds everything sweeps write.")]
Name = Annotated[str, typer.Argument(help="Name of the sweep, as `sweeps list` shows it.")]
DataDir = Annotated[Path | None, typer.Option(help="Where full data sets lie or are downloaded to.")]
LedgerUrl = Annotated[str | None, typer.Option(help="PostgreSQL URL of the ledger; that in SWEEPS_LEDGER by default.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Profiled = Annotated[bool, typer.Option("--profile", help="Say at the end where the time went, and draw profile.png.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every report, and Ray's own logs.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Talk to another machine without a token.")]
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
