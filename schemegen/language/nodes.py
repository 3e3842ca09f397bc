"""The syntax tree of a scheme file.

Nodes are frozen and carry spans that do not take part in equality, so a file and its formatted
print compare equal. Nothing here is checked for meaning; numbers keep the text they were written
with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from schemegen.diagnostics import Source, Span

__all__ = [
    "Assignment",
    "Attribute",
    "Binary",
    "Binding",
    "Bracket",
    "Call",
    "Cell",
    "Column",
    "Declaration",
    "ExpectStatement",
    "Expression",
    "File",
    "Import",
    "Index",
    "Item",
    "MapDefinition",
    "MultistepBlock",
    "MultistepRow",
    "Name",
    "NetworkNode",
    "Number",
    "SchemeNode",
    "Statement",
    "StepBlock",
    "String",
    "TableauBlock",
    "TableauRow",
    "Target",
    "Unary",
    "Value",
    "WeightRow",
]


# --- expressions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """An exact literal: ``3``, ``0.1`` (1/10), ``1e-3`` (1/1000)."""

    text: str
    span: Span = field(compare=False, repr=False)

    @property
    def value(self) -> Fraction:
        return Fraction(self.text)


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier; also every bare word of an attribute."""

    id: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Index:
    """``u[n+1]``: state ``name`` at the step ``n + offset``; ``base`` is the name before the
    sign."""

    name: str
    base: str
    offset: int
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``f(u[n], v[n])``; ``name_span`` covers the function's name alone."""

    name: str
    arguments: tuple[Expression, ...]
    span: Span = field(compare=False, repr=False)
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """A sign, ``+`` or ``-``, before an operand."""

    operator: str
    operand: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``+ - * /`` or ``^`` between two operands; parentheses are kept by structure, not by a
    node."""

    operator: str
    left: Expression
    right: Expression
    span: Span = field(compare=False, repr=False)


Expression = Number | Name | Index | Call | Unary | Binary


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text, without its quotes."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Bracket:
    """A list or an interval as an attribute's value: ``[3, 32, 32]``, ``[0, 1)``, ``(-1, 1]``."""

    opening: str
    items: tuple[Expression, ...]
    closing: str
    span: Span = field(compare=False, repr=False)


Value = Expression | String | Bracket


# --- statements --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attribute:
    """``name value value ..`` after the colon of a declaration: ``init uniform(0, 1)``, ``fixed``.

    ``name`` is the attribute's first word; a bare ``learnable`` has no values. An attribute that
    starts with a call, as ``wiener`` never does but ``gaussian(1/10)`` and ``conv(3)`` do, keeps
    that call as its only value and the called name as its name.
    """

    name: Name
    values: tuple[Value, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """What a declaration declares: ``u``, or ``f(u, v)`` with its arguments."""

    name: Name
    arguments: tuple[Name, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Declaration:
    """``keyword target, target: attribute, attribute``: the one shape of most statements."""

    keyword: Name
    targets: tuple[Target, ...]
    attributes: tuple[Attribute, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """``const g = expr``, ``schedule p = expr, first drop``, ``stepsize h = expr``."""

    keyword: Name
    name: Name
    value: Expression
    span: Span = field(compare=False, repr=False)
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class MapDefinition:
    """``map F(x, y) = expr``."""

    name: Name
    arguments: tuple[Name, ...]
    body: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """``u[n+1] = expr`` or ``y = expr`` inside ``step { }``."""

    target: Name | Index
    value: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StepBlock:
    """``step { }``: the update written as equations."""

    keyword: Name
    assignments: tuple[Assignment, ...]
    span: Span = field(compare=False, repr=False)


Cell = Expression


@dataclass(frozen=True, slots=True)
class TableauRow:
    """``c | a a a`` above the rule; ``c`` is None where the column is left out."""

    abscissa: Cell | None
    cells: tuple[Cell, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class WeightRow:
    """``b | w w w`` under the rule; ``label`` is None where it is left out."""

    label: Name | None
    cells: tuple[Cell, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TableauBlock:
    """``tableau explicit for f { rows --- weights }``; ``modifiers`` are the words before the
    brace."""

    keyword: Name
    modifiers: tuple[Name, ...]
    rows: tuple[TableauRow, ...]
    weights: tuple[WeightRow, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Column:
    """``n+1``, ``n`` or ``n-2`` in the head of a multistep block."""

    offset: int
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MultistepRow:
    """``u | 1 -1 0``: the coefficients of a state or a drift, a column each."""

    label: Name
    cells: tuple[Cell, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MultistepBlock:
    """``multistep { | n+1 n n-1 --- rows }``: ``sum alpha_j u_j = h sum beta_j f(u_j)``."""

    keyword: Name
    columns: tuple[Column, ...]
    rows: tuple[MultistepRow, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ExpectStatement:
    """``expect order = 2``, ``expect A_stable``; ``operator`` is one of ``=``, ``>=``, ``<=`` or
    None."""

    keyword: Name
    name: Name
    operator: str | None
    value: Expression | None
    span: Span = field(compare=False, repr=False)


Statement = (
    Declaration
    | Binding
    | MapDefinition
    | StepBlock
    | TableauBlock
    | MultistepBlock
    | ExpectStatement
)


# --- files --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SchemeNode:
    """``scheme name "title" { statements }``."""

    name: Name
    title: String | None
    statements: tuple[Statement, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NetworkNode:
    """``network name "title" { declarations }``."""

    name: Name
    title: String | None
    statements: tuple[Declaration | Binding, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Import:
    """``import "other.scheme"``."""

    path: String
    span: Span = field(compare=False, repr=False)


Item = Import | SchemeNode | NetworkNode


@dataclass(frozen=True, slots=True)
class File:
    """A parsed file: its source and its items in order."""

    source: Source = field(compare=False, repr=False)
    items: tuple[Item, ...]
