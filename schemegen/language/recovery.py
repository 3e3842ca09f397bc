from __future__ import annotations

from dataclasses import dataclass

from schemegen.diagnostics import Diagnostic, SchemeError, Source, Span
from schemegen.language import nodes
from schemegen.language.parser import parse_rule


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file as far as it could be read, and what is wrong with the rest.

    ``poisoned`` holds names that dropped pieces would have declared; ``damaged`` the start offsets of the
    schemes, networks and blocks (``node.span.start``) from which a piece was dropped.
    """

    file: nodes.File
    diagnostics: tuple[Diagnostic, ...] = ()
    poisoned: frozenset[str] = frozenset()
    damaged: frozenset[int] = frozenset()


def parse(source: Source) -> Parsed:
    """Parse a file."""
    from lark.exceptions import UnexpectedInput

    try:
        file, builder = parse_rule(source, source.text, 0, "start")
    except SchemeError as error:
        return Parsed(nodes.File(source, ()), error.diagnostics)
    except UnexpectedInput as error:
        at = getattr(error, "pos_in_stream", None) or 0
        span = Span(source, at, at + 1)
        return Parsed(
            nodes.File(source, ()),
            (Diagnostic("E0100", "this text was not expected here", span),),
        )
    return Parsed(file, tuple(builder.breaches))
