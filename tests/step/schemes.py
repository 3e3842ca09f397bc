"""Schemes built by hand, without the checker: what the lowering has to work from."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.diagnostics import Source, Span
from schemegen.language import nodes, parse
from schemegen.scheme.model import (
    Drift,
    Equations,
    MapDefinition,
    Multistep,
    Noise,
    Param,
    Scheme,
    Solver,
    State,
    Tableau,
    TableauPart,
    Tableaus,
)

R = sympy.Rational
SOURCE = Source("by hand", "by hand\n")
SPAN = Span(SOURCE, 0, 7)
EULER = ([[0]], [1])
MIDPOINT = ([[0, 0], [R(1, 2), 0]], [0, 1])
RK4 = (
    [[0, 0, 0, 0], [R(1, 2), 0, 0, 0], [0, R(1, 2), 0, 0], [0, 0, 1, 0]],
    [R(1, 6), R(1, 3), R(1, 3), R(1, 6)],
)
BS23 = (
    [[0] * 4, [R(1, 2), 0, 0, 0], [0, R(3, 4), 0, 0], [R(2, 9), R(1, 3), R(4, 9), 0]],
    [R(2, 9), R(1, 3), R(4, 9), 0],
    [R(7, 24), R(1, 4), R(1, 3), R(1, 8)],
)


def drift(name: str = "f", arguments: Sequence[str] = ("u",), weights: str = "step") -> Drift:
    return Drift(name, tuple(arguments), SPAN, weights=weights)


def noise(name: str, kind: str) -> Noise:
    return Noise(name, kind, (), SPAN)


def param(name: str) -> Param:
    return Param(name, SPAN)


def solver(method: str = "fixed_point", **options: object) -> Solver:
    return Solver(method, SPAN, **options)  # type: ignore[arg-type]


def scheme(update: object, **parts: object) -> Scheme:
    """Return a scheme with one state ``u`` and one drift ``f(u)`` unless told otherwise."""
    parts.setdefault("states", (State("u", SPAN),))
    parts.setdefault("drifts", (drift(),))
    return Scheme("test", "test", SOURCE, SPAN, update=update, **parts)  # type: ignore[arg-type]


def tableau(
    a: Sequence[Sequence[object]],
    b: Sequence[object],
    b_hat: Sequence[object] | None = None,
    kind: str = "explicit",
) -> Tableau:
    rows = tuple(tuple(sympy.S.Zero + entry for entry in row) for row in a)
    hat = None if b_hat is None else tuple(sympy.S.Zero + entry for entry in b_hat)
    weights = tuple(sympy.S.Zero + entry for entry in b)
    return Tableau(kind, rows, weights, tuple(sum(row, sympy.S.Zero) for row in rows), hat)


def runge_kutta(*entries: object, kind: str = "explicit", **parts: object) -> Scheme:
    """Return the scheme of one tableau ``a, b[, b_hat]``."""
    part = TableauPart(("f",), tableau(*entries, kind=kind), SPAN)  # type: ignore[arg-type]
    return scheme(Tableaus((part,)), **parts)


def additive(**tableaus: Tableau) -> Tableaus:
    """Return ``tableau for f``, ``tableau for g``, .."""
    return Tableaus(tuple(TableauPart((name,), item, SPAN) for name, item in tableaus.items()))


def multistep(alpha: Sequence[object], beta: Sequence[object], **parts: object) -> Scheme:
    """Return ``sum alpha_j u = h sum beta_j f`` from ``n+1`` backwards."""
    left = tuple(sympy.S.Zero + item for item in alpha)
    right = tuple(sympy.S.Zero + item for item in beta)
    return scheme(Multistep("u", left, (("f", right),), SPAN), **parts)


def equations(step: str, **parts: object) -> Scheme:
    """Return the scheme of ``map`` lines and a ``step { }`` block in the language's own syntax."""
    parsed = parse(Source("step.scheme", f"scheme test {{\n{step}\n}}\n"))
    assert not parsed.diagnostics, parsed.diagnostics
    (node,) = parsed.file.items
    assert isinstance(node, nodes.SchemeNode)
    maps = tuple(
        MapDefinition(item.name.id, tuple(a.id for a in item.arguments), item.body, item.span)
        for item in node.statements
        if isinstance(item, nodes.MapDefinition)
    )
    (block,) = (item for item in node.statements if isinstance(item, nodes.StepBlock))
    return scheme(Equations(block.assignments, maps, block.span), **parts)


def partitioned(step: str, **parts: object) -> Scheme:
    """Return equations of ``x, v`` with ``f(v)`` and ``g(x)``."""
    parts.setdefault("states", (State("x", SPAN), State("v", SPAN)))
    parts.setdefault("drifts", (drift("f", ("v",)), drift("g", ("x",))))
    return equations(step, **parts)
