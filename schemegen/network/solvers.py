"""Implicit groups of stages: solve ``z = g(z)`` for the stages of one step.

A plain number of fixed-point sweeps or Neumann terms is unrolled into the network. What needs more, an
early stop, acceleration, Newton's method or an implicit gradient, is the leaf module :class:`Solver`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Solver", "blind", "convergence", "evaluate", "gmres"]

Map = Callable[[Tensor], Tensor]


def evaluate(block: nn.Module, *arguments: Tensor | int) -> Tensor:
    """Return ``block(*arguments)``: how a sweep calls a block that it does not own."""
    return block(*arguments)  # type: ignore[no-any-return]


def gmres(apply: Map, right: Tensor, size: int) -> Tensor:
    """Return the least-squares solution of ``A y = right`` in a Krylov space of ``size`` dimensions.

    Source: Saad, Schultz (1986). ``apply`` is ``y -> A y``; vectors are flat.
    """
    scale = right.norm().clamp_min(torch.finfo(right.dtype).tiny)
    basis = [right / scale]
    columns = []
    for _ in range(size):
        vector = apply(basis[-1])
        column = []
        for known in basis:
            projection = torch.dot(known, vector)
            vector = vector - projection * known
            column.append(projection)
        length = vector.norm()
        columns.append(torch.stack([*column, length]))
        basis.append(vector / length.clamp_min(torch.finfo(right.dtype).tiny))
    hessenberg = torch.stack([nn.functional.pad(c, (0, size + 1 - c.numel())) for c in columns], 1)
    target = torch.zeros_like(hessenberg[:, 0])
    target = torch.cat([scale.reshape(1), target[1:]])
    # A tiny ridge keeps the normal equations solvable when the space is exhausted early.
    normal = hessenberg.T @ hessenberg
    ridge = torch.finfo(right.dtype).eps * normal.diagonal().sum()
    ridge = ridge.clamp_min(torch.finfo(right.dtype).tiny) * torch.eye(
        size, dtype=right.dtype, device=right.device
    )
    weights = torch.linalg.solve(normal + ridge, hessenberg.T @ target)
    result: Tensor = torch.stack(basis[:-1], 1) @ weights
    return result


class Solver(nn.Module):
    """Solve ``z = g(z)`` by ``method``, ``iterations`` times at most.

    ``fixed_point``: ``z <- g(z)``. ``anderson``: mixing of the last ``memory`` sweeps (Walker, Ni 2011).
    ``newton_krylov``: Newton's method, linear systems by GMRES with directional differences (Knoll, Keyes
    2004). Eager runs stop once ``|g(z) - z| <= tolerance (1 + |z|)``; a compiled network has no
    data-dependent control flow and takes all iterations.

    ``gradient`` ``implicit``: by the implicit function theorem, ``dz = (I - g')^-1 dg``; in a compiled
    network that inverse is its Neumann series of ``iterations`` terms, by as many sweeps at the solution.

    ``residual`` is ``|g(z) - z| / (1 + |z|)`` of the last eager call, after ``taken`` iterations, and
    ``adjoint_residual`` the same of the last adjoint system. One that stays above the tolerance is a
    warning, once.
    """

    restarts = 10

    def __init__(
        self, method: str, iterations: int, tolerance: float | None, memory: int, gradient: str
    ) -> None:
        super().__init__()
        self.method = method
        self.iterations = iterations
        self.tolerance = tolerance
        self.memory = memory
        self.gradient = gradient
        self.place = ""
        self.warned: set[str] = set()
        self.taken = 0
        self.residual: Tensor | None = None
        self.adjoint_residual: Tensor | None = None

    def forward(
        self, sweep: Callable[..., tuple[Tensor, ...]], guess: tuple[Tensor, ...], *known: object
    ) -> tuple[Tensor, ...]:
        shapes = [item.shape for item in guess]
        sizes = [item.numel() for item in guess]

        def split(z: Tensor) -> list[Tensor]:
            return [
                part.view(shape) for part, shape in zip(torch.split(z, sizes), shapes, strict=True)
            ]

        def g(z: Tensor) -> Tensor:
            return torch.cat([part.reshape(-1) for part in sweep(*split(z), *known)])

        z = torch.cat([item.reshape(-1) for item in guess])
        implicit = self.gradient == "implicit" and torch.is_grad_enabled()
        z = self.implicit(g, z) if implicit else self.solve(g, z)
        return tuple(split(z))

    def implicit(self, g: Map, z: Tensor) -> Tensor:
        with torch.no_grad():
            z = self.solve(g, z)
        if torch.compiler.is_compiling():
            for _ in range(self.iterations):
                z = g(z)
            return z
        start = z.detach().requires_grad_()
        image = g(start)
        result = g(z)
        if not result.requires_grad:
            return result

        def adjoint(gradient: Tensor) -> Tensor:
            def transposed(y: Tensor) -> Tensor:
                (pulled,) = torch.autograd.grad(image, start, y, retain_graph=True)
                return y - pulled

            y, left = gradient, gradient - transposed(gradient)
            for _ in range(3 if self.tolerance is None else self.restarts):
                if self.converged(left, gradient):
                    break
                y = y + gmres(transposed, left, min(self.iterations, y.numel()))
                left = gradient - transposed(y)
            self.adjoint_residual = self.report(left, gradient, "the adjoint system")
            return y

        result.register_hook(adjoint)  # type: ignore[no-untyped-call]
        return result

    def solve(self, g: Map, z: Tensor) -> Tensor:
        match self.method:
            case "fixed_point":
                z, residual = self.fixed_point(g, z)
            case "anderson":
                z, residual = self.anderson(g, z)
            case _:
                z, residual = self.newton_krylov(g, z)
        if not torch.compiler.is_compiling():
            self.residual = self.report(residual, z, self.method)
        return z

    def converged(self, residual: Tensor, z: Tensor) -> bool:
        if self.tolerance is None or torch.compiler.is_compiling():
            return False
        return bool(residual.norm() <= self.tolerance * (1 + z.norm()))

    def count(self, taken: int) -> None:
        if not torch.compiler.is_compiling():
            self.taken = taken

    def fixed_point(self, g: Map, z: Tensor) -> tuple[Tensor, Tensor]:
        residual = torch.zeros_like(z)
        for taken in range(1, self.iterations + 1):
            image = g(z)
            residual, z = image - z, image
            self.count(taken)
            if self.converged(residual, z):
                break
        return z, residual

    def anderson(self, g: Map, z: Tensor) -> tuple[Tensor, Tensor]:
        self.count(1)
        images, residuals = [g(z)], []
        residuals.append(images[0] - z)
        z = images[0]
        for taken in range(2, self.iterations + 1):
            image = g(z)
            self.count(taken)
            images, residuals = (
                [*images, image][-self.memory - 1 :],
                [*residuals, image - z][-self.memory - 1 :],
            )
            if self.converged(residuals[-1], z):
                return image, residuals[-1]
            z = image - self.mixture(images, residuals)
        return z, residuals[-1]

    def mixture(self, images: list[Tensor], residuals: list[Tensor]) -> Tensor:
        dr = torch.stack([b - a for a, b in pairwise(residuals)], 1)
        dg = torch.stack([b - a for a, b in pairwise(images)], 1)
        normal = dr.T @ dr
        ridge = 1e-14 if normal.dtype == torch.float64 else 1e-7
        scale = (ridge * normal.diagonal().sum()).clamp_min(torch.finfo(normal.dtype).tiny)
        identity = torch.eye(len(normal), dtype=normal.dtype, device=normal.device)
        weights: Tensor = torch.linalg.solve(normal + scale * identity, dr.T @ residuals[-1])
        mixed: Tensor = torch.mv(dg, weights)
        return mixed

    def newton_krylov(self, g: Map, z: Tensor) -> tuple[Tensor, Tensor]:
        residual = g(z) - z
        for taken in range(self.iterations + 1):
            self.count(taken)
            if taken == self.iterations or self.converged(residual, z):
                break
            epsilon = torch.finfo(z.dtype).eps ** 0.5 * (1 + z.detach().norm())

            def linear(
                y: Tensor, z: Tensor = z, base: Tensor = residual, epsilon: Tensor = epsilon
            ) -> Tensor:
                step = epsilon / y.detach().norm().clamp_min(torch.finfo(y.dtype).tiny)
                moved = z + step * y
                change: Tensor = (base - (g(moved) - moved)) / step
                return change

            z = z + gmres(linear, residual, min(self.memory, z.numel()))
            residual = g(z) - z
        return z, residual

    def report(self, residual: Tensor, z: Tensor, what: str) -> Tensor:
        """Return the relative residual of an eager call, and warn once where it is above the tolerance."""
        size: Tensor = residual.detach().norm() / (1 + z.detach().norm())
        if self.tolerance is None or what in self.warned:
            return size
        # A residual that is no number is not below it either.
        if not float(size) <= self.tolerance:
            self.warned.add(what)
            where = f"{self.place}: " if self.place else ""
            limit = (
                f"{self.iterations} iterations"
                if what == self.method
                else f"{self.restarts} restarts"
            )
            message = (
                f"{where}{what} stopped after {limit}, residual {float(size):.2g}, "
                f"tolerance {self.tolerance:.2g}"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=4)
        return size

    def extra_repr(self) -> str:
        return f"{self.method}, iterations={self.iterations}, gradient={self.gradient}"


def convergence(network: nn.Module) -> dict[str, dict[str, float | int | bool | None]]:
    """Return what the solvers of a network reached in its last eager call, by their names.

    ``iterations`` taken; ``residual`` and ``adjoint_residual`` relative to the solution and to the gradient, None
    before the first call (backward pass); ``converged`` None where no tolerance is declared.
    """
    found: dict[str, dict[str, float | int | bool | None]] = {}
    for name, item in network.named_modules():
        if isinstance(item, Solver):
            sizes = [
                None if size is None else float(size)
                for size in (item.residual, item.adjoint_residual)
            ]
            known = [size for size in sizes if size is not None]
            limit = item.tolerance
            reached = None if limit is None or not known else all(x <= limit for x in known)
            found[name] = {
                "iterations": item.taken,
                "residual": sizes[0],
                "adjoint_residual": sizes[1],
                "converged": reached,
            }
    return found


@contextmanager
def blind(module: nn.Module) -> Iterator[None]:
    """Let solvers take one iteration without looking at values, which fake tensors do not have."""
    found = [item for item in module.modules() if isinstance(item, Solver)]
    kept = [(item.iterations, item.tolerance, item.gradient) for item in found]
    for item in found:
        item.iterations, item.tolerance, item.gradient = 1, None, "unrolled"
    try:
        yield
    finally:
        for item, (iterations, tolerance, gradient) in zip(found, kept, strict=True):
            item.iterations, item.tolerance, item.gradient = iterations, tolerance, gradient
            item.taken, item.residual = 0, None
