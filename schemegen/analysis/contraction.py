"""How far two solutions can move apart: in the equation, and in one step.

With ``mu`` the largest eigenvalue of the symmetric part of ``f'`` and L a Lipschitz constant of f, two
solutions of ``x' = c f(x) - a x`` obey ``d|x - y|/dt <= (c mu - a) |x - y|``, and a step that is a straight line
of combinations and evaluations has the Lipschitz constant that the triangle inequality gives.
Source: Hairer, Norsett, Wanner (1993), theorem I.10.6; Yang et al. (2020), whose damping it measures.
"""

from __future__ import annotations

import sympy

from schemegen.analysis.expansion_model import Expansion
from schemegen.analysis.model import Contraction
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.model import Scheme
from schemegen.step.program import ONES, Combine, Evaluate, Program

__all__ = ["contraction"]

H, L, MU = sympy.symbols("h L mu")


def contraction(
    scheme: Scheme, program: Program, expansion: Expansion | None
) -> tuple[Contraction | None, str]:
    """Return both conditions; None and the reason where the step has history, several states or solves."""
    if len(program.states) != 1:
        return None, "said of schemes of one state"
    if program.inputs:
        return None, "a step with history has no Lipschitz constant of its own; see zero-stability"
    if any(item.kind != "drift" for item in program.fields):
        return None, "a pointwise function of tensors has no bound here"
    state = f"{program.states[0].name}[n]"
    known: dict[str, sympy.Expr] = {state: sympy.Integer(1), ONES: sympy.Integer(0)}
    for statement in program.statements:
        match statement:
            case Combine(target, terms, _):
                known[target] = sum(
                    (_size(term.coefficient, scheme) * known[term.value] for term in terms),
                    sympy.Integer(0),
                )
            case Evaluate(target, _, at, _, _, _):
                known[target] = L * sum((known[value] for value in at), sympy.Integer(0))
            case _:
                return None, "the bound of an implicit step needs more than a Lipschitz constant"
    bound = sympy.expand(known[f"{program.states[0].name}[n+1]"])
    rate = _rate(program, expansion)
    return Contraction(rate, bound, _gain(scheme, bound)), ""


def _size(coefficient: sympy.Expr, scheme: Scheme) -> sympy.Expr:
    """Return the absolute value of a coefficient; h is positive, rates of damping and noises are not negative.

    A Bernoulli or uniform factor is taken at its largest value, 1 for a probability.
    """
    positive = {H: sympy.Symbol("h", positive=True)}
    if scheme.damping is not None:
        rate = scheme.damping.rate
        positive |= {s: sympy.Symbol(s.name, nonnegative=True) for s in rate.free_symbols}
    for noise in scheme.noises:
        positive[noise.symbol] = sympy.Symbol(noise.name, real=True)
    for param in scheme.params:
        positive.setdefault(param.symbol, sympy.Symbol(param.name, real=True))
    found = sympy.Abs(sympy.factor(coefficient.xreplace(positive)))
    return found.xreplace({new: old for old, new in positive.items()})


def _rate(program: Program, expansion: Expansion | None) -> sympy.Expr | None:
    """Return the rate ``c mu - a`` of the equation at h = 0, for one field and a linear term."""
    if expansion is None or len(expansion.limit) != 1:
        return None
    state, terms = expansion.limit[0]
    fields = [(name, c) for name, c in terms if name not in (state, ONES)]
    own = sum((c for name, c in terms if name == state), sympy.Integer(0))
    if len(fields) != 1 or len({item.name for item in program.fields}) != 1:
        return None
    return sympy.expand(fields[0][1] * MU) + own


def _gain(scheme: Scheme, bound: sympy.Expr) -> str | None:
    """Say when a damped step has the smaller bound than the undamped one, for a rate between 0 and 1.

    Both are linear in L for one evaluation: ``1 - lam + c h L`` against ``1 + h L``.
    """
    damping = scheme.damping
    if damping is None or damping.mode != "explicit" or not damping.rate.is_Symbol:
        return None
    lam = damping.rate
    inside = sympy.Symbol(lam.name, positive=True)
    small = bound.subs(sympy.Abs(lam - 1), 1 - lam).subs(sympy.Abs(1 - lam), 1 - lam)
    if small.has(sympy.Abs) or sympy.degree(small, L) != 1:
        return None
    difference = sympy.expand(small - small.subs(lam, 0)).subs(lam, inside)
    slope, constant = (difference.coeff(L, power) for power in (1, 0))
    if slope == 0:
        return "always" if constant.is_negative else None
    ratio = sympy.cancel(-constant / slope * H)
    return None if ratio.free_symbols else f"h*L < {printed(ratio)}"
