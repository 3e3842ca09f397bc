"""The characteristic polynomial of a step in floating point: what every picture of stability is drawn from.

On ``u' = lambda u`` with ``z = h lambda`` a step has the roots zeta of ``sum_ji c[j, i] zeta^j z^i``:
``Q(z) zeta - P(z)`` for one-step methods, ``rho(zeta) - z sigma(zeta)`` for multistep methods and the numerator of
``det(zeta I - M(z))`` for a matrix. Source: Hairer, Wanner (1996), IV.3 and V.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy.core.function import AppliedUndef

from schemegen.analysis.linear import characteristic as determinant
from schemegen.analysis.model import Stability

__all__ = ["Characteristic", "characteristic", "free_symbols"]

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Values = Mapping[sympy.Symbol, sympy.Expr]

Z = sympy.Symbol("z")
H = sympy.Symbol("h")
DIGITS = 30


@dataclass(frozen=True)
class Characteristic:
    """``coefficients[j, i]`` stands before ``zeta^j z^i``; the last row is not zero."""

    coefficients: Real

    @property
    def degree(self) -> int:
        """The number of roots zeta."""
        return len(self.coefficients) - 1

    def roots(self, z: Complex) -> Complex:
        """Return all roots zeta at each ``z``, along a new last axis; inf where a root has left."""
        z = np.asarray(z, dtype=complex)
        powers = z[..., None] ** np.arange(self.coefficients.shape[1])
        in_zeta = powers @ self.coefficients.T
        with np.errstate(all="ignore"):
            monic = in_zeta[..., :-1] / in_zeta[..., -1:]
        far = np.asarray(~np.isfinite(monic).all(axis=-1))
        monic = np.where(far[..., None], 0, monic)
        return np.where(far[..., None], np.inf, _monic_roots(monic))

    def growth(self, z: Complex) -> Real:
        """Return the largest modulus of a root at each ``z``."""
        return np.asarray(np.abs(self.roots(z)).max(axis=-1))

    def locus(self, theta: Real) -> Complex:
        """Return the z that have the root ``exp(i theta)``: a row for each angle, nan where there are fewer."""
        turns = np.exp(1j * np.asarray(theta))[:, None] ** np.arange(self.degree + 1)
        in_z = turns @ self.coefficients
        width = self.coefficients.shape[1] - 1
        found = np.full((len(in_z), max(width, 1)), np.nan + 0j)
        for row, polynomial in zip(found, in_z, strict=True):
            scale = np.abs(polynomial).max()
            kept = np.where(np.abs(polynomial) > 1e-13 * scale, polynomial, 0)
            roots = np.roots(kept[::-1])
            row[: len(roots)] = roots
        return found

    def zeros(self) -> Complex:
        """Return the zeros of R of a one-step method."""
        return _roots(self.coefficients[0]) if self.degree == 1 else np.zeros(0, dtype=complex)

    def poles(self) -> Complex:
        """Return the z at which a root goes to infinity: the poles of R, or where an implicit step fails."""
        return _roots(self.coefficients[-1])


def _monic_roots(ascending: Complex) -> Complex:
    """Return the roots of ``zeta^k + .. + ascending[0]``, polynomials along the last axis."""
    degree = ascending.shape[-1]
    if degree == 1:
        return -ascending
    if degree == 2:
        return _quadratic(ascending[..., 1], ascending[..., 0])
    companion = np.zeros((*ascending.shape, degree), dtype=complex)
    companion[..., range(1, degree), range(degree - 1)] = 1
    companion[..., :, -1] = -ascending
    return np.asarray(np.linalg.eigvals(companion), dtype=complex)


def _quadratic(b: Complex, c: Complex) -> Complex:
    """Return the roots of ``zeta^2 + b zeta + c`` without cancellation."""
    root = np.sqrt(b * b - 4 * c)
    far = -(b + np.where((np.conj(b) * root).real >= 0, root, -root)) / 2
    with np.errstate(all="ignore"):
        near = np.where(far == 0, 0, c / far)
    return np.stack([far, near], axis=-1)


def _roots(ascending: Real) -> Complex:
    return np.asarray(np.roots(ascending[::-1]), dtype=complex)


def free_symbols(stability: Stability) -> tuple[sympy.Symbol, ...]:
    """Return the params that the stability of a scheme depends on, by name."""
    found: set[sympy.Symbol] = set()
    for value in _values(stability):
        found |= value.free_symbols
    return tuple(sorted(found - {Z, H}, key=lambda symbol: str(symbol.name)))


def _values(stability: Stability) -> Iterable[sympy.Expr]:
    for values in (stability.numerator, stability.denominator, stability.rho, stability.sigma):
        yield from values or ()
    for row in stability.matrix or ():
        yield from row


def characteristic(stability: Stability, at: Values) -> Characteristic | None:
    """Return the polynomial with the params replaced by exact numbers; None where there is none.

    ``h`` in a coefficient (``exp(-h lam)``) is one: a picture shows one step.
    """
    at = {H: sympy.Integer(1), **at}
    rows: Sequence[Sequence[sympy.Expr]]
    if stability.numerator is not None and stability.denominator is not None:
        rows = [[-c for c in stability.numerator], stability.denominator]
    elif stability.rho is not None and stability.sigma is not None:
        rows = [[r, -s] for r, s in zip(stability.rho, stability.sigma, strict=True)]
    elif stability.matrix is not None:
        rows = _determinant(stability.matrix, at)
    else:
        return None
    table = np.zeros((len(rows), max(map(len, rows))))
    for j, row in enumerate(rows):
        for i, value in enumerate(row):
            table[j, i] = float(_number(value, at))
    return _trimmed(table)


def _trimmed(table: Real) -> Characteristic:
    """Drop a leading zero row, roots that are always 0, and powers of z that nothing has."""
    while len(table) > 2 and not table[-1].any():
        table = table[:-1]
    while len(table) > 2 and not table[0].any():
        table = table[1:]
    while table.shape[1] > 1 and not table[:, -1].any():
        table = table[:, :-1]
    return Characteristic(table)


def _number(value: sympy.Expr, at: Values) -> sympy.Rational:
    """Return a value without symbols but ``at``'s as a rational number of thirty digits or more."""
    value = _with_phi(value.xreplace(dict(at)))
    return value if value.is_Rational else sympy.Rational(str(value.evalf(DIGITS)))


