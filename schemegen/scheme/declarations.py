"""``state``, ``drift``, ``const``, ``schedule``, ``stepsize`` and ``expect``."""

from __future__ import annotations

from schemegen import exact
from schemegen.language.nodes import (
    Binding,
    Bracket,
    Call,
    Declaration,
    ExpectStatement,
    Name,
    Number,
    Target,
)
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.expressions import coefficient
from schemegen.scheme.model import Coefficient, Drift, Expectation, Schedule, State
from schemegen.scheme.names import Names
from schemegen.scheme.report import Report
from schemegen.scheme.times import TIME

__all__ = [
    "CLAIMS",
    "constant",
    "drifts",
    "expectation",
    "plain",
    "schedule",
    "states",
    "step_size",
]

NUMBER_CLAIMS = ("order", "stage_order", "embedded_order", "weak_order", "strong_order")
TRUTH_CLAIMS = (
    "consistent",
    "zero_stable",
    "A_stable",
    "L_stable",
    "I_stable",
    "symmetric",
    "symplectic",
    "reversible",
    "algebraically_stable",
    "explicit",
)
CLAIMS = NUMBER_CLAIMS + TRUTH_CLAIMS


def plain(report: Report, target: Target) -> bool:
    """Whether a target is a bare name; one with arguments is reported."""
    if target.arguments is None:
        return True
    report.add(
        "E0121",
        f"`{target.name.id}` takes no arguments here",
        target.span,
        f"write `{target.name.id}`",
        replacement=target.name.id,
    )
    return False


def states(names: Names, node: Declaration) -> tuple[State, ...]:
    """Return the states of ``state x, v: split [a, b]``."""
    report = names.report
    attributes = Attributes(report, "state", node.attributes, ("split",))
    splits: list[int | None] = [None] * len(node.targets)
    if "split" in attributes:
        value = attributes.single("split")
        widths = value.items if isinstance(value, Bracket) else ()
        whole = all(isinstance(item, Number) and item.value.denominator == 1 for item in widths)
        if len(widths) != len(node.targets) or not whole:
            attributes.wrong(
                attributes["split"], f"`split` takes {len(node.targets)} whole numbers of channels"
            )
        else:
            splits = [int(item.value) for item in widths if isinstance(item, Number)]
    found = []
    for target, split in zip(node.targets, splits, strict=True):
        if plain(report, target) and names.declare(target.name, "state"):
            found.append(State(target.name.id, target.name.span, split))
    return tuple(found)


def drifts(names: Names, node: Declaration) -> tuple[Drift, ...]:
    """Return the drifts of ``drift f(u): block NAME, weights per step, norm_stats shared``."""
    report = names.report
    attributes = Attributes(
        report, "drift", node.attributes, ("block", "weights", "norm_stats", "inner")
    )
    block = "preact"
    if "block" in attributes:
        value = attributes.single("block")
        if isinstance(value, Name):
            block = value.id
        elif value is not None:
            attributes.wrong(attributes["block"], "`block` takes the name of a block")
    knots = _knots(attributes)
    kinds = ("step", "stage", "call", "network", "smooth")
    weights = "smooth" if knots else attributes.word("weights", kinds, "step", filler="per")
    if weights == "smooth" and not knots:
        attributes.wrong(
            attributes["weights"],
            "`weights smooth` takes the number of its knots, 2 to 64",
            "write `weights smooth 3`",
        )
    norm_stats = attributes.word("norm_stats", ("stage", "shared"), "stage", filler="per")
    noise = attributes.single("inner")
    if noise is not None and not isinstance(noise, Name):
        attributes.wrong(attributes["inner"], "`inner` takes the name of a noise")
    inner = noise.id if isinstance(noise, Name) else ""
    found = []
    for target in node.targets:
        if target.arguments is None:
            report.add(
                "E0320",
                f"the drift `{target.name.id}` does not say what it depends on",
                target.span,
                f"write `{target.name.id}(u)` with the name of a state",
            )
            report.poisoned |= {target.name.id}
            continue
        if names.declare(target.name, "drift"):
            timed = takes_time(names, target)
            arguments = tuple(item.id for item in target.arguments)
            found.append(
                Drift(
                    target.name.id,
                    arguments[:-1] if timed else arguments,
                    target.name.span,
                    block,
                    weights,
                    norm_stats,
                    timed,
                    inner,
                    knots,
                )
            )
            if timed:
                names.values["t"] = TIME
    return tuple(found)


def _knots(attributes: Attributes) -> int:
    """Return K of ``weights smooth K``, 0 for anything else."""
    if "weights" not in attributes:
        return 0
    match attributes["weights"].values:
        case (Name(id="smooth"), Number(value=value)) if (
            value.denominator == 1 and 2 <= value <= 64
        ):
            return int(value)
        case (Name(id="smooth"), _):
            attributes.wrong(
                attributes["weights"],
                "`weights smooth` takes the number of its knots, 2 to 64",
                "write `weights smooth 3`",
            )
            return 2
        case _:
            return 0


def takes_time(names: Names, target: Target) -> bool:
    """Whether the last of several arguments is ``t``, the time: ``t`` names nothing else in the scheme."""
    arguments = target.arguments or ()
    return len(arguments) > 1 and arguments[-1].id == "t" and "t" not in names.kinds


