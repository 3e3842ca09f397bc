"""Implicit groups of stages: solve ``z = g(z)`` for the stages of one step.

A plain number of fixed-point sweeps or Neumann terms is unrolled into the network. What needs more, an
early stop, acceleration, Newton's method or an implicit gradient, is the leaf module :class:`Solver`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["Solver", "blind", "convergence", "evaluate", "gmres"]

Map = Callable[[Tensor], Tensor]


def evaluate(block: nn.Module, *arguments: Tensor | int) -> Tensor:
    """Return ``block(*arguments)``: how a sweep calls a block that it does not own."""
    return block(*arguments)  # type: ignore[no-any-return]


def constant(value: object) -> object:
    """Return what a sweep is handed without gradients, where that is known: a tensor, a block as a function."""
    if isinstance(value, Tensor):
        return value.detach()
    return getattr(value, "constant", value)


def damped(normal: Tensor, ridge: Tensor, right: Tensor) -> Tensor:
    """Return ``(N + ridge I)^-1 right`` for a small ``N`` that has no negative eigenvalue.

    Exported graphs eliminate in plain operations, since ONNX has no operator for linear systems. No pivot is below
    the ridge but for rounding.
    """
    matrix = normal + ridge * torch.eye(len(normal), dtype=normal.dtype, device=normal.device)
    if not torch.compiler.is_exporting():
        result: Tensor = torch.linalg.solve(matrix, right)
        return result
    return eliminated(matrix, right, ridge)


def eliminated(a: Tensor, b: Tensor, least: Tensor) -> Tensor:
    pivot = torch.maximum(a[0, 0], least)
    if len(b) == 1:
        return b / pivot
    factors = a[1:, 0] / pivot
    rest = eliminated(a[1:, 1:] - factors[:, None] * a[0, 1:], b[1:] - factors * b[0], least)
    return torch.cat([(b[:1] - (a[0, 1:] * rest).sum()) / pivot, rest])


def gmres(apply: Map, right: Tensor, size: int, enough: float | None = None) -> Tensor:
    """Return the least-squares solution of ``A y = right`` in a Krylov space of ``size`` dimensions at most.

    Source: Saad, Schultz (1986). ``apply`` is ``y -> A y``; vectors are flat. With ``enough`` the space grows only
    until ``|right - A y|`` is no larger, which needs its entries as numbers.
    """
    scale = right.norm().clamp_min(torch.finfo(right.dtype).tiny)
    basis = [right / scale]
    columns: list[Tensor] = []
    left = None if enough is None else Left(float(scale), enough)
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
        if left is not None and left.suffices(columns[-1].tolist()):
            break
    count = len(columns)
    hessenberg = torch.stack([F.pad(item, (0, count + 1 - len(item))) for item in columns])
    target = F.pad(scale[None], (0, count))
    # A tiny ridge keeps the normal equations solvable when the space is exhausted early.
    normal = hessenberg @ hessenberg.T
    ridge = torch.finfo(right.dtype).eps * normal.diagonal().sum()
    ridge = ridge.clamp_min(torch.finfo(right.dtype).tiny)
    weights = damped(normal, ridge, hessenberg @ target)
    result: Tensor = weights @ torch.stack(basis[:-1])
    return result


class Left:
    """The least-squares residual while a Krylov space grows, by rotations (Saad, Schultz, sec. 3.2)."""

    def __init__(self, norm: float, enough: float) -> None:
        self.norm = norm
        self.enough = enough
        self.rotations: list[tuple[float, float]] = []

    def suffices(self, column: list[float]) -> bool:
        """Return whether the norm is small enough, or no number, with one more column of the Hessenberg matrix."""
        value, *rest = column
        for (cosine, sine), below in zip(self.rotations, rest, strict=False):
            value = cosine * below - sine * value
        length = math.hypot(value, column[-1])
        cosine, sine = (value / length, column[-1] / length) if length else (1.0, 0.0)
        self.rotations.append((cosine, sine))
        self.norm *= abs(sine)
        return not self.norm > self.enough


class Solver(nn.Module):
    """Solve ``z = g(z)`` by ``method``, ``iterations`` times at most.

    ``fixed_point``: ``z <- g(z)``. ``anderson``: mixing of the last ``memory`` sweeps (Walker, Ni 2011).
    ``newton_krylov``: Newton's method, linear systems by GMRES with directional differences (Knoll, Keyes
    2004). Eager runs stop once ``|g(z) - z| <= tolerance (1 + |z|)``; a compiled network has no
    data-dependent control flow and takes all iterations; an exported one has a loop that stops.

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
        def split(z: Tensor) -> list[Tensor]:
            parts = torch.split(z, [item.numel() for item in guess])
            return [part.view_as(item) for part, item in zip(parts, guess, strict=True)]

        def g(z: Tensor, known: Sequence[object] = known) -> Tensor:
            return torch.cat([part.reshape(-1) for part in sweep(*split(z), *known)])

        def fixed(z: Tensor) -> Tensor:
            return g(z, [constant(item) for item in known])

        z = torch.cat([item.reshape(-1) for item in guess])
        if torch.compiler.is_exporting():
            # What a loop gives has a size that the next loop cannot be traced with, and so have its views.
            return tuple(part.clone() for part in split(self.exported(g, z)))
        implicit = self.gradient == "implicit" and torch.is_grad_enabled()
        z = self.implicit(g, fixed, z) if implicit else self.solve(g, z)
        return tuple(split(z))

    def implicit(self, g: Map, fixed: Map, z: Tensor) -> Tensor:
        with torch.no_grad():
            z = self.solve(g, z)
        if torch.compiler.is_compiling():
            for _ in range(self.iterations):
                z = g(z)
            return z
        start = z.detach().requires_grad_()
        image = fixed(start)
        result = g(z)
        if not result.requires_grad:
            return result

        def adjoint(gradient: Tensor) -> Tensor:
            def transposed(y: Tensor) -> Tensor:
                (pulled,) = torch.autograd.grad(image, start, y, retain_graph=True)
                return y - pulled

            size, bound = min(self.iterations, gradient.numel()), self.bound(gradient)
            enough = None if bound is None else float(bound)
            y, left = gradient, gradient - transposed(gradient)
            for _ in range(3 if self.tolerance is None else self.restarts):
                if self.converged(left, gradient):
                    break
                y = y + gmres(transposed, left, size, enough)
                left = gradient - transposed(y)
            self.adjoint_residual = self.report(left, gradient, "the adjoint system")
            return y

        result.register_hook(adjoint)  # type: ignore[no-untyped-call]
        return result

    def solve(self, g: Map, z: Tensor) -> Tensor:
        taken, state = self.start(g, z)
        while taken < self.iterations and not self.converged(state[1], state[0]):
            taken, state = taken + 1, self.step(g, *state)
        if not torch.compiler.is_compiling():
            self.taken = taken
            self.residual = self.report(state[1], state[0], self.method)
        return state[0]

    def exported(self, g: Map, z: Tensor) -> Tensor:
        """Solve by a loop that an exported graph keeps as a loop, early stop included."""
        from torch._higher_order_ops import while_loop

        taken, state = self.start(g, z)

        def more(taken: Tensor, z: Tensor, residual: Tensor, *rest: Tensor) -> Tensor:
            within = taken < self.iterations
            bound = self.bound(z)
            return (
                within if bound is None else torch.logical_and(within, ~(residual.norm() <= bound))
            )

        def body(taken: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            return (taken + 1, *self.step(g, *state))

        first = torch.full((), taken, dtype=torch.long, device=z.device)
        found: Tensor = while_loop(more, body, (first, *state))[1]  # type: ignore[no-untyped-call]
        return found

    def start(self, g: Map, z: Tensor) -> tuple[int, tuple[Tensor, ...]]:
        """Return how many iterations the first values take, and these: ``z``, its residual, what else is kept."""
        image = g(z)
        if self.method == "newton_krylov":
            return 0, (z, image - z)
        if self.method == "fixed_point":
            return 1, (image, image - z)
        differences = torch.zeros_like(z).repeat(self.memory, 1)
        return 1, (image, image - z, differences, differences.clone())

    def step(self, g: Map, z: Tensor, residual: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return the values after one more iteration."""
        match self.method:
            case "fixed_point":
                image = g(z)
                return image, image - z
            case "anderson":
                return self.anderson(g, z, residual, *rest)
            case _:
                return self.newton_krylov(g, z, residual)

    def bound(self, z: Tensor) -> Tensor | None:
        """Return the norm of a residual with which a solution of the size of ``z`` is one."""
        return None if self.tolerance is None else self.tolerance * (1 + z.norm())

    def converged(self, residual: Tensor, z: Tensor) -> bool:
        bound = None if torch.compiler.is_compiling() else self.bound(z)
        return bound is not None and bool(residual.norm() <= bound)

    def anderson(
        self, g: Map, image: Tensor, residual: Tensor, dg: Tensor, dr: Tensor
    ) -> tuple[Tensor, ...]:
        """Sweep from the mixture of the last images; ``dg``, ``dr`` are their differences, 0 before the first."""
        normal = dr @ dr.T
        ridge = 1e-14 if normal.dtype == torch.float64 else 1e-7
        scale = (ridge * normal.diagonal().sum()).clamp_min(torch.finfo(normal.dtype).tiny)
        z = image - damped(normal, scale, dr @ residual) @ dg
        fresh = g(z)
        left = fresh - z
        dg = torch.cat([dg[1:], (fresh - image)[None]])
        dr = torch.cat([dr[1:], (left - residual)[None]])
        return fresh, left, dg, dr

    def newton_krylov(self, g: Map, z: Tensor, residual: Tensor) -> tuple[Tensor, ...]:
        epsilon = torch.finfo(z.dtype).eps ** 0.5 * (1 + z.detach().norm())

        def linear(y: Tensor) -> Tensor:
            step = epsilon / y.detach().norm().clamp_min(torch.finfo(y.dtype).tiny)
            moved = z + step * y
            change: Tensor = (residual - (g(moved) - moved)) / step
            return change

        exporting = torch.compiler.is_exporting()  # the batch has no size then
        z = z + gmres(linear, residual, self.memory if exporting else min(self.memory, z.numel()))
        return z, g(z) - z

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
