"""Linear stability of a step program: R(z), rho and sigma, or a matrix, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy

from schemegen.analysis.linear import LinearStep, NotLinearError, characteristic, linear_step
from schemegen.analysis.linear_coefficients import Z_GENERATOR, CoefficientField, number
from schemegen.analysis.matrix_intervals import imaginary_interval, real_interval
from schemegen.analysis.model import Note, Stability
from schemegen.analysis.multistep import MultistepMethod
from schemegen.analysis.one_step import StabilityFunction, lowest_terms
from schemegen.analysis.parameter_set import Cell
from schemegen.analysis.symbolic_intervals import linear_function_interval, two_step_interval
from schemegen.analysis.zero_stability import zero_stability
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.model import Param
from schemegen.step.program import Program

__all__ = ["LinearAnalysis", "linear_analysis"]

Element = Any
Z = sympy.Symbol("z")


@dataclass
class LinearAnalysis:
    """The result and the objects behind it, for claims and structure."""

    stability: Stability = field(default_factory=Stability)
    notes: list[Note] = field(default_factory=list)
    step: LinearStep | None = None
    function: StabilityFunction | None = None
    multistep: MultistepMethod | None = None
    zero_stable_symbol: str | None = None
    zero_stable_cells: tuple[Cell, ...] = ()

    def note(self, key: str, text: str) -> None:
        self.notes.append(Note(key, text))


def linear_analysis(program: Program) -> LinearAnalysis:
    """Analyse the step on ``u' = lambda u``; what is not decided stays None and gets a note."""
    result = LinearAnalysis()
    try:
        step = linear_step(program)
    except NotLinearError as error:
        result.note("stability", str(error))
        return result
    result.step = step
    found = zero_stability(step, printed)
    result.zero_stable_symbol, result.zero_stable_cells = found.symbol, found.cells
    result.stability = Stability(zero_stable=found.holds)
    if found.reason is not None:
        result.note("stability.zero_stable", found.reason)
    _assumptions(result, program)
    scaled = step.scaled
    if scaled is None:
        result.note("stability.function", "the step is no function of z = h*lambda alone")
        return result
    if len(step.columns) == 1:
        _one_step(result, scaled[0][0])
    else:
        _several(result, scaled)
    _with_symbols(result, program)
    return result


def _with_symbols(result: LinearAnalysis, program: Program) -> None:
    """Add the real interval of a scheme with symbols where its ends are rational in them."""
    stability = result.stability
    if not program.params or stability.real_interval is not None:
        return
    nonnegative = frozenset(param.name for param in program.params if _is_nonnegative(param))
    interval = None
    if stability.numerator is not None and stability.denominator is not None:
        interval = linear_function_interval(stability.numerator, stability.denominator, nonnegative)
    elif stability.rho is not None and stability.sigma is not None:
        interval = two_step_interval(stability.rho, stability.sigma, nonnegative)
    if interval is None:
        return
    result.stability = replace(stability, real_interval=interval)
    result.notes = [note for note in result.notes if note.key != "stability.real_interval"]
    result.note("stability.real_interval", "for the values at which the scheme is zero-stable")


def _is_nonnegative(param: Param) -> bool:
    """Return whether a param cannot be negative: by its range, or by the function it is stored through."""
    if param.range is not None and param.range.low.is_nonnegative:
        return True
    via = "" if param.via is None else param.via.func.__name__
    return via in ("relu", "softplus", "exp", "sigmoid", "Max")


def _assumptions(result: LinearAnalysis, program: Program) -> None:
    if program.noises:
        result.note("stability", "of the step in evaluation mode, noises replaced by their means")
    if result.step is not None and not result.step.explicit:
        result.note("stability", "of the exact solution of the implicit equations")


def _in_z(element: Element, field_: CoefficientField) -> tuple[list[Element], list[Element]]:
    """Return numerator and denominator, ascending in z, with coefficients in K(params)."""

    def split(polynomial: Any) -> list[Element]:
        ring = polynomial.ring
        parts = [ring.zero] * (max((m[0] for m in polynomial.monoms()), default=0) + 1)
        for monomial, coefficient in polynomial.terms():
            parts[monomial[0]] += ring.from_dict({(0, *monomial[1:]): coefficient})
        return [field_.field.new(part) for part in parts]

    return split(element.numer), split(element.denom)


def _one_step(result: LinearAnalysis, r: Element) -> None:
    step = result.step
    assert step is not None
    coefficients = step.coefficients
    above, below = _in_z(r, coefficients)
    scale = next(c for c in below if c)
    numerator = tuple(coefficients.expr(c / scale) for c in above)
    denominator = tuple(coefficients.expr(c / scale) for c in below)
    result.stability = replace(result.stability, numerator=numerator, denominator=denominator)
    if step.coefficients.has_parameters:
        _symbolic_one_step(result, above, below)
        return
    function = lowest_terms(
        coefficients.reals, [number(c) for c in above], [number(c) for c in below]
    )
    result.function = function
    result.stability = replace(
        result.stability,
        numerator=tuple(function.reals.exact(c) for c in function.numerator),
        denominator=tuple(function.reals.exact(c) for c in function.denominator),
        at_infinity=function.at_infinity,
        a_stable=function.a_stable,
        l_stable=function.l_stable,
        i_stable=function.i_stable,
        real_interval=function.real_interval,
        imaginary_interval=function.imaginary_interval,
        a_alpha_degrees=90.0 if function.a_stable else function.a_alpha_degrees(),
    )
    _missing_intervals(result)


