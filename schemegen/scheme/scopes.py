"""What an expression of a step may use: names, indices and calls, checked where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from schemegen.diagnostics import Span
from schemegen.language.nodes import (
    Binary,
    Call,
    Expression,
    Index,
    Name,
    Number,
    Unary,
)
from schemegen.scheme.expressions import FUNCTIONS, REDUCTIONS, coefficient
from schemegen.scheme.mentions import parts
from schemegen.scheme.multisteps import HISTORY
from schemegen.scheme.names import RESERVED, Names

__all__ = [
    "Scope",
    "ask_for_step_size",
    "check_coefficients",
    "check_names",
    "is_tensor",
    "warn_nonlinear",
]


@dataclass(slots=True)
class Scope:
    """What an expression may use: functions by arity, and plain names that are tensors."""

    names: Names
    arity: dict[str, int]
    tensors: set[str]
    states: set[str]
    in_map: bool = False
    scalars: set[str] = field(default_factory=set)
    reads_next: dict[str, Span] = field(default_factory=dict)


def check_names(scope: Scope, root: Expression) -> bool:
    """Report every wrong name, call and index below ``root``; whether all is well."""
    report = scope.names.report
    before = len(report.diagnostics)
    for node in parts(root):
        match node:
            case Name():
                _check_name(scope, node)
            case Index():
                _check_index(scope, node)
            case Call():
                _check_call(scope, node)
            case Number() | Unary() | Binary():
                continue
    return not any(item.is_error for item in report.diagnostics[before:])


def _check_name(scope: Scope, node: Name) -> None:
    names = scope.names
    name = node.id
    if name in scope.tensors or name in scope.scalars or name in names.values:
        return
    kind = names.kinds.get(name)
    if kind == "state":
        fix = f"{name}[n]"
        names.report.add(
            "E0315",
            f"the state `{name}` needs its step",
            node.span,
            f"write `{fix}`",
            replacement=fix,
        )
    elif kind in {"drift", "map"}:
        names.report.add(
            "E0316",
            f"`{name}` is a function and needs its arguments",
            node.span,
            f"write `{name}(..)`",
        )
    elif name in RESERVED:
        names.report.add(
            "E0303", f"`{name}` is reserved for {RESERVED[name]}", node.span, "it has no value here"
        )
    elif kind is None:
        known = scope.tensors | set(names.values) | scope.states
        names.report.unknown("E0301", f"`{name}` is not declared", name, node.span, known, "name")


def _check_index(scope: Scope, node: Index) -> None:
    report = scope.names.report
    if scope.in_map:
        report.add(
            "E0322",
            f"`{node.name}[..]` is out of place in a map",
            node.span,
            "a map sees its arguments only",
        )
        return
    if node.name not in scope.states:
        report.unknown(
            "E0301",
            f"`{node.name}` is not a state",
            node.name,
            node.span,
            scope.states,
            "state",
        )
        return
    if node.base != "n":
        report.add(
            "E0306",
            f"`{node.span.text}` is not counted from the step `n`",
            node.span,
            f"write `{node.name}[n]`",
        )
    elif node.offset > 1:
        report.add(
            "E0306",
            f"`{node.span.text}` is beyond the step being computed",
            node.span,
            "indices may be at most `n+1`",
        )
    elif -node.offset > HISTORY:
        report.add(
            "E0118",
            f"`{node.span.text}` reaches {-node.offset} steps back, the limit is {HISTORY}",
            node.span,
            "limits are listed in `explain E0118`",
        )
    elif node.offset == 1:
        scope.reads_next.setdefault(node.name, node.span)


def _check_call(scope: Scope, node: Call) -> None:
    report = scope.names.report
    if node.name in scope.names.report.poisoned:
        return
    count = scope.arity.get(node.name)
    if count is None and node.name in FUNCTIONS:
        count = FUNCTIONS[node.name][0]
    if count is None and node.name in REDUCTIONS:
        count = 1
        if len(node.arguments) == 1 and not is_tensor(scope, node.arguments[0]):
            report.add(
                "E0316",
                f"`{node.name}` is of a tensor, `{node.arguments[0].span.text}` is a number",
                node.span,
                f"write `{node.name}(u[n])`",
            )
    if count is None:
        if scope.names.kinds.get(node.name) == "map":
            return  # a map that is declared later or calls itself: reported where maps are checked
        known = set(scope.arity) | set(FUNCTIONS) | set(REDUCTIONS)
        report.unknown(
            "E0301",
            f"`{node.name}` is not declared",
            node.name,
            node.name_span,
            known,
            "function",
        )
    elif len(node.arguments) != count:
        report.add(
            "E0316",
            f"`{node.name}` takes {count} argument{'s' * (count != 1)}, found "
            f"{len(node.arguments)}",
            node.span,
            f"`{node.name}` was declared with {count}",
        )


def is_tensor(scope: Scope, root: Expression) -> bool:
    """Whether ``root`` depends on a state: it is a tensor, not a coefficient."""
    for node in parts(root):
        if isinstance(node, Index):
            return True
        if isinstance(node, Name) and node.id in scope.tensors:
            return True
        if isinstance(node, Call) and node.name in scope.arity:
            return True
    return False


def warn_nonlinear(scope: Scope, root: Expression) -> None:
    """Warn of products, quotients, powers and functions of tensors (W0312)."""
    report = scope.names.report
    for node in parts(root):
        if isinstance(node, Call) and (node.name in FUNCTIONS or node.name in REDUCTIONS):
            if any(is_tensor(scope, item) for item in node.arguments):
                report.add(
                    "W0312",
                    f"`{node.name}` of a state is not linear, so there is no modified equation",
                    node.span,
                    "the network is still built",
                )
        elif isinstance(node, Binary) and node.operator in "*/^":
            left, right = is_tensor(scope, node.left), is_tensor(scope, node.right)
            if (
                (left and right)
                or (right and node.operator in "/^")
                or (left and node.operator == "^")
            ):
                report.add(
                    "W0312",
                    f"`{node.span.text}` is not linear, so there is no modified equation",
                    node.span,
                    "the network is still built",
                )


def check_coefficients(scope: Scope, root: Expression) -> None:
    """Work out every coefficient of an equation once, so that its limits and divisions are checked."""
    values = dict(scope.names.values)
    values.update((name, sympy.Symbol(name)) for name in scope.scalars)
    stack = [root]
    while stack:
        node = stack.pop()
        if not is_tensor(scope, node):
            if not isinstance(node, (Name, Number)):
                coefficient(node, values, scope.names.report)
        elif isinstance(node, Binary):
            stack.extend((node.right, node.left))
        elif isinstance(node, Unary):
            stack.append(node.operand)
        elif isinstance(node, Call):
            stack.extend(node.arguments)


def _terms(root: Expression) -> list[Expression]:
    """Return the summands of ``root``."""
    stack: list[Expression] = [root]
    found: list[Expression] = []
    while stack:
        node = stack.pop()
        if isinstance(node, Binary) and node.operator in "+-":
            stack.extend((node.right, node.left))
        elif isinstance(node, Unary):
            stack.append(node.operand)
        else:
            found.append(node)
    return found


def ask_for_step_size(scope: Scope, value: Expression, drifts: set[str]) -> None:
    """Pedantic: a drift that enters a state without ``h`` (W0313); an increment of a path is of its size."""
    sized = {"h"} | scope.names.increments
    for term in _terms(value):
        called = [node for node in parts(term) if isinstance(node, Call) and node.name in drifts]
        has_h = any(isinstance(node, Name) and node.id in sized for node in parts(term))
        if called and not has_h:
            fixed = f"h*{term.span.text}"
            scope.names.report.add(
                "W0313",
                f"`{term.span.text}` lacks a factor `h`",
                term.span,
                f"write `{fixed}`; with h = 1 the network is the same",
                replacement=fixed,
            )