def _with_phi(value: sympy.Expr) -> sympy.Expr:
    """Write phi_k through exp: ``phi_0 = exp``, ``phi_{k+1}(x) = (phi_k(x) - 1/k!)/x``."""
    found: dict[Any, sympy.Expr] = {}
    for call in value.atoms(AppliedUndef):
        order, x = int(call.func.__name__[3:]), call.args[0]
        phi = sympy.exp(x)
        for k in range(order):
            phi = (phi - 1 / sympy.factorial(k)) / x
        found[call] = 1 / sympy.factorial(order) if x == 0 else phi
    return value.xreplace(found)


def _determinant(matrix: Sequence[Sequence[sympy.Expr]], at: Values) -> list[list[sympy.Expr]]:
    """Return the numerator of ``det(zeta I - M(z))``, a row for each power of zeta."""
    domain = sympy.QQ.frac_field(Z)
    entries = [[domain.from_sympy(_rational(entry, at)) for entry in row] for row in matrix]
    coefficients = determinant(entries, domain.field)
    common = domain.field.ring.one
    for element in coefficients:
        common = common * element.denom.quo(common.gcd(element.denom))
    rows = []
    for element in coefficients:
        whole = element.numer * common.quo(element.denom)
        row = [sympy.Integer(0)] * (max((m[0] for m in whole.monoms()), default=0) + 1)
        for (power,), coefficient in whole.terms():
            row[power] = sympy.QQ.to_sympy(coefficient)
        rows.append(row)
    return rows


def _rational(entry: sympy.Expr, at: Values) -> sympy.Expr:
    """Replace the params and every root or function value by rational numbers; ``z`` stays."""
    entry = _with_phi(entry.xreplace(dict(at)))
    if not entry.free_symbols:
        return _number(entry, {})
    if entry.is_Add or entry.is_Mul:
        return entry.func(*(_rational(part, {}) for part in entry.args))
    if entry.is_Pow and entry.exp.is_Integer:
        return _rational(entry.base, {}) ** entry.exp
    return entry