def _missing_intervals(result: LinearAnalysis) -> None:
    for key in ("real_interval", "imaginary_interval"):
        if getattr(result.stability, key) is None:
            result.note(f"stability.{key}", "there is none next to z = 0")
    if result.stability.a_alpha_degrees is None and result.stability.a_stable is not None:
        result.note("stability.A_alpha_degrees", "no sector around the negative axis is stable")


def _symbolic_one_step(
    result: LinearAnalysis, above: Sequence[Element], below: Sequence[Element]
) -> None:
    """With symbols only what holds for all their values is decided: polynomials are not A-stable."""
    if result.step is not None and result.step.explicit and len(above) > 1 and len(below) == 1:
        result.stability = replace(result.stability, a_stable=False, l_stable=False, i_stable=None)
        result.note("stability.real_interval", "depends on symbols")
    else:
        result.note("stability.A", "depends on symbols")


def _several(result: LinearAnalysis, scaled: Sequence[Sequence[Element]]) -> None:
    step = result.step
    assert step is not None
    coefficients = step.coefficients
    polynomial = _cleared(characteristic(scaled, coefficients.field))
    if step.states == 1 and all(len(_in_z(c, coefficients)[0]) <= 2 for c in polynomial):
        _multistep(result, polynomial)
        return
    z = {Z_GENERATOR: Z}
    matrix = tuple(tuple(coefficients.expr(e).xreplace(z) for e in row) for row in scaled)
    result.stability = replace(result.stability, matrix=matrix)
    if step.explicit and any(len(_in_z(c, coefficients)[0]) > 1 for c in polynomial):
        # a coefficient of the characteristic polynomial grows without bound in z, so a root does
        result.stability = replace(result.stability, a_stable=False, l_stable=False)
    else:
        result.note("stability.A", "not analysed yet for a matrix")
    if len(polynomial) == 3 and not coefficients.has_parameters:
        _two_values(result, polynomial)


def _two_values(result: LinearAnalysis, polynomial: Sequence[Element]) -> None:
    """Add the intervals of a step of two values whose trace and determinant are polynomials."""
    step = result.step
    assert step is not None
    parts = [_in_z(c, step.coefficients) for c in polynomial]
    if any(len(below) > 1 for _, below in parts) or len(parts[2][0]) > 1:
        return
    lead = number(parts[2][0][0]) / number(parts[2][1][0])
    q, p = ([number(c) / number(below[0]) / lead for c in above] for above, below in parts[:2])
    reals = step.coefficients.reals
    imaginary = imaginary_interval(reals, q, p)
    result.stability = replace(
        result.stability,
        real_interval=real_interval(reals, q, p),
        imaginary_interval=imaginary,
        i_stable=None if imaginary is None else imaginary[1] == sympy.oo,
    )


def _cleared(coefficients: Sequence[Element]) -> list[Element]:
    """Clear denominators and common factors; drop roots that are always 0."""
    field_ = coefficients[0].field
    common = field_.ring.one
    for element in coefficients:
        common = common * element.denom.quo(common.gcd(element.denom))
    whole = [element.numer * common.quo(element.denom) for element in coefficients]
    while not whole[0]:
        whole = whole[1:]
    shared = whole[0]
    for item in whole[1:]:
        shared = shared.gcd(item)
    return [field_.new(item.quo(shared)) for item in whole]


def _multistep(result: LinearAnalysis, polynomial: Sequence[Element]) -> None:
    step = result.step
    assert step is not None
    coefficients = step.coefficients
    zero = coefficients.field.zero
    parts = [_in_z(c, coefficients)[0] for c in polynomial]
    rho = [p[0] for p in parts]
    sigma = [-p[1] if len(p) > 1 else zero for p in parts]
    scale = rho[-1]
    if not scale:
        result.note("stability.function", "the leading coefficient of rho vanishes")
        return
    rho, sigma = [c / scale for c in rho], [c / scale for c in sigma]
    result.stability = replace(
        result.stability,
        rho=tuple(coefficients.expr(c) for c in rho),
        sigma=tuple(coefficients.expr(c) for c in sigma),
    )
    if coefficients.has_parameters:
        if not sigma[-1] and any(sigma):
            result.stability = replace(result.stability, a_stable=False, l_stable=False)
        else:
            result.note("stability.A", "depends on symbols")
        return
    method = MultistepMethod(
        coefficients.reals, tuple([number(c) for c in rho]), tuple([number(c) for c in sigma])
    )
    result.multistep = method
    stable = result.stability.zero_stable is True
    imaginary = method.imaginary_interval if stable else None
    a_stable = stable and method.a_stable
    result.stability = replace(
        result.stability,
        a_stable=a_stable,
        l_stable=a_stable and method.l_stable,
        i_stable=None if imaginary is None else imaginary[1] == sympy.oo,
        real_interval=method.real_interval if stable else None,
        imaginary_interval=imaginary,
        a_alpha_degrees=90.0 if a_stable else method.a_alpha_degrees() if stable else None,
    )
    _missing_intervals(result)
