"""``step { }`` and ``map``: every name known, every value assigned before it is used, and only once."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from schemegen.diagnostics import Label, Span
from schemegen.language.nodes import (
    Assignment,
    Binary,
    Call,
    Expression,
    Index,
    Name,
    Number,
    StepBlock,
    Unary,
)
from schemegen.language.nodes import (
    MapDefinition as MapNode,
)
from schemegen.scheme.expressions import FUNCTIONS, coefficient
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Drift, Equations, MapDefinition, State
from schemegen.scheme.multisteps import HISTORY
from schemegen.scheme.names import RESERVED, Names

__all__ = ["CALLS", "MAPS", "equations", "maps"]

CALLS = 4096
MAPS = 32


@dataclass(slots=True)
class _Scope:
    """What an expression may use: functions by arity, and plain names that are tensors."""

    names: Names
    arity: dict[str, int]
    tensors: set[str]
    states: set[str]
    in_map: bool = False
    scalars: set[str] = field(default_factory=set)
    reads_next: dict[str, Span] = field(default_factory=dict)


def _check(scope: _Scope, root: Expression) -> bool:
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


def _check_name(scope: _Scope, node: Name) -> None:
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


def _check_index(scope: _Scope, node: Index) -> None:
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


def _check_call(scope: _Scope, node: Call) -> None:
    report = scope.names.report
    if node.name in scope.names.report.poisoned:
        return
    count = scope.arity.get(node.name)
    if count is None and node.name in FUNCTIONS:
        count = FUNCTIONS[node.name][0]
    if count is None:
        if scope.names.kinds.get(node.name) == "map":
            return  # a map that is declared later or calls itself: reported where maps are checked
        known = set(scope.arity) | set(FUNCTIONS)
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


def _tensor(scope: _Scope, root: Expression) -> bool:
    """Whether ``root`` depends on a state: it is a tensor, not a coefficient."""
    for node in parts(root):
        if isinstance(node, Index):
            return True
        if isinstance(node, Name) and node.id in scope.tensors:
            return True
        if isinstance(node, Call) and node.name in scope.arity:
            return True
    return False


def _linear(scope: _Scope, root: Expression) -> None:
    """Warn of products, quotients, powers and functions of tensors (W0312)."""
    report = scope.names.report
    for node in parts(root):
        if isinstance(node, Call) and node.name in FUNCTIONS:
            if any(_tensor(scope, item) for item in node.arguments):
                report.add(
                    "W0312",
                    f"`{node.name}` of a state is not linear, so there is no modified equation",
                    node.span,
                    "the network is still built",
                )
        elif isinstance(node, Binary) and node.operator in "*/^":
            left, right = _tensor(scope, node.left), _tensor(scope, node.right)
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


def _coefficients(scope: _Scope, root: Expression) -> None:
    """Work out every coefficient of an equation once, so that its limits and divisions are checked."""
    values = dict(scope.names.values)
    values.update((name, sympy.Symbol(name)) for name in scope.scalars)
    stack = [root]
    while stack:
        node = stack.pop()
        if not _tensor(scope, node):
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


def _homogeneous(scope: _Scope, value: Expression, drifts: set[str]) -> None:
    """Pedantic: a drift that enters a state without the factor ``h`` (W0313)."""
    for term in _terms(value):
        called = [node for node in parts(term) if isinstance(node, Call) and node.name in drifts]
        has_h = any(isinstance(node, Name) and node.id == "h" for node in parts(term))
        if called and not has_h:
            fixed = f"h*{term.span.text}"
            scope.names.report.add(
                "W0313",
                f"`{term.span.text}` lacks a factor `h`",
                term.span,
                f"write `{fixed}`; with h = 1 the network is the same",
                replacement=fixed,
            )


def maps(
    names: Names, nodes: list[MapNode], drifts: tuple[Drift, ...]
) -> tuple[MapDefinition, ...]:
    """Return the maps of a scheme; one may call only earlier ones, so that it ends (E0310)."""
    report = names.report
    arity = {drift.name: len(drift.arguments) for drift in drifts}
    calls: dict[str, int] = dict.fromkeys(arity, 1)
    found: list[MapDefinition] = []
    if len(nodes) > MAPS:
        report.add(
            "E0118",
            f"the scheme has {len(nodes)} maps, the limit is {MAPS}",
            nodes[MAPS].name.span,
            "limits are listed in `explain E0118`",
        )
        return ()
    for node in nodes:
        if names.spans.get(node.name.id) != node.name.span:
            continue
        arguments = tuple(item.id for item in node.arguments)
        scope = _Scope(names, arity, set(arguments), set(), in_map=True)
        sound = _check(scope, node.body)
        for part in parts(node.body):
            if (
                isinstance(part, Call)
                and names.kinds.get(part.name) == "map"
                and part.name not in arity
            ):
                itself = "itself" if part.name == node.name.id else f"the later map `{part.name}`"
                report.add(
                    "E0310",
                    f"map `{node.name.id}` calls {itself}",
                    part.name_span,
                    "a map may call only earlier maps",
                )
                sound = False
        if not sound:
            report.poisoned |= {node.name.id}
            continue
        _coefficients(scope, node.body)
        _linear(scope, node.body)
        total = sum(calls.get(part.name, 0) for part in parts(node.body) if isinstance(part, Call))
        if total > CALLS:
            report.add(
                "E0118",
                f"map `{node.name.id}` makes {total} drift calls, the limit is {CALLS}",
                node.name.span,
                "limits are listed in `explain E0118`",
            )
            report.poisoned |= {node.name.id}
            continue
        calls[node.name.id] = total
        arity[node.name.id] = len(arguments)
        found.append(MapDefinition(node.name.id, arguments, node.body, node.span))
    return tuple(found)


def equations(
    names: Names,
    node: StepBlock,
    states: tuple[State, ...],
    drifts: tuple[Drift, ...],
    known_maps: tuple[MapDefinition, ...],
    *,
    has_solver: bool,
) -> Equations | None:
    """Return the checked equations of a step, or None after reporting what is wrong with them."""
    report = names.report
    before = len(report.diagnostics)
    arity = {drift.name: len(drift.arguments) for drift in drifts}
    arity.update((item.name, len(item.arguments)) for item in known_maps)
    state_names = {item.name for item in states}
    local_places = _locals(names, node)
    assigned: dict[str, Span] = {}
    scope = _Scope(names, arity, set(), state_names)
    for assignment in node.assignments:
        _uses_in_order(names, assignment, local_places, scope)
        scope.reads_next = {}
        if _check(scope, assignment.value):
            _coefficients(scope, assignment.value)
        _linear(scope, assignment.value)
        _implicit(names, scope, assigned, has_solver=has_solver)
        _assign(names, scope, assignment, assigned)
        if report.pedantic and isinstance(assignment.target, Index):
            _homogeneous(scope, assignment.value, set(arity))
    if node.span.start not in report.damaged:
        _all_updated(names, states, assigned)
    if any(item.is_error for item in report.diagnostics[before:]):
        return None
    return Equations(node.assignments, known_maps, node.span)


def _locals(names: Names, node: StepBlock) -> dict[str, Span]:
    """Return where each local value is first assigned."""
    found: dict[str, Span] = {}
    for assignment in node.assignments:
        target = assignment.target
        if isinstance(target, Name) and target.id not in names.kinds and target.id not in RESERVED:
            found.setdefault(target.id, target.span)
    return found


def _uses_in_order(
    names: Names, assignment: Assignment, places: dict[str, Span], scope: _Scope
) -> None:
    """Report locals that are used before they are assigned (E0307), each once."""
    ready = scope.tensors | scope.scalars
    for part in parts(assignment.value):
        if isinstance(part, Name) and part.id in places and part.id not in ready:
            place = places[part.id]
            scope.tensors.add(part.id)
            ready.add(part.id)
            if place.start < assignment.span.start:
                continue  # its own equation is in error and was reported
            help_text = (
                f"move line {place.line} above line {assignment.span.line}"
                if place.line != assignment.span.line
                else "a value cannot be used in its own equation"
            )
            names.report.add(
                "E0307",
                f"stage `{part.id}` is used before it is assigned",
                part.span,
                help_text,
                labels=[Label(place, "assigned here")] if place.line != part.span.line else (),
            )


def _implicit(names: Names, scope: _Scope, assigned: dict[str, Span], *, has_solver: bool) -> None:
    for state, span in scope.reads_next.items():
        if state not in assigned and not has_solver:
            names.report.add(
                "E0308",
                f"`{span.text}` on the right makes this equation implicit",
                span,
                "add `solve: fixed_point, iterations 4`",
            )


def _assign(names: Names, scope: _Scope, assignment: Assignment, assigned: dict[str, Span]) -> None:
    target = assignment.target
    report = names.report
    if isinstance(target, Index):
        name = target.name
        if name not in scope.states:
            report.unknown(
                "E0301", f"`{name}` is not a state", name, target.span, scope.states, "state"
            )
            return
        if target.base != "n" or target.offset != 1:
            beyond = target.base == "n" and target.offset > 1
            report.add(
                "E0306",
                f"`{target.span.text}` is beyond the step being computed"
                if beyond
                else f"`{target.span.text}` is already known and cannot be assigned",
                target.span,
                f"assign `{name}[n+1]`",
                replacement=f"{name}[n+1]",
                applicability="maybe",
            )
            assigned.setdefault(name, target.span)
            return
        label = f"{name}[n+1]"
    else:
        name = label = target.id
        if name in names.kinds or name in RESERVED:
            kind = names.kinds.get(name)
            if kind == "state":
                report.add(
                    "E0315",
                    f"the state `{name}` needs its step",
                    target.span,
                    f"write `{name}[n+1]`",
                    replacement=f"{name}[n+1]",
                )
                assigned.setdefault(name, target.span)
            elif name in RESERVED:
                report.add(
                    "E0303",
                    f"`{name}` is reserved for {RESERVED[name]}",
                    target.span,
                    "choose another name",
                )
            else:
                report.add(
                    "E0302",
                    f"`{name}` is declared twice",
                    target.span,
                    f"it is a {kind} already; choose another name",
                    labels=[Label(names.spans[name], "first declared here")],
                )
            return
        (scope.tensors if _tensor(scope, assignment.value) else scope.scalars).add(name)
    if label in assigned or (name in assigned and isinstance(target, Index)):
        first = assigned.get(label, assigned.get(name))
        assert first is not None
        report.add(
            "E0311",
            f"`{label}` is assigned twice",
            target.span,
            f"first assigned at {first.line}:{first.column}",
            labels=[Label(first, "first assigned here")],
        )
        return
    assigned[name] = target.span


def _all_updated(names: Names, states: tuple[State, ...], assigned: dict[str, Span]) -> None:
    for state in states:
        if state.name not in assigned:
            names.report.add(
                "E0305",
                f"state `{state.name}` is never updated",
                state.span,
                f"add `{state.name}[n+1] = ...`",
            )
