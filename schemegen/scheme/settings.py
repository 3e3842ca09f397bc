"""``damping``, ``solve``, ``start`` and ``transition``."""

from __future__ import annotations

import sympy

from schemegen.language.nodes import Bracket, Declaration, Name, String
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.expressions import coefficient
from schemegen.scheme.model import Damping, Solver, Start, Transition
from schemegen.scheme.names import Names

__all__ = ["SOLVERS", "damping", "solver", "start", "transition"]

SOLVERS = ("fixed_point", "neumann", "anderson", "newton_krylov")
FORBIDDEN = frozenset({"solve", "start", "transition"})


def damping(names: Names, node: Declaration) -> Damping | None:
    """Return ``damping lam: explicit, gain 1``; ``lam`` is a param, a schedule or a constant.

    ``first off`` and ``transition off`` leave the first step of a network and the changes of shape undamped.
    """
    report = names.report
    known_words = ("explicit", "exact", "implicit", "gain", "first", "transition")
    attributes = Attributes(report, "damping", node.attributes, known_words)
    first = attributes.word("first", ("on", "off"), "on") == "on"
    transition_too = attributes.word("transition", ("on", "off"), "on") == "on"
    mode = attributes.one_of("explicit", "exact", "implicit", default="explicit")
    gain = sympy.Integer(1)
    value = attributes.single("gain")
    if isinstance(value, (Bracket, String)):
        attributes.wrong(attributes["gain"], "`gain` takes an expression", "write `gain (1 + lam)`")
    elif value is not None:
        gain = coefficient(value, names.without("noise"), report) or gain
    if len(node.targets) != 1 or node.targets[0].arguments is not None:
        report.add("E0125", "`damping` takes one rate", node.span, "write `damping lam: explicit`")
        return None
    name = node.targets[0].name
    if names.kinds.get(name.id) not in {"param", "schedule", "const"}:
        known = names.of_kind("param") + names.of_kind("schedule") + names.of_kind("const")
        report.unknown("E0301", f"`{name.id}` is not declared", name.id, name.span, known, "name")
        return None
    names.used.add(name.id)
    rate = names.values.get(name.id)
    if rate is None:
        return None
    return Damping(rate, mode, gain, node.span, first, transition_too)


def solver(names: Names, node: Declaration) -> Solver | None:
    """Return ``solve: anderson, memory 5, iterations 30, tol 1e-5, gradient implicit``."""
    report = names.report
    known = (*SOLVERS, "iterations", "terms", "tol", "memory", "init", "gradient")
    items = node.attributes
    if items and items[0].name.id not in known:
        first = items[0].name
        report.unknown(
            "E0701", f"unknown solver `{first.id}`", first.id, first.span, SOLVERS, "solver"
        )
        return None
    attributes = Attributes(report, "solve", items, known)
    method = attributes.one_of(*SOLVERS, default="")
    if not method:
        report.add(
            "E0701",
            "`solve` does not name a solver",
            node.keyword.span,
            f"solvers: {', '.join(SOLVERS)}",
        )
        return None
    count_name, other = ("terms", "iterations") if method == "neumann" else ("iterations", "terms")
    if other in attributes:
        report.add(
            "E0702",
            f"`{method}` counts `{count_name}`, not `{other}`",
            attributes[other].name.span,
            f"write `{count_name}`",
            replacement=count_name,
        )
    default = {"neumann": 2, "fixed_point": 4}.get(method, 30)
    iterations = attributes.integer(count_name, default, low=1, high=1000)
    tolerance = None
    value = attributes.single("tol")
    if value is not None and not isinstance(value, (Bracket, String)):
        tolerance = coefficient(value, {}, report)
        if tolerance is not None and not tolerance.is_positive:
            report.add("E0120", "`tol` must be positive", value.span, "write `tol 1e-5`")
            tolerance = None
    return Solver(
        method,
        node.span,
        iterations,
        tolerance,
        attributes.integer("memory", 5, low=1, high=50),
        attributes.word("init", ("copy", "euler"), "copy"),
        attributes.word("gradient", ("unrolled", "implicit"), "unrolled"),
    )


def start(names: Names, node: Declaration) -> tuple[Start, Name | None]:
    """Return ``start: euler``, ``start: copy``, ``start: rk4``, ``start: v zero``.

    The second value is the name of a scheme that is still to be looked up.
    """
    report = names.report
    method, zero, scheme, plain = "euler", [], None, False
    chosen: Name | None = None
    for attribute in node.attributes:
        word = attribute.name
        values = attribute.values
        if len(values) == 1 and isinstance(values[0], Name) and values[0].id == "zero":
            if names.kinds.get(word.id) != "state":
                report.unknown(
                    "E0301",
                    f"`{word.id}` is not a state",
                    word.id,
                    word.span,
                    names.of_kind("state"),
                    "state",
                )
            else:
                zero.append(word.id)
        elif attribute.span.text.split() == ["first", "plain"]:
            plain = True
        elif values:
            report.add(
                "E0120",
                f"`start` cannot be `{attribute.span.text}`",
                attribute.span,
                "write `start: euler`, `copy`, `partial`, the name of a one-step scheme, `v zero`, "
                "or `first plain`",
            )
        elif chosen is not None:
            report.add("E0116", "`start` names two methods", attribute.span, "keep one")
        else:
            chosen = word
            method = word.id
            scheme = None if method in {"euler", "copy", "partial"} else word
    if plain and not zero:
        report.add(
            "E0120",
            "`first plain` is for schemes with a state that starts at zero",
            node.span,
            "write `start: v zero, first plain`; `start: euler` is plain by itself",
        )
    return Start(method, tuple(zero), None, node.span, plain), scheme


def transition(names: Names, node: Declaration) -> Transition:
    """Return ``transition: history project, scheme off, bn own``."""
    attributes = Attributes(
        names.report, "transition", node.attributes, ("history", "scheme", "bn")
    )
    history = None
    if "history" in attributes:
        history = attributes.word("history", ("project", "each", "reset"), "project")
    return Transition(
        history,
        attributes.word("scheme", ("off", "on", "strided"), "off"),
        attributes.word("bn", ("own", "shared"), "own"),
        node.span,
    )
