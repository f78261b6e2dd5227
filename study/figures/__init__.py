"""Figures as matplotlib objects: every axis labelled with its unit, legible in print and for colour-blind readers."""

from study.figures.curves import Curve, learning_curves, lr_range_figure, training_curves
from study.figures.designs import (
    Bundle,
    Estimate,
    bundles_figure,
    differences_figure,
    ranks_figure,
)
from study.figures.style import PALETTE

__all__ = [
    "PALETTE",
    "Bundle",
    "Curve",
    "Estimate",
    "bundles_figure",
    "differences_figure",
    "learning_curves",
    "lr_range_figure",
    "ranks_figure",
    "training_curves",
]
