"""The LALR parser of ``grammars/scheme.lark`` and its table cache.

Building the tables takes some tenths of a second, so the package ships them as JSON, with a hash of the
grammar and of lark's version. Where that does not fit (a bare checkout, another lark), they are built once and
kept by ``schemegen.cache``. The files hold data only: nothing in them is executed, a damaged one is built anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from schemegen import cache
from schemegen.language.newlines import Newlines
from schemegen.language.patches import Patched
from schemegen.language.tree import Builder
from schemegen.resources import resource_dir

__all__ = ["STARTS", "TABLES", "grammar_text", "parse_rule", "tables"]

TABLES = "scheme.tables.json"  # written by the build, see hatch_build.py
STARTS = ("start", "item", "sstmt", "nstmt", "trow", "wrow", "lrow", "assign")


def grammar_text() -> str:
    return (resource_dir("grammars") / "scheme.lark").read_text(encoding="utf-8")


def _encode(value: Any) -> Any:
    """Return lark's tables as JSON: dictionaries with any keys as pairs, tuples told from lists."""
    if isinstance(value, dict):
        return {"d": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if isinstance(value, (tuple, list)):
        return {"t" if isinstance(value, tuple) else "l": [_encode(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"l": sorted(_encode(item) for item in value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"lark's tables hold a {type(value).__name__}")


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, items),) = value.items()
    if kind == "d":
        return {_decode(key): _decode(item) for key, item in items}
    decoded = [_decode(item) for item in items]
    return tuple(decoded) if kind == "t" else decoded


def tables(text: str) -> dict[str, Any]:
    """Return the parser's tables as JSON data, under the hash they are valid for."""
    plain = Lark(
        text, parser="lalr", start=list(STARTS), postlex=Newlines(), maybe_placeholders=False
    )
    data, memo = plain.memo_serialize([TerminalDef, Rule])
    data["options"] = {
        key: item
        for key, item in data["options"].items()
        if key in {"parser", "lexer", "start", "maybe_placeholders", "priority", "keep_all_tokens"}
    }
    encoded: dict[str, Any] = {
        "digest": _digest(text),
        "data": _encode(data),
        "memo": _encode(memo),
    }
    return encoded


def _digest(text: str) -> str:
    return hashlib.sha256(f"{lark.__version__}\n{text}".encode()).hexdigest()[:16]


def _loaded(stored: Mapping[str, Any], builder: Builder, newlines: Newlines) -> Lark:
    parser: Lark = Lark._load_from_dict(  # type: ignore[no-untyped-call]
        _decode(stored["data"]),
        _decode(stored["memo"]),
        postlex=newlines,
        transformer=builder,
    )
    return parser


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, Builder, Newlines]:
    text = grammar_text()
    builder, newlines = Builder(), Newlines()
    digest = _digest(text)
    for text_of in (_shipped, partial(cache.read, "parser", digest)):
        try:
            stored = json.loads(text_of() or "")
            if stored["digest"] == digest:
                return _loaded(stored, builder, newlines), builder, newlines
        except Exception:  # whatever is wrong with a stored table, the grammar is the truth
            continue
    fresh = tables(text)
    cache.write("parser", digest, json.dumps(fresh))
    return _loaded(fresh, builder, newlines), builder, newlines


def _shipped() -> str:
    return (resource_dir("grammars") / TABLES).read_text(encoding="utf-8")


def parse_rule(patched: Patched, text: str, offset: int, rule: str) -> tuple[Any, Builder]:
    """Parse ``text``, which stands at ``offset`` of a patched source, by the grammar's ``rule``.

    Raises lark's ``UnexpectedInput`` for a syntax error and ``SchemeError`` for a nesting beyond the limit.
    Returns the node and the builder that holds the other limits that were passed.
    """
    parser, builder, newlines = _parser()
    newlines.at_end = rule == "start"
    builder.begin(patched, offset)
    try:
        return parser.parse(text, start=rule), builder
    except lark.exceptions.VisitError as error:
        raise error.orig_exc from error