def drift_arguments(names: Names, node: Declaration) -> None:
    """Report arguments of drifts that are no states, and an ``inner`` that is no noise."""
    for attribute in node.attributes:
        name = attribute.values[0] if attribute.values else None
        if attribute.name.id != "inner" or not isinstance(name, Name):
            continue
        if names.kinds.get(name.id) != "noise":
            known = names.of_kind("noise")
            message = f"`{name.id}` is not a noise"
            names.report.unknown("E0301", message, name.id, name.span, known, "noise")
    for target in node.targets:
        arguments = target.arguments or ()
        for item in arguments[:-1] if takes_time(names, target) else arguments:
            if names.kinds.get(item.id) != "state":
                names.report.unknown(
                    "E0301",
                    f"`{item.id}` is not a state",
                    item.id,
                    item.span,
                    names.of_kind("state"),
                    "state",
                )


def constant(names: Names, node: Binding) -> tuple[str, Coefficient] | None:
    """Return a ``const``: an exact number that may use earlier ones."""
    report = names.report
    Attributes(report, "const", node.attributes, ())
    earlier = {name: names.values[name] for name in names.of_kind("const") if name in names.values}
    if not names.declare(node.name, "const"):
        return None
    value = coefficient(node.value, earlier, report)
    if value is None:
        names.report.poisoned |= {node.name.id}
        return None
    names.values[node.name.id] = value
    return node.name.id, value


def step_size(names: Names, node: Binding) -> Coefficient | None:
    """Return the number of ``stepsize h = 1``."""
    report = names.report
    Attributes(report, "stepsize", node.attributes, ())
    if node.name.id != "h":
        report.add(
            "E0319",
            f"the step size is called `h`, not `{node.name.id}`",
            node.name.span,
            "write `stepsize h = ..`",
            replacement="h",
        )
    constants = {
        name: names.values[name] for name in names.of_kind("const") if name in names.values
    }
    value = coefficient(node.value, constants, report)
    if value is not None and (exact.is_zero(value) or not value.is_positive):
        report.add("E0319", "the step size must be positive", node.value.span, "write `1`")
        return None
    return value


def schedule(names: Names, node: Binding) -> Schedule | None:
    """Return a ``schedule``: ``linear(a, b)``, ``cosine(a, b)`` or ``list(..)``, and ``first drop``."""
    report = names.report
    attributes = Attributes(report, "schedule", node.attributes, ("first",))
    first_drop = attributes.word("first", ("drop", "keep"), "keep") == "drop"
    if not names.declare(node.name, "schedule"):
        return None
    value = node.value
    kinds = {"linear": 2, "cosine": 2, "list": None}
    if not isinstance(value, Call) or value.name not in kinds:
        report.add(
            "E0321",
            "a schedule is `linear(a, b)`, `cosine(a, b)` or `list(..)`",
            value.span,
            "write `linear(1, 1/2)`; a fixed number is a `const`",
        )
        return None
    count = kinds[value.name]
    if not value.arguments or (count is not None and len(value.arguments) != count):
        report.add(
            "E0316",
            f"`{value.name}` takes {count or 'some'} values, found {len(value.arguments)}",
            value.span,
            "give the value of the first and of the last step",
        )
        return None
    constants = {
        name: names.values[name] for name in names.of_kind("const") if name in names.values
    }
    values = [coefficient(item, constants, report) for item in value.arguments]
    if any(item is None for item in values):
        return None
    return Schedule(
        node.name.id,
        value.name,
        tuple(item for item in values if item is not None),
        node.span,
        first_drop,
    )


def expectation(names: Names, node: ExpectStatement) -> Expectation | None:
    """Return a claim of the file, of the right kind; it is decided later, by the analysis."""
    report = names.report
    claim = node.name.id
    if claim not in CLAIMS:
        report.unknown("E0122", f"unknown claim `{claim}`", claim, node.name.span, CLAIMS, "claim")
        return None
    if claim in NUMBER_CLAIMS:
        if node.value is None:
            report.add("E0123", f"`{claim}` needs a number", node.span, f"write `{claim} = 2`")
            return None
        constants = {
            name: names.values[name] for name in names.of_kind("const") if name in names.values
        }
        value = coefficient(node.value, constants, report)
        if value is None:
            return None
        halves = claim in {"weak_order", "strong_order"}
        if not (value * (2 if halves else 1)).is_Integer or value < 0:
            report.add(
                "E0123", f"`{claim}` is a whole number", node.value.span, f"write `{claim} = 2`"
            )
            return None
        return Expectation(claim, node.operator, value, node.span)
    truth: bool | None = True
    if node.value is not None:
        word = node.value.id if isinstance(node.value, Name) else ""
        truth = {"true": True, "false": False}.get(word)
        if truth is None or node.operator != "=":
            report.add(
                "E0123",
                f"`{claim}` is true or false",
                node.value.span,
                f"write `expect {claim}`, or `expect {claim} = false`",
            )
            return None
    return Expectation(
        claim, None if node.value is None else "=", None if node.value is None else truth, node.span
    )
