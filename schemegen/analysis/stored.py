"""Analyses as JSON text and back, exactly.

Dataclasses are kept by name with their fields in order, exact numbers in one table in which a row refers to
those before it, and spans by their distance from the start of the scheme, so that a scheme may move within its
file. Reading makes objects of listed kinds only. What cannot be kept exactly is not kept at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from schemegen.analysis import model, weak_model
from schemegen.analysis.model import Analysis
from schemegen.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from schemegen.scheme.model import Expectation, Interval, Scheme

__all__ = ["NotStorableError", "Places", "read_analysis", "scheme_data", "written_analysis"]

KINDS: Mapping[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        *(getattr(home, name) for home in (model, weak_model) for name in home.__all__),
        *(Diagnostic, Edit, Expectation, Fix, Interval, Label),
    )
}
NUMBERS: Mapping[str, sympy.Expr] = {
    "oo": sympy.oo,
    "-oo": -sympy.oo,
    "pi": sympy.pi,
    "E": sympy.E,
}
# Not evaluated: a product that was left factored stays so.
FUNCTIONS: Mapping[str, Callable[..., sympy.Expr]] = {
    kind.__name__: partial(kind, evaluate=False)
    for kind in (sympy.Add, sympy.Mul, sympy.Pow, sympy.Abs, sympy.exp)
}


class NotStorableError(Exception):
    """A value of a kind that this module does not know."""


@dataclass
class Places:
    """The sources that a scheme's spans are in, its own first; offsets there count from ``start``."""

    start: int
    sources: list[Source]

    @classmethod
    def of(cls, scheme: Scheme) -> Places:
        return cls(scheme.span.start, [scheme.source])

    def number(self, source: Source) -> int:
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def written(self, span: Span) -> list[int]:
        place = self.number(span.source)
        start = 0 if place else self.start
        return [place, span.start - start, span.end - start]

    def read(self, place: int, first: int, last: int) -> Span:
        start = 0 if place else self.start
        return Span(self.sources[place], start + first, start + last)


@dataclass
class _Writer:
    places: Places
    texts: bool = False  # spans with what they say
    rows: list[list[Any]] = field(default_factory=list)
    known: dict[sympy.Basic, int] = field(default_factory=dict)

    def data(self, value: object) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if isinstance(value, float):
            return {"float": value.hex()}
        if isinstance(value, tuple):
            return [self.data(item) for item in value]
        if isinstance(value, Span):
            return {"Span": [*self.places.written(value), *([value.text] if self.texts else [])]}
        if isinstance(value, Source):
            return {"Source": self.places.number(value)}
        if is_dataclass(value):
            return {kind.__name__: [self.data(getattr(value, item.name)) for item in fields(value)]}
        if isinstance(value, sympy.Basic):
            return {"exact": self.row(value)}
        raise NotStorableError(kind.__name__)

    def row(self, value: sympy.Basic) -> int:
        """Return the place of a number in the table."""
        if value not in self.known:
            row = self.new_row(value)
            self.known[value] = len(self.rows)
            self.rows.append(row)
        return self.known[value]

    def new_row(self, value: sympy.Basic) -> list[Any]:
        kind = type(value).__name__
        if isinstance(value, sympy.Rational):
            return ["Rational", format(value.p, "x"), format(value.q, "x")]
        if isinstance(value, sympy.Symbol) and value == sympy.Symbol(value.name):
            return ["Symbol", value.name]
        for name, number in NUMBERS.items():
            if value is number:
                return [name]
        if isinstance(value, AppliedUndef):
            return ["Function", kind, *map(self.row, value.args)]
        if kind in FUNCTIONS:
            return [kind, *map(self.row, value.args)]
        raise NotStorableError(kind)

    def text(self, value: object) -> str:
        data = self.data(value)
        return json.dumps({"exact": self.rows, "value": data}, separators=(",", ":"))


@dataclass
class _Reader:
    places: Places
    numbers: list[sympy.Expr] = field(default_factory=list)

    def value(self, data: Any) -> Any:
        if isinstance(data, list):
            return tuple(self.value(item) for item in data)
        if not isinstance(data, dict):
            return data
        ((kind, content),) = data.items()
        if kind == "exact":
            return self.numbers[content]
        if kind == "float":
            return float.fromhex(content)
        if kind == "Span":
            return self.places.read(*content)
        return KINDS[kind](*map(self.value, content))

    def number(self, kind: str, content: Sequence[Any]) -> sympy.Expr:
        if kind == "Rational":
            return sympy.Rational(int(content[0], 16), int(content[1], 16))
        if kind == "Symbol":
            return sympy.Symbol(content[0])
        if kind in NUMBERS:
            return NUMBERS[kind]
        if kind == "Function":
            return sympy.Function(content[0])(*(self.numbers[at] for at in content[1:]))
        return FUNCTIONS[kind](*(self.numbers[at] for at in content))


def scheme_data(scheme: Scheme) -> tuple[str, Places]:
    """Return everything an analysis may depend on of a scheme, as text, and where its spans are.

    Names of sources are not part of it, only their order, in which diagnostics are sorted. Errors:
    :class:`NotStorableError`.
    """
    places = Places.of(scheme)
    try:
        text = _Writer(places, texts=True).text(scheme)
    except RecursionError:
        raise NotStorableError("too deep") from None
    names = [source.name for source in places.sources]
    return f"{text}\n{[sorted(names).index(name) for name in names]}", places


def written_analysis(analysis: Analysis, places: Places) -> str:
    """Return an analysis as JSON text. Errors: :class:`NotStorableError` unless it is read back as it is."""
    try:
        text = _Writer(places).text(analysis)
    except RecursionError:
        raise NotStorableError("too deep") from None
    again = read_analysis(text, places)
    if again != analysis or _Writer(places).text(again) != text:
        raise NotStorableError("not equal")
    return text


def read_analysis(text: str, places: Places) -> Analysis:
    """Return the analysis of a text of :func:`written_analysis`; any exception where it is none."""
    data = json.loads(text)
    reader = _Reader(places)
    for kind, *content in data["exact"]:
        reader.numbers.append(reader.number(kind, content))
    value = reader.value(data["value"])
    if not isinstance(value, Analysis):
        raise TypeError("not an analysis")
    return value
