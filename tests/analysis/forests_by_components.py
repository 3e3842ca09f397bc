"""Forests evaluated component by component, and expectations by brute force: what the algebra is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import sympy

from schemegen.diagnostics import Source
from schemegen.language import parse
from schemegen.scheme import check
from schemegen.series.exotic import Forest, Graded, Node, Operators, nodes_of
from schemegen.step import lower
from schemegen.step.program import Program

__all__ = ["applied", "mean", "program_of"]

Vector = list[sympy.Expr]


def program_of(text: str) -> Program:
    """Return the program of a scheme text, which must be free of errors."""
    checked = check(parse(Source("test.scheme", text)))
    assert not [d for d in checked.diagnostics if d.is_error], checked.diagnostics
    return lower(checked.schemes[0])


def applied(
    operators: Operators,
    series: Graded,
    expression: Callable[[object], sympy.Expr],
    fields: Mapping[str, Vector],
    phi: sympy.Expr,
    x: Sequence[sympy.Symbol],
    eps: sympy.Symbol,
) -> sympy.Expr:
    """Return ``sum eps^power c(F) D_F phi`` with the sums over components written out."""
    total = sympy.Integer(0)
    for power, level in series.items():
        for forest, number in level.items():
            total += eps**power * expression(number) * _operator(operators, forest, fields, phi, x)
    return sympy.expand(total)


def _operator(
    operators: Operators,
    forest: Forest,
    fields: Mapping[str, Vector],
    phi: sympy.Expr,
    x: Sequence[sympy.Symbol],
) -> sympy.Expr:
    classes = sorted({c for node in nodes_of(forest) for c in node[1]})
    total = sympy.Integer(0)
    for values in product(range(len(x)), repeat=len(classes)):
        chosen = dict(zip(classes, values, strict=True))
        vectors = [_tree(operators, node, fields, x, chosen) for _, node in forest]
        for places in product(range(len(x)), repeat=len(forest)):
            factor = sympy.prod(v[i] for v, i in zip(vectors, places, strict=True))
            if factor != 0:
                total += factor * (sympy.diff(phi, *(x[i] for i in places)) if places else phi)
    return sympy.expand(total)


def _tree(
    operators: Operators,
    node: Node,
    fields: Mapping[str, Vector],
    x: Sequence[sympy.Symbol],
    chosen: Mapping[int, int],
) -> Vector:
    colour = operators.colours[node[0]]
    own = list(x) if colour.identity else fields[colour.name]
    inner = [_tree(operators, child, fields, x, chosen) for _, child in node[2]]
    result = []
    for i, component in enumerate(own):
        if any(chosen[c] != i for c in node[1]):
            result.append(sympy.Integer(0))
            continue
        total = sympy.Integer(0)
        for places in product(range(len(x)), repeat=len(inner)):
            factor = sympy.prod(v[j] for v, j in zip(inner, places, strict=True))
            if factor != 0:
                derivative = sympy.diff(component, *(x[j] for j in places)) if places else component
                total += factor * derivative
        result.append(sympy.expand(total))
    return result


def mean(
    expression: sympy.Expr, moments: Mapping[sympy.Symbol, Callable[[int], sympy.Expr]]
) -> sympy.Expr:
    """Return the expectation of a polynomial in independent draws."""
    for symbol, moment in moments.items():
        polynomial = sympy.Poly(sympy.expand(expression), symbol)
        expression = sympy.Add(*(c * moment(k) for (k,), c in polynomial.terms()))
    return sympy.expand(expression)
