"""One trial of Syne Tune: a script that takes its parameters as arguments and reports after each epoch."""

import argparse
import json
from pathlib import Path

import torch
from digits import train
from syne_tune import Reporter


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--place", type=int)
    parser.add_argument("--configurations", type=Path)
    given, _ = parser.parse_known_args()
    torch.set_num_threads(1)  # two workers, two CPUs
    report = Reporter()
    for epoch, accuracy in enumerate(train(json.loads(given.configurations.read_text())[given.place]), start=1):
        report(epoch=epoch, accuracy=accuracy)


if __name__ == "__main__":
    main()
