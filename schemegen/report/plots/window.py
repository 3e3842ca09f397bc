"""Which part of the complex plane a picture shows: what matters about a scheme, and a margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Window", "around"]

MARGIN = 0.16
LEAST_SHAPE = 0.42  # the shorter side over the longer one


@dataclass(frozen=True, slots=True)
class Window:
    """``left <= x <= right`` and ``-top <= y <= top``."""

    left: float
    right: float
    top: float

    def grid(self, points: int) -> NDArray[np.complex128]:
        """Return points of the closed upper half, rows from the real axis up; about ``points`` a row."""
        width = self.right - self.left
        rows = max(int(points * self.top / width), 2)
        x = np.linspace(self.left, self.right, points)
        y = np.linspace(0.0, self.top, rows)
        return x[None, :] + 1j * y[:, None]

    def holds(self, z: NDArray[np.complex128]) -> NDArray[np.bool_]:
        inside = (self.left <= z.real) & (z.real <= self.right) & (np.abs(z.imag) <= self.top)
        return np.asarray(inside)


def around(points: NDArray[np.complex128]) -> Window:
    """Return the window that holds the points and their conjugates, of no extreme shape."""
    points = points[np.isfinite(points)]
    x = np.append(points.real, 0.0)
    left, right, top = x.min(), x.max(), np.append(np.abs(points.imag), 0.0).max()
    size = max(right - left, 2 * top) or 2.0
    margin = MARGIN * size
    left, right, top = left - margin, right + margin, top + margin
    width = right - left
    lack = LEAST_SHAPE * 2 * top - width
    if lack > 0:
        left, right = left - lack / 2, right + lack / 2
    top = max(top, LEAST_SHAPE * width / 2)
    return Window(float(left), float(right), float(top))
