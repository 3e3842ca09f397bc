"""Rooted trees, coloured trees and B-series: pure algebra that knows no scheme."""

from __future__ import annotations

from schemegen.series.bseries import Flow, VectorField, exponential, logarithm
from schemegen.series.rings import Number, Rationals, Ring
from schemegen.series.trees import Colour, Cut, Trees, rooted_trees

__all__ = [
    "Colour",
    "Cut",
    "Flow",
    "Number",
    "Rationals",
    "Ring",
    "Trees",
    "VectorField",
    "exponential",
    "logarithm",
    "rooted_trees",
]
