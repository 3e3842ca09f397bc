"""The modified equation at data: how large its corrections are beside the field that a trained branch is.

The coefficients are the exact ones of the analysis at the learned values; an elementary differential
``f^(m)(u)(v_1, .., v_m)`` of the actual branch is a derivative along m directions, by nested forward
differentiation. Source: Hairer, Lubich, Wanner (2006), III.1 and IX.9.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy
import torch
from torch import Tensor
from torch.func import jvp

from schemegen.analysis.model import Analysis, TreeTerm
from schemegen.diagnosis.model import Correction
from schemegen.diagnosis.trajectory import Field, StepAt
from schemegen.report.notation import Tree, parse_tree
from schemegen.scheme.model import Scheme
from schemegen.training.coefficients import tensor_arithmetic
from schemegen.training.lyapunov import step_size

__all__ = ["Differentials", "Unmeasured", "corrections", "equation_of", "moved_by"]

States = dict[str, Tensor]
POWERS = 2  # of h that are evaluated, from the first correction on
SUBSTEPS = 32  # of the classical Runge-Kutta method that stands for the exact flow


class Unmeasured(Exception):  # noqa: N818 - no error: what is said instead of a number
    """Why the modified equation of a scheme is not evaluated."""


class Differentials:
    """Elementary differentials of fields at states.

    Args: fields: functions of the states that ``arguments`` names. moves: the state that each field moves.
          A name of a state is the field that is the state itself.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        arguments: Mapping[str, Sequence[str]],
        moves: Mapping[str, str],
        at: States,
    ) -> None:
        self.fields = fields
        self.arguments = arguments
        self.moves = moves
        self.at = at
        self.known: dict[Tree, Tensor] = {}

    def value(self, tree: Tree) -> Tensor:
        """Return ``F(tree)``, shaped like the state that its root moves."""
        if tree not in self.known:
            self.known[tree] = self._value(tree)
        return self.known[tree]

    def _value(self, tree: Tree) -> Tensor:
        directions = [(self.moves[b.field], self.value(b)) for b in tree.branches]
        if tree.field in self.at:
            itself = self.at[tree.field]
            if len(directions) > 1:
                return torch.zeros_like(itself)
            return directions[0][1] if directions else itself
        names = tuple(self.arguments[tree.field])
        function: Callable[..., Tensor] = self.fields[tree.field]
        for state, value in directions:
            function = _along(function, self._direction(names, state, value))
        with torch.no_grad():
            return function(*(self.at[name] for name in names))

    def _direction(self, names: Sequence[str], state: str, value: Tensor) -> tuple[Tensor, ...]:
        return tuple(value if name == state else torch.zeros_like(self.at[name]) for name in names)


