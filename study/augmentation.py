"""Augmentation of a whole batch with tensor operations, in which each image has its own random strength."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from study.config import TrialConfig

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def is_on(config: TrialConfig) -> bool:
    """Return whether the config changes images at all."""
    return config.rotation or config.perspective or config.color_jitter


def augment(images: Tensor, config: TrialConfig, generator: torch.Generator) -> Tensor:
    """Augment a batch of images with the transformations that the config turns on.

    The few random numbers per image are drawn on the CPU and sent to the images' device, so all devices see the same
    draws. Rotation and perspective share one resampling. Pixels that move in from outside are black.

    Args:
        images: Images of shape (n, channels, height, width), with values in 0..1.
        config: Its augmentation knobs set the kinds and strengths.
        generator: A generator on the CPU.

    Returns:
        The augmented images, with the same shape and range.
    """
    n = len(images)
    maps: list[Tensor] = []
    if config.rotation_degrees is not None:
        maps.append(rotation_maps(_uniform(generator, n) * math.radians(config.rotation_degrees)))
    if config.perspective_distortion is not None:
        maps.append(perspective_maps(_uniform(generator, n, 4, 2) * config.perspective_distortion / 2))
    if maps:
        images = resample(images, maps[0] if len(maps) == 1 else maps[0] @ maps[1])
    if config.color_jitter_strength is not None:
        factors = 1 + config.color_jitter_strength * _uniform(generator, 3, n)
        images = jitter(images, _sent(factors, images.device))
    return images


def _sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Copy a few numbers to a device; a copy to a GPU comes from pinned memory, so the CPU does not wait for it."""
    if device.type == "cuda":
        return numbers.pin_memory().to(device, non_blocking=True)
    return numbers.to(device)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw uniformly from -1..1."""
    return torch.rand(*shape, generator=generator) * 2 - 1


def rotation_maps(angles: Tensor) -> Tensor:
    """Return maps (n, 3, 3) that rotate by angles (n,), in radians, about the centre."""
    cos, sin, zero, one = (
        torch.cos(angles),
        torch.sin(angles),
        torch.zeros_like(angles),
        torch.ones_like(angles),
    )
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=-1).view(-1, 3, 3)


def perspective_maps(shifts: Tensor) -> Tensor:
    """Return projective maps (n, 3, 3) that move the four corners of the image by shifts.

    Shifts below 0.5 keep the four corners a convex quadrilateral. Source of the closed form from a square to a
    quadrilateral: Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989.

    Args:
        shifts: Shifts (n, 4, 2) of the corners (-1, -1), (1, -1), (1, 1) and (-1, 1), in coordinates from -1 to 1.
    """
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = ((p[:, 0], p[:, 1]) for p in (square + shifts).unbind(1))
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    determinant = dx1 * dy2 - dx2 * dy1
    g = (dx3 * dy2 - dx2 * dy3) / determinant
    h = (dx1 * dy3 - dx3 * dy1) / determinant
    rows = [
        x1 - x0 + g * x1,
        x3 - x0 + h * x3,
        x0,
        y1 - y0 + g * y1,
        y3 - y0 + h * y3,
        y0,
        g,
        h,
        torch.ones_like(g),
    ]
    from_unit_square = torch.stack(rows, dim=-1).view(-1, 3, 3)
    to_unit_square = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    return from_unit_square @ to_unit_square


def resample(images: Tensor, maps: Tensor) -> Tensor:
    """Resample images bilinearly: the output pixel at p is read from the input at maps applied to p.

    Args:
        images: Images of shape (n, channels, height, width).
        maps: Projective maps (n, 3, 3), in coordinates that run from -1 to 1 across the image.

    Returns:
        The resampled images, with the same shape. They are black where a map points outside the input.
    """
    n, _, height, width = images.shape
    device = images.device
    y, x = torch.meshgrid(_centres(height, device), _centres(width, device), indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, height * width, 3)
    mapped = points @ _sent(maps, device).transpose(1, 2)
    grid = (mapped[..., :2] / mapped[..., 2:]).view(n, height, width, 2)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _centres(count: int, device: torch.device) -> Tensor:
    return (torch.arange(count, device=device) * 2 + 1) / count - 1


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Scale the brightness, the contrast and, for three channels, the saturation of images.

    Args:
        images: Images of shape (n, channels, height, width), with values in 0..1.
        factors: Factors (3, n) for brightness, contrast and saturation.

    Returns:
        The images, clamped to 0..1.
    """
    brightness, contrast, saturation = factors[..., None, None, None]
    images = (images * brightness).clamp(0, 1)
    mean = _gray(images).mean(dim=(1, 2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    if images.shape[1] == 3:
        gray = _gray(images)
        images = (gray + (images - gray) * saturation).clamp(0, 1)
    return images


def _gray(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
