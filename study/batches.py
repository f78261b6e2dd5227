"""The data of a run on its device, and its batches, which depend only on the config, the data and the step."""

import warnings
from collections.abc import MutableMapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from study.augmentation import augment, is_on
from study.config import ConfigError, TrialConfig
from study.seeds import derive_seed

if TYPE_CHECKING:
    from study.data import Dataset, Split


_copies: MutableMapping["Split", dict[torch.device, tuple[Tensor, Tensor]]] = WeakKeyDictionary()


def on_device(split: "Split", device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a split as tensors on a device.

    On the CPU the tensors share the arrays' memory. On other devices there is one copy per process, which all trainings
    share. The arrays may be read-only views of memory shared between processes: nothing writes to them or to the copy.
    """
    here = _tensor(split.images), _tensor(split.labels)
    if device.type == "cpu":
        return here
    copies = _copies.setdefault(split, {})
    place = torch.empty(0, device=device).device  # resolves "cuda" to the current device, such as "cuda:0"
    if place not in copies:
        copies[place] = here[0].to(place), here[1].to(place)
    return copies[place]


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


class Batches:
    """The training batches of one run.

    Every epoch shows every image once. If batch_size does not divide the number of images, the last batch of an epoch
    is smaller. Fidelities at the ends of epochs are therefore whole numbers for every batch size.
    """

    def __init__(self, config: TrialConfig, data: "Dataset", device: torch.device) -> None:
        self._config = config
        self._images, self._labels = on_device(data.train, device)
        self.samples = len(self._labels)
        if config.batch_size > self.samples:
            raise ConfigError(
                f"batch_size={config.batch_size} is larger than the training set of {self.samples} images "
                f"of {data.name}: choose at most {self.samples}"
            )
        self.steps_per_epoch = -(-self.samples // config.batch_size)
        if config.reports_per_epoch > self.steps_per_epoch:
            raise ConfigError(
                f"reports_per_epoch={config.reports_per_epoch} is more than the {self.steps_per_epoch} steps "
                f"of an epoch with batch_size={config.batch_size}: choose at most {self.steps_per_epoch}"
            )
        shape = (1, -1, 1, 1)
        # (x - mean) / std as one multiplication and one addition.
        mean, std = torch.tensor(data.mean), torch.tensor(data.std).clamp_min(1e-6)
        self._scale, self._shift = (1 / std).view(shape).to(device), (-mean / std).view(shape).to(device)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the normalized images and the labels of optimizer step `step` (0, 1, …)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self._config.seed, "order", epoch))
            self._order = torch.randperm(self.samples, generator=generator).to(self._labels.device)
            self._epoch = epoch
        chosen = self._order[place * self._config.batch_size : (place + 1) * self._config.batch_size]
        images = self._images[chosen].float().div_(255)
        if is_on(self._config):
            generator = torch.Generator().manual_seed(derive_seed(self._config.seed, "augmentation", step))
            images = augment(images, self._config, generator)
        return self._standardized(images), self._labels[chosen]

    def normalized(self, images: Tensor) -> Tensor:
        """Return images (n, channels, height, width) of 0..255, normalized for the model but not augmented."""
        return self._standardized(images.float().div_(255))

    def _standardized(self, images: Tensor) -> Tensor:
        images = torch.addcmul(self._shift, images, self._scale)
        return images.contiguous(memory_format=torch.channels_last)

    def samples_after(self, steps: int) -> int:
        """Return the number of images seen after `steps` steps, counting repetitions."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        return epochs * self.samples + rest * self._config.batch_size

    def report_is_due(self, steps: int) -> bool:
        """Return whether a report is due after `steps` steps.

        Reports are spread evenly over an epoch. The config's `first_report` adds an early one in the first epoch.
        """
        early = (self._config.first_report or 0) * self.samples
        if self.samples_after(steps - 1) < early <= self.samples_after(steps):
            return True
        place = (steps - 1) % self.steps_per_epoch + 1
        reports = self._config.reports_per_epoch
        return place * reports // self.steps_per_epoch > (place - 1) * reports // self.steps_per_epoch
