"""The statements of a scheme by kind, and the names that none of them uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemegen.language.nodes import (
    Binding,
    Declaration,
    ExpectStatement,
    MapDefinition,
    MultistepBlock,
    Name,
    SchemeNode,
    StepBlock,
    TableauBlock,
)
from schemegen.scheme.mentions import mentioned
from schemegen.scheme.names import Names
from schemegen.scheme.report import Report, similar

__all__ = ["Parts", "sort_statements", "warn_unused"]

KEYWORDS = (
    "state",
    "drift",
    "param",
    "noise",
    "damping",
    "solve",
    "start",
    "transition",
    "edition",
)
OTHER_WORDS = ("const", "schedule", "stepsize", "map", "expect", "step", "tableau", "multistep")


@dataclass(slots=True)
class Parts:
    """The statements of a scheme by kind, in the order of the file."""

    declarations: dict[str, list[Declaration]] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    maps: list[MapDefinition] = field(default_factory=list)
    steps: list[StepBlock] = field(default_factory=list)
    tableaus: list[TableauBlock] = field(default_factory=list)
    multisteps: list[MultistepBlock] = field(default_factory=list)
    expectations: list[ExpectStatement] = field(default_factory=list)

    def of(self, keyword: str) -> list[Declaration]:
        return self.declarations.get(keyword, [])


def sort_statements(report: Report, node: SchemeNode) -> Parts:
    found = Parts()
    for statement in node.statements:
        match statement:
            case Declaration(keyword=keyword):
                if keyword.id in KEYWORDS:
                    found.declarations.setdefault(keyword.id, []).append(statement)
                else:
                    _unknown_statement(report, keyword)
            case Binding():
                found.bindings.append(statement)
            case MapDefinition():
                found.maps.append(statement)
            case StepBlock():
                found.steps.append(statement)
            case TableauBlock():
                found.tableaus.append(statement)
            case MultistepBlock():
                found.multisteps.append(statement)
            case ExpectStatement():
                found.expectations.append(statement)
    return found


def _unknown_statement(report: Report, keyword: Name) -> None:
    known = KEYWORDS + OTHER_WORDS
    match = similar(keyword.id, known)
    if match is None:
        listed = ", ".join(f"`{word}`" for word in known)
        report.add("E0102", f"unknown statement `{keyword.id}`", keyword.span, f"known: {listed}")
        return
    report.add(
        "E0102",
        f"unknown statement `{keyword.id}`",
        keyword.span,
        f"a statement with a similar name exists: `{match}`",
        replacement=match,
    )


def _used(found: Parts) -> set[str]:
    """Return every name that is mentioned outside its own declaration."""
    used: set[str] = set()
    for block in found.steps:
        used |= mentioned(item.value for item in block.assignments)
    for tableau in found.tableaus:
        for row in tableau.rows:
            used |= mentioned([*row.cells, *([row.abscissa] if row.abscissa is not None else [])])
        for weights in tableau.weights:
            used |= mentioned(weights.cells)
        used |= {word.id for word in tableau.modifiers}
        if not any(word.id == "for" for word in tableau.modifiers):
            used |= {target.name.id for item in found.of("drift") for target in item.targets}
    for block_ in found.multisteps:
        for lrow in block_.rows:
            used |= {lrow.label.id} | mentioned(lrow.cells)
    for definition in found.maps:
        used |= mentioned([definition.body])
    for binding in found.bindings:
        used |= mentioned([binding.value])
    for items in found.declarations.values():
        for item in items:
            for attribute in item.attributes:
                used |= mentioned(attribute.values)
            if item.keyword.id == "damping":
                used |= {target.name.id for target in item.targets}
    return used


def warn_unused(names: Names, found: Parts) -> None:
    """Warn of names that nothing uses: a param would be dead weight in every network."""
    report = names.report
    if report.damaged or report.poisoned:
        return
    used = _used(found)
    said = {
        "param": ("W0304", "remove it; it would be a dead parameter"),
        "noise": ("W0314", "remove it, or use it in an equation"),
        "schedule": ("W0314", "remove it, or use it in an equation"),
        "drift": ("W0314", "remove it, or use it in an equation"),
        "const": ("W0314", "remove it"),
    }
    for name, kind in names.kinds.items():
        if kind in said and name not in used:
            code, help_text = said[kind]
            if kind == "noise" and name in report.in_blocks:
                continue
            report.add(code, f"{kind} `{name}` is never used", names.spans[name], help_text)
