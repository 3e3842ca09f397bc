"""From parser callbacks to syntax nodes, bottom up, so that no nesting overflows Python's stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lark import Token, Transformer

from schemegen.diagnostics import Diagnostic, SchemeError, Source, Span
from schemegen.language import limits, nodes
from schemegen.language.patches import Patched

__all__ = ["Builder"]


def _depth_error(span: Span) -> SchemeError:
    return SchemeError(
        [
            limits.exceeded(
                f"the expression is nested deeper than {limits.EXPRESSION_DEPTH} levels", span
            )
        ]
    )


class Builder(Transformer[Token, Any]):
    """Builds the nodes of one parse. ``source`` and ``offset`` (of a piece in its source) are set before.

    ``depths`` counts the nesting of expressions by identity; nodes stay alive in the parser's stack, so an
    identity is not used twice while it matters. ``breaches`` collects limits that do not stop the parse.
    """

    def __init__(self) -> None:
        super().__init__(visit_tokens=False)
        self.source = Source("", "")
        self.patched = Patched(self.source)
        self.offset = 0
        self.depths: dict[int, tuple[int, object]] = {}
        self.breaches: list[Diagnostic] = []

    def begin(self, patched: Patched, offset: int) -> None:
        self.source, self.patched, self.offset = patched.source, patched, offset
        self.depths, self.breaches = {}, []

    # --- spans ---

    def at(self, token: Token) -> Span:
        start = (token.start_pos or 0) + self.offset
        return self.patched.span(start, start + len(token))

    def between(self, children: Sequence[Any]) -> Span:
        first, last = self.span(children[0]), self.span(children[-1])
        return Span(self.source, first.start, last.end)

    def span(self, child: Any) -> Span:
        if isinstance(child, Token):
            return self.at(child)
        if isinstance(child, list):
            return self.between(child)
        result: Span = child.span
        return result

    def word(self, token: Token) -> nodes.Name:
        return nodes.Name(str(token), self.at(token))

    def deepened(self, node: nodes.Expression, *parts: object) -> nodes.Expression:
        depth = 1 + max((self.depths.get(id(part), (0, None))[0] for part in parts), default=0)
        if depth > limits.EXPRESSION_DEPTH:
            raise _depth_error(node.span)
        self.depths[id(node)] = (depth, node)
        return node

    # --- expressions ---

    def number(self, children: list[Token]) -> nodes.Number:
        token = children[0]
        text = str(token)
        _, _, exponent = text.lower().partition("e")
        if exponent and abs(int(exponent)) > limits.EXPONENT:
            self.breaches.append(
                limits.exceeded(
                    f"the exponent of `{text}` is beyond the limit of {limits.EXPONENT}",
                    self.at(token),
                )
            )
            text = "0"
        return nodes.Number(text, self.at(token))

    def name(self, children: list[Token]) -> nodes.Name:
        return self.word(children[0])

    def string(self, children: list[Token]) -> nodes.String:
        return nodes.String(str(children[0])[1:-1], self.at(children[0]))

    def parentheses(self, children: list[Any]) -> nodes.Expression:
        inner: nodes.Expression = children[1]
        return self.deepened(replace(inner, span=self.between(children)), inner)

    def unary(self, children: list[Any]) -> nodes.Expression:
        sign, operand = children
        return self.deepened(nodes.Unary(str(sign), operand, self.between(children)), operand)

    def signed_int(self, children: list[Token]) -> nodes.Expression:
        return self.unary([children[0], self.number([children[1]])])

    def binary(self, children: list[Any]) -> nodes.Expression:
        left, operator, right = children
        return self.deepened(
            nodes.Binary(str(operator), left, right, self.between(children)), left, right
        )

    def power(self, children: list[Any]) -> nodes.Expression:
        base, caret, exponent = children
        if isinstance(exponent, Token):
            exponent = self.number([exponent])
        if isinstance(exponent, nodes.Number) and exponent.value > limits.POWER:
            self.breaches.append(
                limits.exceeded(
                    f"the power {exponent.text} is beyond the limit of {limits.POWER}",
                    exponent.span,
                )
            )
            exponent = nodes.Number("1", exponent.span)
        return self.binary([base, caret, exponent])

    def call(self, children: list[Any]) -> nodes.Expression:
        name, _, *arguments, _ = children
        return self.deepened(
            nodes.Call(str(name), tuple(arguments), self.between(children), self.at(name)),
            *arguments,
        )

    def indexed(self, children: list[Token]) -> nodes.Index:
        name, _, base, *shift, _ = children
        offset = int(str(shift[0]) + str(shift[1])) if shift else 0
        return nodes.Index(str(name), str(base), offset, self.between(children))

    def bracket(self, children: list[Any]) -> nodes.Bracket:
        opening, *items, closing = children
        return nodes.Bracket(str(opening), tuple(items), str(closing), self.between(children))

    # --- declarations ---

    def plain_target(self, children: list[Token]) -> nodes.Target:
        name = self.word(children[0])
        return nodes.Target(name, None, name.span)

    def signature(self, children: list[Token]) -> nodes.Target:
        name, _, *arguments, _ = children
        return nodes.Target(
            self.word(name), tuple(self.word(item) for item in arguments), self.between(children)
        )

    def attr(self, children: list[Any]) -> nodes.Attribute:
        name, *values = children
        return nodes.Attribute(self.word(name), tuple(values), self.between(children))

    def call_attr(self, children: list[Any]) -> nodes.Attribute:
        called: nodes.Call = children[0]
        name = nodes.Name(called.name, called.name_span)
        return nodes.Attribute(name, tuple(children), self.between(children))

    def attrs(self, children: list[nodes.Attribute]) -> list[nodes.Attribute]:
        return children

    def decl(self, children: list[Any]) -> nodes.Declaration:
        keyword, *rest = children
        attributes = tuple(rest.pop()) if isinstance(rest[-1], list) else ()
        return nodes.Declaration(
            self.word(keyword), tuple(rest), attributes, self.between(children)
        )

    def anonymous(self, children: list[Any]) -> nodes.Declaration:
        keyword, attributes = children
        return nodes.Declaration(self.word(keyword), (), tuple(attributes), self.between(children))

    def bind(self, children: list[Any]) -> nodes.Binding:
        keyword, name, _, value, *rest = children
        return nodes.Binding(
            self.word(keyword),
            self.word(name),
            value,
            self.between(children),
            tuple(rest[0]) if rest else (),
        )

    def map_(self, children: list[Any]) -> nodes.MapDefinition:
        _, name, _, *arguments, _, _, body = children
        return nodes.MapDefinition(
            self.word(name),
            tuple(self.word(item) for item in arguments),
            body,
            self.between(children),
        )

    def expect(self, children: list[Any]) -> nodes.ExpectStatement:
        keyword, name, *rest = children
        operator = "=" if rest and rest[0] == "==" else str(rest[0]) if rest else None
        return nodes.ExpectStatement(
            self.word(keyword),
            self.word(name),
            operator,
            rest[1] if rest else None,
            self.between(children),
        )

    # --- blocks ---

    def assign(self, children: list[Any]) -> nodes.Assignment:
        target, _, value = children
        return nodes.Assignment(target, value, self.between(children))

    def step(self, children: list[Any]) -> nodes.StepBlock:
        keyword, _, *assignments, _ = children
        return nodes.StepBlock(self.word(keyword), tuple(assignments), self.between(children))

    def cells(self, children: list[Any]) -> list[Any]:
        return children

    def trow(self, children: list[Any]) -> nodes.TableauRow:
        bar = next(
            place
            for place, child in enumerate(children)
            if isinstance(child, Token) and child.type == "BAR"
        )
        abscissa = children[0] if bar else None
        cells = tuple(children[bar + 1]) if len(children) > bar + 1 else ()
        return nodes.TableauRow(abscissa, cells, self.between(children))

    def wrow(self, children: list[Any]) -> nodes.WeightRow:
        label = self.word(children[0]) if children[0].type == "NAME" else None
        return nodes.WeightRow(label, tuple(children[-1]), self.between(children))

    def tableau(self, children: list[Any]) -> nodes.TableauBlock:
        keyword, *rest = children
        modifiers = [child for child in rest if isinstance(child, Token) and child.type == "NAME"]
        return nodes.TableauBlock(
            self.word(keyword),
            tuple(self.word(item) for item in modifiers),
            tuple(child for child in rest if isinstance(child, nodes.TableauRow)),
            tuple(child for child in rest if isinstance(child, nodes.WeightRow)),
            self.between(children),
        )

    def lrow(self, children: list[Any]) -> nodes.MultistepRow:
        label, _, cells = children
        return nodes.MultistepRow(self.word(label), tuple(cells), self.between(children))

    def multistep(self, children: list[Any]) -> nodes.MultistepBlock:
        columns = tuple(
            nodes.Column(int(str(child)[1:] or "0"), self.at(child))
            for child in children
            if isinstance(child, Token) and child.type == "IDX"
        )
        return nodes.MultistepBlock(
            self.word(children[0]),
            columns,
            tuple(child for child in children if isinstance(child, nodes.MultistepRow)),
            self.between(children),
        )

    # --- files ---

    def import_(self, children: list[Token]) -> nodes.Import:
        return nodes.Import(self.string([children[1]]), self.between(children))

    def _header(self, children: list[Any]) -> tuple[nodes.Name, nodes.String | None]:
        title = children[2] if isinstance(children[2], nodes.String) else None
        return self.word(children[1]), title

    def scheme(self, children: list[Any]) -> nodes.SchemeNode:
        name, title = self._header(children)
        body = children[4 if title else 3 : -1]
        return nodes.SchemeNode(name, title, tuple(body), self.between(children))

    def network(self, children: list[Any]) -> nodes.NetworkNode:
        name, title = self._header(children)
        body = children[4 if title else 3 : -1]
        return nodes.NetworkNode(name, title, tuple(body), self.between(children))

    def start(self, children: list[Any]) -> nodes.File:
        return nodes.File(self.source, tuple(children))
