"""Figures as matplotlib objects, with the unit on every axis, legible in print and for colour-blind readers."""

from study.figures.curves import Curve, learning_curves, lr_range_figure, training_curves
from study.figures.designs import (
    Bundle,
    Estimate,
    bundles_figure,
    differences_figure,
    ranks_figure,
)
from study.figures.images import image_grid, worst_images
from study.figures.models import confusion_figure, layers_figure
from study.figures.regrets import Descent, regret_figure
from study.figures.shares import shares_figure
from study.figures.style import PALETTE, save

__all__ = [
    "PALETTE",
    "Bundle",
    "Curve",
    "Descent",
    "Estimate",
    "bundles_figure",
    "confusion_figure",
    "differences_figure",
    "image_grid",
    "layers_figure",
    "learning_curves",
    "lr_range_figure",
    "ranks_figure",
    "regret_figure",
    "save",
    "shares_figure",
    "training_curves",
    "worst_images",
]
