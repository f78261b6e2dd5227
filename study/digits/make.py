"""Makes the embedded sample from the full MNIST: `python -m study.digits.make --data-dir DIR --out DIR`.

8,000 images for training and 2,000 for validation come from MNIST's train split, 2,000 for the test from its test
split; each class has an equal share and the classes take turns, so that any first part of a file is balanced too.
"""

import argparse
import random
from pathlib import Path

import numpy as np

from study.downloads import read_full

PER_CLASS = {"train": 800, "validation": 200, "test": 200}


def sample(data_dir: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of each file, from the full MNIST in data_dir."""
    chosen = {}
    for is_train, parts in ((True, ("train", "validation")), (False, ("test",))):
        images, labels, classes = read_full("mnist", data_dir, train=is_train)
        places = [np.flatnonzero(labels == label).tolist() for label in range(classes)]
        for places_of_class in places:
            random.Random(0).shuffle(places_of_class)
        start = 0
        for part in parts:
            end = start + PER_CLASS[part]
            order = np.array([places[label][i] for i in range(start, end) for label in range(classes)])
            chosen[part] = (images[order], labels[order].astype(np.uint8))
            start = end
    return chosen


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for part, (images, labels) in sample(arguments.data_dir).items():
        np.savez_compressed(arguments.out / f"{part}.npz", images=images, labels=labels)


if __name__ == "__main__":
    main()
