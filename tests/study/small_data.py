"""Data small enough for a test to train on it."""

from study.data import Dataset, Split, load


def small_digits(train: int = 120, validation: int = 60) -> Dataset:
    """Return the first images of the embedded digits."""
    digits = load("mnist_sample")
    parts = ((digits.train, train), (digits.validation, validation))
    first, second = (Split(split.images[:n], split.labels[:n]) for split, n in parts)
    return Dataset("mnist_sample", first, second, 10)
