"""The spectrum of a field's Jacobian at data: all of it for small states, by Arnoldi's method for large ones.

Arnoldi needs products ``J v`` alone. Source: Lehoucq, Sorensen, Yang (1998), ARPACK users' guide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemegen.diagnostics import UsageError
from schemegen.training.jacobians import products

__all__ = ["eigenvalues"]

Map = Callable[[Tensor], Tensor]
Complex = NDArray[np.complex128]

DENSE = 300  # entries of a state up to which the whole matrix is built
ASKED = 12
ITERATIONS = 300
EQUAL = 1e-6


def eigenvalues(f: Map, x: Tensor, *, count: int = ASKED, seed: int = 0) -> tuple[Complex, bool]:
    """Return eigenvalues of the Jacobian of f at one sample ``x`` of shape ``(1, ..)``, and whether they are all.

    Args: count: of the largest ones, and of those with the largest real part, where the state is large.
    """
    n = x.numel()
    if n <= max(DENSE, 2 * count + 2):
        found = np.asarray(np.linalg.eigvals(_matrix(f, x)), dtype=complex)
        return _ordered(found), True
    return _ordered(_arnoldi(f, x, count, seed)), False


def _matrix(f: Map, x: Tensor) -> NDArray[np.float64]:
    """Return the Jacobian: as many equal samples as it has rows, each pulled back along one of them."""
    n = x.numel()
    at = x.detach().expand(n, *x.shape[1:]).clone().requires_grad_()
    with torch.enable_grad():
        y = f(at)
    rows = torch.eye(n, dtype=y.dtype).reshape(y.shape)
    (jacobian,) = torch.autograd.grad(y, at, rows)
    return np.asarray(jacobian.reshape(n, n).numpy(), dtype=np.float64)


def _arnoldi(f: Map, x: Tensor, count: int, seed: int) -> Complex:
    linalg = _scipy()
    n = x.numel()
    forward = products(f, x)[0]

    def times(v: NDArray[Any]) -> NDArray[Any]:
        direction = torch.from_numpy(np.ascontiguousarray(v.reshape(-1), dtype=np.float64))
        return forward(direction.reshape(x.shape).to(x)).reshape(-1).double().numpy()

    operator = linalg.LinearOperator((n, n), matvec=times, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(n)
    parts = []
    for which in ("LM", "LR"):
        try:
            values = linalg.eigs(
                operator,
                count,
                which=which,
                v0=start,
                ncv=min(4 * count, n),
                maxiter=ITERATIONS,
                tol=EQUAL,
                return_eigenvectors=False,
            )
        except linalg.ArpackNoConvergence as error:
            values = error.eigenvalues
        parts.append(np.asarray(values, dtype=complex))
    return np.concatenate(parts)


def _ordered(values: Complex) -> Complex:
    """Return each value once, the largest first; a pair's upper half before its lower."""
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-30)
    kept: list[complex] = []
    for value in sorted(values, key=lambda z: (-round(abs(z) / scale, 9), z.real, -z.imag)):
        if all(abs(value - other) > EQUAL * scale for other in kept) or len(values) <= 1:
            kept.append(complex(value))
    return np.asarray(kept, dtype=complex)


def _scipy() -> Any:
    try:
        from scipy.sparse import linalg
    except ModuleNotFoundError as error:
        raise UsageError(
            "spectra of large states need scipy, which is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    return linalg