def _along(function: Callable[..., Tensor], direction: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    def derivative(*states: Tensor) -> Tensor:
        result: Tensor = jvp(function, states, direction)[1]
        return result

    return derivative


Term = tuple[int, Tree, sympy.Expr]  # power of h, tree, coefficient


def equation_of(analysis: Analysis, scaled: Sequence[str]) -> dict[str, list[Term]]:
    """Return the terms of the modified equation by state, ``scaled`` params counted as powers of h."""
    equation = analysis.modified_equation
    if equation is None or equation.field is None:
        reasons = [note.text for note in analysis.notes if note.key == "modified_equation"]
        raise Unmeasured(reasons[0] if reasons else "the scheme has no modified equation")
    result: dict[str, list[Term]] = {}
    for state, terms in equation.field:
        result[state] = [
            (power, parse_tree(term.tree), coefficient)
            for term in terms
            for power, coefficient in _by_power(term, scaled)
            if power < equation.truncation
        ]
    return result


def _by_power(term: TreeTerm, scaled: Sequence[str]) -> list[tuple[int, sympy.Expr]]:
    symbols = [sympy.Symbol(name) for name in scaled]
    if not symbols or not term.coefficient.free_symbols & set(symbols):
        return [(term.h_power, term.coefficient)]
    try:
        polynomial = sympy.Poly(term.coefficient, *symbols)
    except sympy.PolynomialError as error:
        raise Unmeasured("its coefficients are no polynomials in the damping") from error
    return [
        (
            term.h_power + sum(powers),
            coefficient * sympy.prod([s**p for s, p in zip(symbols, powers, strict=True)]),
        )
        for powers, coefficient in polynomial.terms()
    ]


def moved_by(equation: Mapping[str, Sequence[Term]]) -> dict[str, str]:
    """Return the state that each field moves. Errors: :class:`Unmeasured` where a field moves several."""
    moves: dict[str, str] = {state: state for state in equation}
    for state, terms in equation.items():
        for power, tree, _ in terms:
            leads = power == 0 and not tree.branches and tree.field not in equation
            if leads and moves.setdefault(tree.field, state) != state:
                raise Unmeasured(f"`{tree.field}` moves several states")
    return moves


def corrections(
    steps: Sequence[StepAt], scheme: Scheme, analysis: Analysis, scaled: Sequence[str]
) -> tuple[tuple[Correction, ...], str | None]:
    """Evaluate the corrections at every step of the scheme's own; where they cannot be, say why."""
    try:
        equation = equation_of(analysis, scaled)
        moves = moved_by(equation)
    except Unmeasured as error:
        return (), str(error)
    several = sorted({name for step in steps for name in step.several})
    if several:
        return (
            (),
            f"each evaluation of `{several[0]}` has weights of its own: there is no one field",
        )
    h = step_size(scheme)
    found: list[Correction] = []
    reasons = ["no step has the scheme's own form and keeps its shape"]
    with warnings.catch_warnings():
        # torch compiles its rules of forward differentiation with torch.jit, which it has deprecated itself.
        warnings.simplefilter("ignore", FutureWarning)
        for step in (item for item in steps if item.own):
            try:
                found.append(_correction(step, analysis, equation, moves, h))
            except Unmeasured as error:
                reasons.append(str(error))
    return tuple(found), None if found else reasons[-1]


def _correction(
    step: StepAt,
    analysis: Analysis,
    equation: Mapping[str, Sequence[Term]],
    moves: Mapping[str, str],
    h: float,
) -> Correction:
    missing = [s for s in equation if s not in step.before or s not in step.after]
    if missing:
        raise Unmeasured(f"the network holds no value of `{missing[0]}` between steps")
    numbers = {name: value.double() for name, value in step.symbols.items()}
    if any(value.numel() > 1 for value in numbers.values()):
        raise Unmeasured("its coefficients differ by channel")
    known = {name: float(value) for name, value in numbers.items()} | {"h": h}
    at = {state: step.before[state].double() for state in equation}
    differentials = Differentials(step.fields, step.arguments, moves, at)

    def sizes(power: int) -> Tensor:
        total = None
        for state, terms in equation.items():
            parts = [
                _number(c, known) * differentials.value(tree) for p, tree, c in terms if p == power
            ]
            value = sum(parts[1:], parts[0]) if parts else torch.zeros_like(at[state])
            square = value.flatten(1).square().sum(1)
            total = square if total is None else total + square
        assert total is not None
        return total.sqrt()

    base = sizes(0)
    powers = sorted({p for terms in equation.values() for p, _, _ in terms if p > 0})[:POWERS]
    shown = tuple((p, _median(h**p * sizes(p), base)) for p in powers)
    error = None
    if analysis.kind != "multistep" and "principal root" not in _valid(analysis):
        error = _local_error(step, equation, moves, known, h)
    return Correction(step.stage, step.step, shown, error)


def _valid(analysis: Analysis) -> tuple[str, ...]:
    equation = analysis.modified_equation
    return equation.valid if equation is not None else ()


def _number(coefficient: sympy.Expr, known: Mapping[str, float]) -> float:
    missing = sorted(str(s) for s in coefficient.free_symbols if str(s) not in known)
    if missing:
        raise Unmeasured(f"`{missing[0]}` has no value")
    tensors: dict[str, Any] = {k: torch.tensor(v, dtype=torch.float64) for k, v in known.items()}
    return float(tensor_arithmetic(tensors).coefficient(coefficient))


def _median(above: Tensor, below: Tensor) -> float:
    kept = below > 0
    return float((above[kept] / below[kept]).median()) if bool(kept.any()) else 0.0


def _local_error(
    step: StepAt,
    equation: Mapping[str, Sequence[Term]],
    moves: Mapping[str, str],
    known: Mapping[str, float],
    h: float,
) -> float:
    """Return the median of ``|step - flow|/|h f|`` over one step of the frozen field."""
    terms = {
        state: [(_number(c, known), tree) for p, tree, c in own if p == 0]
        for state, own in equation.items()
    }

    def field(states: States) -> States:
        values = Differentials(step.fields, step.arguments, moves, states)
        return {
            state: sum((c * values.value(tree) for c, tree in own), torch.zeros_like(states[state]))
            for state, own in terms.items()
        }

    start = {state: step.before[state].double() for state in equation}
    end = _flow(field, start, h)
    squares = [(step.after[s].double() - end[s]).flatten(1).square().sum(1) for s in end]
    sizes = [v.flatten(1).square().sum(1) for v in field(start).values()]
    return _median(sum(squares[1:], squares[0]).sqrt(), h * sum(sizes[1:], sizes[0]).sqrt())


def _flow(field: Callable[[States], States], start: States, h: float) -> States:
    """Return the classical Runge-Kutta solution after time h in small steps."""
    u, k = start, h / SUBSTEPS
    for _ in range(SUBSTEPS):
        k1 = field(u)
        k2 = field({s: u[s] + k / 2 * k1[s] for s in u})
        k3 = field({s: u[s] + k / 2 * k2[s] for s in u})
        k4 = field({s: u[s] + k * k3[s] for s in u})
        u = {s: u[s] + k / 6 * (k1[s] + 2 * k2[s] + 2 * k3[s] + k4[s]) for s in u}
    return u
