"""Export of a trained model to a standalone file, which torch.export loads without this package.

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

_TRACED = 2  # images in the traced batch; the size of a batch of one would be taken as a constant


class ExportError(RuntimeError):
    """Raised for an exported file whose answers differ from the model's; one line says how."""


class _Answering(nn.Module):
    """The model together with its normalization and precision."""

    def __init__(self, training: "Training") -> None:
        super().__init__()
        self.model = training.model
        self._answer = training.answer

    def forward(self, images: Tensor) -> Tensor:
        return self._answer(images)


def export_model(training: "Training", split: "Split", path: Path) -> None:
    """Write the trained model as a torch.export program, and check that it finds the same classes as the model.

    The program takes any number of images (n, channels, height, width), uint8 of 0..255. It returns logits (n,
    classes), float32, on the device of the training. To run it: `torch.export.load(path).module()(images)`.

    Args:
        training: The training whose model is exported.
        split: The images on which the program is compared with the model.
        path: The file to write.

    Raises:
        ExportError: If the program finds another class than the model for any image. No file is written then.
    """
    device = next(training.model.parameters()).device
    images, _ = on_device(split, device)
    was_training = training.model.training
    training.model.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.export warns about its own internals
        number = {0: torch.export.Dim("n", min=1)}
        # A copy, since a view would put all images into the file.
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
