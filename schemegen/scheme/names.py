"""The names of a scheme: what each stands for, and the exact value it has in coefficients."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from schemegen.diagnostics import Label, Span
from schemegen.language.nodes import Name
from schemegen.scheme.expressions import FUNCTIONS, REDUCTIONS
from schemegen.scheme.report import Report

__all__ = ["RESERVED", "Names"]

RESERVED = {
    "h": "the step size",
    "n": "the step index",
    "raw": "the stored tensor of a param",
    "inf": "infinity",
}


@dataclass(slots=True)
class Names:
    """Declared names by kind, with the place of each, and the values that coefficients may use."""

    report: Report
    kinds: dict[str, str] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    values: dict[str, sympy.Expr] = field(default_factory=lambda: {"h": sympy.Symbol("h")})
    used: set[str] = field(default_factory=set)
    increments: set[str] = field(default_factory=set)  # noises that are of the size sqrt(h)

    def declare(self, name: Name, kind: str) -> bool:
        """Enter a name; a reserved one is E0303, a second declaration E0302."""
        text = name.id
        if text in RESERVED:
            way = "; set it by `stepsize h = ..`" if text == "h" else ""
            self.report.add(
                "E0303",
                f"`{text}` is reserved for {RESERVED[text]}",
                name.span,
                f"choose another name{way}",
            )
            return False
        if text in FUNCTIONS or text in REDUCTIONS:
            self.report.add(
                "E0303",
                f"`{text}` is reserved for the function of that name",
                name.span,
                "choose another name",
            )
            return False
        if text in self.kinds:
            first = self.spans[text]
            self.report.add(
                "E0302",
                f"`{text}` is declared twice",
                name.span,
                f"first declared at {first.line}:{first.column}",
                labels=[Label(first, "first declared here")],
            )
            return False
        self.kinds[text] = kind
        self.spans[text] = name.span
        if kind in {"param", "schedule", "noise"}:
            self.values[text] = sympy.Symbol(text)
        return True

    def of_kind(self, kind: str) -> tuple[str, ...]:
        return tuple(name for name, known in self.kinds.items() if known == kind)

    def without(self, *kinds: str) -> dict[str, sympy.Expr]:
        """Return the values that a coefficient may use where ``kinds`` are out of place."""
        return {
            name: value
            for name, value in self.values.items()
            if self.kinds.get(name, "step size") not in kinds
        }
