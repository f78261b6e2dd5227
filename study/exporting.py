"""A trained model as a file of its own, which torch.export loads without this package.

Source: torch.export, https://docs.pytorch.org/docs/stable/export.html.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from study.batches import on_device
from study.files import replacing
from study.training import EVALUATION_BATCH

if TYPE_CHECKING:
    from study.data import Split
    from study.training import Training

_TRACED = 2  # images that are traced with; a batch of one would be taken as a constant


class ExportError(RuntimeError):
    """The exported file does not answer as the model does; one line that says how."""


class _Answering(nn.Module):
    """The model with its normalisation and precision."""

    def __init__(self, training: "Training") -> None:
        super().__init__()
        self.model = training.model
        self._answer = training.answer

    def forward(self, images: Tensor) -> Tensor:
        return self._answer(images)


def export_model(training: "Training", split: "Split", path: Path) -> None:
    """Write the trained model as a torch.export program, and see that it answers as the model does.

    The program takes any number of images (n, channels, height, width), uint8 of 0..255, and gives logits (n, classes),
    float32, on the device that it was trained on: `torch.export.load(path).module()(images)`. split: the images with
    which it is compared; ExportError if it finds another class for any of them.
    """
    device = next(training.model.parameters()).device
    images, _ = on_device(split, device)
    was_training = training.model.training
    training.model.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch.export about its own insides
        number = {0: torch.export.Dim("n", min=1)}
        # A copy, since a view would bring all images into the file.
        traced = (images[:_TRACED].clone(),)
        program = torch.export.export(_Answering(training).eval(), traced, dynamic_shapes=(number,))
        file = io.BytesIO()
        torch.export.save(program, file)
        loaded = torch.export.load(io.BytesIO(file.getbuffer())).module()
        found = torch.cat([loaded(part) for part in torch.split(images, EVALUATION_BATCH)])
    training.model.train(was_training)
    if wrong := int((found.argmax(1) != training.logits(split).argmax(1)).sum()):
        raise ExportError(f"{path.name} finds another class than the model for {wrong} of {len(images)} images")
    with replacing(path) as temporary:
        temporary.write_bytes(file.getbuffer())
