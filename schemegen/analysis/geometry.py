"""Structure that a step preserves, decided on the coefficients of its stages.

Symplectic: ``b_i a_ij + b_j a_ji = b_i b_j``; symmetric: the adjoint ``a*_ij = b_j - a_ij`` is the method with its
stages in another order. Source: Hairer, Lubich, Wanner (2006), II.3, IV.2, V.2, VI.4-7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sympy

from schemegen.analysis.expansion_model import Conserved
from schemegen.analysis.linear_coefficients import number
from schemegen.analysis.model import Geometry, Note
from schemegen.analysis.parasitic import parasitic_growth, parasitic_roots
from schemegen.analysis.reals import RealField
from schemegen.analysis.reversible import reversible
from schemegen.analysis.stability import LinearAnalysis
from schemegen.analysis.stages import RungeKutta, Stages, runge_kutta_form, stages
from schemegen.step.evaluation import StillRandomError, evaluated
from schemegen.step.program import Program

__all__ = ["evaluated", "geometry", "with_conservation"]

Element = Any


def geometry(program: Program, linear: LinearAnalysis) -> tuple[Geometry, list[Note]]:
    """Decide what the coefficients decide; the rest is None with a note."""
    notes: list[Note] = []
    found = stages(without_noise(program))
    roots = parasitic_roots(linear)
    result = Geometry(parasitic_roots=roots, parasitic_growth=parasitic_growth(linear, roots))
    if result.parasitic_roots is None:
        text = "the step is a matrix: of several states, or of powers of h besides z"
        notes += [Note(f"geometry.{key}", text) for key in ("parasitic_roots", "parasitic_growth")]
    if found is None:
        notes.append(Note("geometry", "the step has no stage form"))
        return replace(result, symmetric=_symmetric(None, linear)), notes
    back, remark = reversible(program)
    if remark is not None:
        notes.append(Note("geometry.reversible", remark))
    method = runge_kutta_form(found)
    result = replace(
        result,
        reversible=back,
        fsal=_fsal(found) if not program.inputs else None,
        symplectic=_symplectic(method),
        symmetric=_symmetric(method, linear),
        algebraically_stable=_algebraically_stable(method),
        conserves_quadratic=_conserves_quadratic(method),
    )
    for key in ("symplectic", "symmetric", "algebraically_stable", "conserves_quadratic", "fsal"):
        if getattr(result, key) is None:
            notes.append(Note(f"geometry.{key}", _reason(key, method, program)))
    if program.noises:
        notes.append(
            Note("geometry", "of the step in evaluation mode, noises replaced by their means")
        )
    return result, notes


def without_noise(program: Program) -> Program:
    """Return the program in evaluation mode; as it is where a noise stays on."""
    try:
        return evaluated(program)
    except StillRandomError:
        return program


def with_conservation(
    found: Geometry, conservation: Conserved | None, program: Program
) -> tuple[Geometry, list[Note]]:
    """Add to which power of h the form and the energy are kept; a finite power denies the property.

    For steps with history it is said of the method that the principal root follows.
    """
    notes: list[Note] = []
    if conservation is None:
        text = "the fields have no Hamiltonian shape: f(u), or f(p) and g(q)"
        keys = ("symplectic_to", "energy_preserving_to")
        return found, [Note(f"geometry.{key}", text) for key in keys]
    beyond = f"at least {conservation.nodes}; larger trees were not examined"
    form, energy = conservation.symplectic_to, conservation.energy_preserving_to
    if found.symplectic is True:
        found = replace(found, symplectic_to=sympy.oo)
    elif form is None:
        notes.append(Note("geometry.symplectic_to", beyond))
    else:
        found = replace(found, symplectic_to=sympy.Integer(form))
        if found.symplectic is None and not program.params:
            found = replace(found, symplectic=False)
            if len(program.states) == 1:
                found = replace(found, conserves_quadratic=False)
    if energy is None:
        notes.append(Note("geometry.energy_preserving_to", beyond))
    else:
        found = replace(found, energy_preserving_to=sympy.Integer(energy))
    return found, notes


def _reason(key: str, method: RungeKutta | None, program: Program) -> str:
    """Say why a property is open."""
    if method is None:
        if program.history and key == "algebraically_stable":
            return "a notion of one-step methods; of multistep methods it is G-stability"
        return "not decided: the step is no Runge-Kutta method"
    if key == "algebraically_stable" and len(set(method.fields)) != 1:
        return "a notion of methods of one field"
    if key == "conserves_quadratic" and len(method.states) != 1:
        return (
            "a partitioned method keeps q^T D p where it is symplectic; others depend on the field"
        )
    if key == "symplectic" and len(method.states) != 1:
        return "decided for fields f(p) and g(q)"
    return "depends on symbols" if method.has_parameters else "not decided for this method"


def _defect(method: RungeKutta, i: int, j: int) -> Element:
    a, b = method.a, method.b
    return b[i] * a[i][j] + b[j] * a[j][i] - b[i] * b[j]


def _symplectic(method: RungeKutta | None) -> bool | None:
    if method is None:
        return None
    n = len(method.b)
    if len(method.states) == 1:
        pairs = [(i, j) for i in range(n) for j in range(i, n)]
    elif len(method.states) == 2 and all(
        a != d for a, d in zip(method.at, method.drives, strict=True)
    ):
        pairs = [(i, j) for i in range(n) for j in range(i) if method.drives[i] != method.drives[j]]
    else:
        return None
    defects = [_defect(method, i, j) for i, j in pairs]
    if not any(defects):
        return True
    return None if method.has_parameters else False


def _conserves_quadratic(method: RungeKutta | None) -> bool | None:
    if method is None or len(method.states) != 1:
        return None
    return _symplectic(method)


def _algebraically_stable(method: RungeKutta | None) -> bool | None:
    """``b >= 0`` and the matrix ``b_i a_ij + b_j a_ji - b_i b_j`` positive semidefinite."""
    if method is None or len(method.states) != 1 or method.has_parameters:
        return None
    if len(set(method.fields)) != 1:
        return None
    reals = method.coefficients.reals
    n = len(method.b)
    weights = [number(e) for e in method.b]
    if any(reals.sign(e) < 0 for e in weights):
        return False
    matrix = [[number(_defect(method, i, j)) for j in range(n)] for i in range(n)]
    return _is_semidefinite(reals, matrix)


def _is_semidefinite(reals: RealField, matrix: Sequence[Sequence[Any]]) -> bool:
    """Eliminate symmetrically: no negative pivot, and a zero pivot only with a zero row."""
    rest = [list(row) for row in matrix]
    while rest:
        head = rest[0]
        sign = reals.sign(head[0])
        if sign < 0 or (sign == 0 and any(head)):
            return False
        below = [row[1:] for row in rest[1:]]
        if sign > 0:
            for i, row in enumerate(below):
                factor = head[i + 1] / head[0]
                for j in range(len(row)):
                    row[j] -= factor * head[j + 1]
        rest = below
    return True


def _symmetric(method: RungeKutta | None, linear: LinearAnalysis) -> bool | None:
    if method is not None and _has_adjoint_order(method):
        return True
    step = linear.step
    if step is None:
        return None
    stability = linear.stability
    if stability.rho is not None and stability.sigma is not None:
        mirrored = all(a + b == 0 for a, b in zip(stability.rho, stability.rho[::-1], strict=True))
        mirrored = mirrored and stability.sigma == stability.sigma[::-1]
        if mirrored:
            return True
        return None if step.coefficients.has_parameters else False
    if step.coefficients.has_parameters or len(step.columns) != step.states:
        return None
    return None if _is_inverse_at_minus(linear) else False


def _is_inverse_at_minus(linear: LinearAnalysis) -> bool:
    """Say whether M(z) M(-z) = I, as it must be for a symmetric method."""
    step = linear.step
    matrix = step.scaled if step is not None else None
    if step is None or matrix is None:
        return True
    n = len(matrix)
    field = step.coefficients.field
    mirrored = [[_at_minus(e) for e in row] for row in matrix]
    return all(
        sum((matrix[i][k] * mirrored[k][j] for k in range(n)), field.zero)
        == (field.one if i == j else field.zero)
        for i in range(n)
        for j in range(n)
    )


def _at_minus(element: Element) -> Element:
    ring = element.field.ring

    def mirrored(polynomial: Any) -> Any:
        return ring.from_dict({m: c * (-1) ** m[0] for m, c in polynomial.terms()})

    return element.field.new(mirrored(element.numer)) / element.field.new(mirrored(element.denom))


def _has_adjoint_order(method: RungeKutta) -> bool:
    """Search an order of the stages that turns the adjoint into the method itself."""
    n = len(method.b)
    kinds = [(method.fields[i], method.at[i], method.drives[i], method.b[i]) for i in range(n)]
    zero = method.coefficients.field.zero

    def adjoint(i: int, j: int) -> Element:
        return (method.b[j] if method.drives[j] == method.at[i] else zero) - method.a[i][j]

    def extend(order: list[int]) -> bool:
        i = len(order)
        if i == n:
            return True
        for candidate in range(n):
            if candidate in order or kinds[candidate] != kinds[i]:
                continue
            trial = [*order, candidate]
            if all(
                method.a[candidate][trial[j]] == adjoint(i, j)
                and method.a[trial[j]][candidate] == adjoint(j, i)
                for j in range(i + 1)
            ) and extend(trial):
                return True
        return False

    return extend([])


def _fsal(found: Stages) -> bool:
    """The last evaluation of a step, that of an embedded solution included, is the first one of the next."""
    one = {0: found.coefficients.field.one}
    first = {s.field for s in found.every if s.argument == {f"{s.state}[n]": one}}
    last = {s.field for s in found.every if s.argument == found.new[f"{s.state}[n]"]}
    return bool(first & last)
