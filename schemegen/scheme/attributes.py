"""Attributes of a declaration: known or not, once or twice, and with values of the right kind."""

from __future__ import annotations

from collections.abc import Iterable

from schemegen.diagnostics import Label
from schemegen.language.nodes import Attribute, Name, Number, Value
from schemegen.scheme.report import Report

__all__ = ["Attributes"]


class Attributes:
    """The attributes of one declaration, looked up by name.

    Unknown ones are E0115, repeated ones E0116, values of the wrong kind E0120. Attributes in ``open_to`` are
    left to the caller.
    """

    def __init__(
        self,
        report: Report,
        keyword: str,
        attributes: Iterable[Attribute],
        known: Iterable[str],
    ) -> None:
        self.report = report
        self.keyword = keyword
        self.by_name: dict[str, Attribute] = {}
        allowed = tuple(known)
        for attribute in attributes:
            name = attribute.name.id
            if name not in allowed:
                report.unknown(
                    "E0115",
                    f"`{keyword}` has no attribute `{name}`",
                    name,
                    attribute.name.span,
                    allowed,
                    "attribute",
                )
            elif name in self.by_name:
                report.add(
                    "E0116",
                    f"the attribute `{name}` is given twice",
                    attribute.span,
                    "keep one",
                    labels=[Label(self.by_name[name].span, "first given here")],
                )
            else:
                self.by_name[name] = attribute

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> Attribute:
        return self.by_name[name]

    def one_of(self, *flags: str, default: str) -> str:
        """Return which of the bare words ``flags`` is there; two of them contradict."""
        present = [name for name in self.by_name if name in flags]
        for name in present:
            if self.by_name[name].values:
                self.wrong(self.by_name[name], f"`{name}` takes no value")
        for name in present[1:]:
            self.report.add(
                "E0116",
                f"`{name}` contradicts `{present[0]}`",
                self.by_name[name].span,
                "keep one",
                labels=[Label(self.by_name[present[0]].span, "the other one")],
            )
        return present[0] if present else default

    def wrong(self, attribute: Attribute, message: str, help: str | None = None) -> None:  # noqa: A002
        span = attribute.values[0].span.to(attribute.span) if attribute.values else attribute.span
        self.report.add("E0120", message, span, help)

    def word(self, name: str, choices: tuple[str, ...], default: str, *, filler: str = "") -> str:
        """Return the one word after ``name``; ``filler`` is a word that may precede it (``per``)."""
        if name not in self.by_name:
            return default
        attribute = self.by_name[name]
        values = list(attribute.values)
        if filler and len(values) > 1 and isinstance(values[0], Name) and values[0].id == filler:
            values.pop(0)
        listed = ", ".join(f"`{item}`" for item in choices)
        if len(values) != 1 or not isinstance(values[0], Name):
            self.wrong(attribute, f"`{name}` takes one word", f"one of {listed}")
            return default
        if values[0].id not in choices:
            self.report.unknown(
                "E0120",
                f"`{name}` cannot be `{values[0].id}`",
                values[0].id,
                values[0].span,
                choices,
                "value",
            )
            return default
        return values[0].id

    def single(self, name: str) -> Value | None:
        """Return the only value of ``name``, or None after reporting that there is not exactly one."""
        attribute = self.by_name.get(name)
        if attribute is None:
            return None
        if len(attribute.values) != 1:
            self.wrong(attribute, f"`{name}` takes one value, found {len(attribute.values)}")
            return None
        return attribute.values[0]

    def integer(self, name: str, default: int, *, low: int = 0, high: int = 10_000) -> int:
        """Return the whole number after ``name``, within ``low..high``."""
        if name not in self.by_name:
            return default
        value = self.single(name)
        if value is None:
            return default
        if not isinstance(value, Number) or value.value.denominator != 1:
            self.wrong(self.by_name[name], f"`{name}` takes a whole number")
            return default
        number = int(value.value)
        if not low <= number <= high:
            self.report.add(
                "E0120",
                f"`{name}` must be between {low} and {high}, found {number}",
                value.span,
                f"write `{name} {min(max(number, low), high)}`",
            )
            return default
        return number
