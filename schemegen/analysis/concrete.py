"""The modified equation of a field that is written out: ``f~`` as expressions, and the modified Hamiltonian.

Elementary differentials are worked out from partial derivatives of f in a field of fractions; every power of h
is exact and canonical. For a symplectic step of a Hamiltonian field each power is Hamiltonian again; its
function is found by integration. Source: Hairer, Lubich, Wanner (2006), IX.1 and IX.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import sympy

from schemegen.analysis.differential_field import Calculus, NotElementaryError
from schemegen.analysis.model import Analysis, Concrete, ConcreteTerm, Note, TreeTerm
from schemegen.analysis.time_limit import TimeLimitError, time_limit
from schemegen.scheme.concrete import WrittenField
from schemegen.scheme.model import Scheme
from schemegen.series.tree_text import ParsedTree, parsed

__all__ = ["concrete"]

Element = Any
Vector = tuple[Element, ...]
Terms = Sequence[tuple[str, Sequence[TreeTerm]]]
SECONDS = 5.0  # for the differentials, and for the integrals of a Hamiltonian


def concrete(
    analysis: Analysis,
    scheme: Scheme,
    written: WrittenField,
    point: Mapping[sympy.Symbol, sympy.Expr] | None = None,
) -> Concrete:
    """Return the written-out equations of ``analysis`` for the field ``written``.

    ``point``: where the modified field is evaluated as well. What is not known is None, with a note.
    """
    variables = tuple(s for state in scheme.states for s in written.variables[state.name])
    notes: list[Note] = []
    equation = analysis.modified_equation
    if equation is None or equation.field is None:
        text = "the scheme has no modified equation"
        return Concrete(variables, (), None, None, None, None, (Note("concrete.modified", text),))
    modifying = None
    try:
        with time_limit(SECONDS):
            differentials = Differentials(scheme, written, variables, equation.field)
            modified = differentials.terms(equation.field)
            if analysis.modifying_equation is not None:
                modifying = differentials.terms(analysis.modifying_equation)
    except (NotElementaryError, TimeLimitError) as error:
        text = str(error) or f"not worked out within {SECONDS:g} s"
        note = Note("concrete.modified", text)
        return Concrete(variables, (), None, None, None, None, (note,))
    if modifying is None:
        notes.append(Note("concrete.modifying", "the scheme has no modifying equation"))
    energy, reason = _hamiltonian(analysis, scheme, differentials, equation.field)
    if energy is None:
        notes.append(Note("concrete.hamiltonian", reason))
    values = None
    if point is not None:
        values, reason = _values(modified, variables, point)
        if values is None:
            notes.append(Note("concrete.at", reason))
    own = tuple(differentials.calculus.expression(e) for e in differentials.limit())
    return Concrete(variables, own, modified, modifying, energy, values, tuple(notes))


class Differentials:
    """Elementary differentials of the written fields, each worked out once."""

    def __init__(
        self,
        scheme: Scheme,
        written: WrittenField,
        variables: tuple[sympy.Symbol, ...],
        terms: Terms,
    ) -> None:
        expressions = [e for own in written.fields.values() for e in own]
        self.calculus = Calculus(variables, expressions)
        self.variables = variables
        self.states = [state.name for state in scheme.states]
        self.places = {
            name: [variables.index(s) for s in written.variables[name]] for name in self.states
        }
        self.arguments = {drift.name: drift.arguments for drift in scheme.drifts}
        self.fields = {
            name: tuple(self.calculus.element(e) for e in own)
            for name, own in written.fields.items()
        }
        self.principal = [state for state, _ in terms]
        self.field_terms = terms
        self.roots = {state: {item.tree.split("[")[0] for item in items} for state, items in terms}
        self._partial: dict[tuple[str, int, tuple[int, ...]], Element] = {}
        self._known: dict[ParsedTree, Vector] = {}

    def partial(self, name: str, component: int, by: tuple[int, ...]) -> Element:
        """Return a partial derivative of a component by variables, in ascending order."""
        key = (name, component, by)
        if key not in self._partial:
            if not by:
                value = self.fields[name][component]
            else:
                value = self.calculus.derivative(self.partial(name, component, by[:-1]), by[-1])
            self._partial[key] = value
        return self._partial[key]

    def vector(self, tree: ParsedTree) -> Vector:
        """Return ``F(tree)``, one element a component of the state that its root drives."""
        if tree not in self._known:
            self._known[tree] = self._worked_out(tree)
        return self._known[tree]

    def _worked_out(self, tree: ParsedTree) -> Vector:
        name, children = tree
        calculus = self.calculus
        if name in self.places:  # a linear term: the state itself
            return tuple(calculus.element(self.variables[i]) for i in self.places[name])
        size = len(self.places[self.states[0]])
        if name == "1":
            return (calculus.field.one,) * size
        directions = []
        for label, child in children:
            fitting = [s for s in self.arguments[name] if child[0] in self.roots.get(s, ())]
            state = label or fitting[0]
            values = self.vector(child)
            directions.append(
                [
                    (place, value)
                    for place, value in zip(self.places[state], values, strict=True)
                    if value
                ]
            )
        result = []
        for component in range(len(self.fields[name])):
            total = calculus.field.zero
            for chosen in product(*directions):
                slope = self.partial(name, component, tuple(sorted(place for place, _ in chosen)))
                if slope:
                    for _, value in chosen:
                        slope = slope * value
                    total += slope
            result.append(total)
        return tuple(result)

    def terms(self, terms: Terms) -> tuple[ConcreteTerm, ...]:
        """Return, per variable and power of h, the coefficient written out; zeros are left out."""
        found = []
        for state, items in terms:
            for power in sorted({item.h_power for item in items}):
                sums = self.level(items, power)
                for place, value in zip(self.places[state], sums, strict=True):
                    if value != 0:
                        found.append(ConcreteTerm(self.variables[place].name, power, value))
        order = {s.name: i for i, s in enumerate(self.variables)}
        return tuple(sorted(found, key=lambda item: (order[item.variable], item.h_power)))

    def level(self, items: Sequence[TreeTerm], power: int) -> list[sympy.Expr]:
        """Return the sum of the terms at one power of h, a component each."""
        size = len(self.places[self.states[0]])
        rational = [self.calculus.field.zero] * size
        rest: list[sympy.Expr] = [sympy.Integer(0)] * size
        for item in items:
            if item.h_power != power:
                continue
            values = self.vector(parsed(item.tree))
            for i, value in enumerate(values):
                if item.coefficient.is_Rational:
                    c = item.coefficient
                    rational[i] += value * self.calculus.field.domain(int(c.p), int(c.q))
                elif value:
                    rest[i] += item.coefficient * self.calculus.expression(value)
        plain = [_tidy(self.calculus.expression(value)) for value in rational]
        return [a + _tidy(b) if b != 0 else a for a, b in zip(plain, rest, strict=True)]

    def limit(self) -> list[Element]:
        """Return the field at h = 0, where its coefficients are rational."""
        return [
            self.calculus.field.from_expr(sympy.Integer(0)) + value
            for state, items in self.field_terms
            for value in self._limit_of(items)
        ]

    def _limit_of(self, items: Sequence[TreeTerm]) -> list[Element]:
        size = len(self.places[self.states[0]])
        total = [self.calculus.field.zero] * size
        for item in items:
            if item.h_power == 0 and item.coefficient.is_Rational:
                c = self.calculus.field.domain(int(item.coefficient.p), int(item.coefficient.q))
                total = [
                    t + v * c for t, v in zip(total, self.vector(parsed(item.tree)), strict=True)
                ]
        return total


def _tidy(value: sympy.Expr) -> sympy.Expr:
    """Return a polynomial or quotient with common factors taken out, which reads better than a long sum."""
    return sympy.factor_terms(value) if value.is_Add or value.is_Mul else value


# --- the modified Hamiltonian -------------------------------------------------------------------------


def _hamiltonian(
    analysis: Analysis, scheme: Scheme, differentials: Differentials, terms: Terms
) -> tuple[tuple[ConcreteTerm, ...] | None, str]:
    """Return ``H + h H_2 + ..``; None and the reason where there is none, or no integral was found."""
    variables = differentials.variables
    half, rest = divmod(len(variables), 2)
    if rest:
        return None, "a Hamiltonian field has an even number of variables: positions, then momenta"
    calculus = differentials.calculus
    own = differentials.limit()
    if not _is_gradient(calculus, _gradient(own, half)):
        named = ", ".join(map(str, variables))
        return None, f"the field is not Hamiltonian in ({named}), positions first"
    if analysis.geometry.symplectic is not True:
        power = analysis.geometry.symplectic_to
        where = f" from h^{power} on" if power not in (None, sympy.oo) else ""
        return None, f"the step is not symplectic, so its field is not Hamiltonian{where}"
    found = []
    powers = sorted({item.h_power for _, items in terms for item in items})
    try:
        with time_limit(SECONDS):
            for power in powers:
                level = [value for _, items in terms for value in differentials.level(items, power)]
                if any(value.free_symbols - set(calculus.generators) for value in level):
                    return None, "not integrated for coefficients with symbols"
                energy = _potential(_signed(level, half), variables)
                if energy is None:
                    return None, f"the integral at h^{power} was not found"
                if energy != 0:
                    found.append(ConcreteTerm("H", power, energy))
    except TimeLimitError:
        return None, f"not integrated within {SECONDS:g} s"
    return tuple(found), ""


def _signed(level: Sequence[sympy.Expr], half: int) -> list[sympy.Expr]:
    """Return grad H of ``(q', p') = (H_p, -H_q)``."""
    return [*(-value for value in level[half:]), *level[:half]]


def _gradient(own: Sequence[Element], half: int) -> list[Element]:
    return [*(-value for value in own[half:]), *own[:half]]


def _is_gradient(calculus: Calculus, gradient: Sequence[Element]) -> bool:
    """Return whether the Jacobian of a field is symmetric."""
    return all(
        calculus.is_zero(calculus.derivative(gradient[i], j) - calculus.derivative(gradient[j], i))
        for i in range(len(gradient))
        for j in range(i)
    )


def _potential(
    gradient: Sequence[sympy.Expr], variables: Sequence[sympy.Symbol]
) -> sympy.Expr | None:
    """Integrate one variable after the other; None where an integral is not elementary or does not fit."""
    total = sympy.Integer(0)
    for value, variable in zip(gradient, variables, strict=True):
        missing = sympy.expand(value - sympy.diff(total, variable))
        part = sympy.integrate(missing, variable)
        if part.has(sympy.Integral):
            return None
        total += part
    for value, variable in zip(gradient, variables, strict=True):
        left = sympy.diff(total, variable) - value
        others = sorted(left.free_symbols, key=str)
        if not Calculus(others, [left]).is_zero(Calculus(others, [left]).element(left)):
            return None
    return _tidy(sympy.expand(total))


# --- at a point ---------------------------------------------------------------------------------------


def _values(
    terms: Sequence[ConcreteTerm],
    variables: Sequence[sympy.Symbol],
    point: Mapping[sympy.Symbol, sympy.Expr],
) -> tuple[tuple[ConcreteTerm, ...] | None, str]:
    """Return the terms at a point, which may leave symbols; None and the reason at a pole."""
    missing = [str(s) for s in variables if s not in point]
    if missing:
        return None, f"the point has no value for {', '.join(missing)}"
    found = []
    for term in terms:
        value = term.expression.subs(list(point.items()), simultaneous=True)
        if value.has(sympy.zoo, sympy.oo, -sympy.oo, sympy.nan):
            place = ", ".join(f"{s} = {v}" for s, v in point.items())
            return None, f"the field has a pole at {place}"
        if value != 0:
            found.append(ConcreteTerm(term.variable, term.h_power, value))
    return tuple(found), ""
