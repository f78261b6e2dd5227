"""The three networks, for images of 28x28 to 32x32 pixels, with one or three channels and any number of classes."""

import itertools
from collections.abc import Callable, Iterator

from torch import nn

from study.config import ConfigError, TrialConfig

SMALLEST, LARGEST = 28, 32  # pixels


class CustomCNN(nn.Sequential):
    """Three convolutions with batch norm and one hidden dense layer, designed for one CPU core.

    Convolutions without padding shrink the images. The first two poolings come before batch norm and ReLU, which
    therefore work on a quarter of the data. 28 pixels become 12, 5 and 3. Dropout acts on the hidden dense layer
    (Srivastava et al. 2014). Batch norm: Ioffe and Szegedy 2015.
    """

    def __init__(self, channels: int, size: int, classes: int, dropout_rate: float | None) -> None:
        last = ((size - 4) // 2 - 2) // 2 - 2  # pixels
        super().__init__(
            nn.Conv2d(channels, 16, 5, bias=False),
            nn.MaxPool2d(2),
            *_batch_norm(16),
            nn.Conv2d(16, 32, 3, bias=False),
            nn.MaxPool2d(2),
            *_batch_norm(32),
            nn.Conv2d(32, 64, 3, bias=False),
            *_batch_norm(64),
            nn.Flatten(),
            *_dense((64 * last**2, 128, classes), dropout_rate),
        )


class AlexNet(nn.Sequential):
    """Five convolutions and three dense layers.

    Source: Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014. Its channels (64, 192,
    384, 256, 256) and three poolings are kept. Adapted to small images: the first convolution is 5x5 with stride 2, not
    11x11 with stride 4, pools are padded, and the dense layers have 1024 units, not 4096. Dropout follows the first two
    dense layers, as in Krizhevsky et al. 2012. There is no local response normalization.
    """

    def __init__(self, channels: int, size: int, classes: int, dropout_rate: float | None) -> None:
        super().__init__(
            *_convolution(channels, 64, kernel=5, stride=2),
            nn.MaxPool2d(3, 2, padding=1),
            *_convolution(64, 192, kernel=5),
            nn.MaxPool2d(3, 2, padding=1),
            *_convolution(192, 384),
            *_convolution(384, 256),
            *_convolution(256, 256),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Flatten(),
            *_dense((256 * 2 * 2, 1024, 1024, classes), dropout_rate),
        )


class VGG(nn.Sequential):
    """The 11-layer layout (A) of Simonyan and Zisserman 2015: eight 3x3 convolutions and three dense layers.

    Adapted to small images: the five pools round up, so 28 pixels end in one as 32 do, and the dense layers have 512
    units, not 4096. Dropout follows the first two dense layers, as in the paper.
    """

    def __init__(self, channels: int, size: int, classes: int, dropout_rate: float | None) -> None:
        blocks = ((64,), (128,), (256, 256), (512, 512), (512, 512))
        layers: list[nn.Module] = []
        inputs = channels
        for block in blocks:
            for outputs in block:
                layers += _convolution(inputs, outputs)
                inputs = outputs
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        super().__init__(*layers, nn.Flatten(), *_dense((512, 512, 512, classes), dropout_rate))


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    yield nn.ReLU(inplace=True)


def _batch_norm(channels: int) -> Iterator[nn.Module]:
    yield nn.BatchNorm2d(channels)
    yield nn.ReLU(inplace=True)


def _dense(sizes: tuple[int, ...], dropout_rate: float | None) -> Iterator[nn.Module]:
    """Yield dense layers; all but the last are followed by ReLU and, if it is on, dropout."""
    *hidden, last = itertools.pairwise(sizes)
    for inputs, outputs in hidden:
        yield nn.Linear(inputs, outputs)
        yield nn.ReLU(inplace=True)
        if dropout_rate is not None:
            yield nn.Dropout(dropout_rate)
    yield nn.Linear(*last)


_MODELS: dict[str, Callable[[int, int, int, float | None], nn.Module]] = {
    "custom_cnn": CustomCNN,
    "alexnet": AlexNet,
    "vgg": VGG,
}


def build_model(config: TrialConfig, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the config's network.

    Args:
        config: Its `model` and `dropout_rate` are used.
        shape: Shape of an image: (channels, height, width).
        classes: Number of classes, at least 2.

    Raises:
        ConfigError: If the network can't take images of this shape, or if there are fewer than 2 classes.
    """
    channels, height, width = shape
    if channels not in (1, 3) or height != width or not SMALLEST <= height <= LARGEST:
        raise ConfigError(
            f"{config.model} takes square images of {SMALLEST} to {LARGEST} pixels with 1 or 3 channels, "
            f"but got {channels} x {height} x {width} (channels x height x width)"
        )
    if classes < 2:
        raise ConfigError(f"{config.model} needs at least 2 classes, but got {classes}")
    return _MODELS[config.model](channels, height, classes, config.dropout_rate)


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable parameters of the model."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
