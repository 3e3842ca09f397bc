"""What a syntax error means: from the token that does not fit, the one before it, and what would fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from schemegen.diagnostics import Diagnostic, Edit, Fix, Label
from schemegen.language.patches import Patched
from schemegen.language.scanner import Token

__all__ = ["Fault", "classify"]

OPERAND_ENDS = frozenset({"NUMBER", "NAME", "RPAR", "RSQB"})
OPERAND_STARTS = frozenset({"NUMBER", "NAME", "LPAR"})
WORDS = {
    "NAME": "a name", "FNAME": "a name with `(`", "NUMBER": "a number", "INT": "an integer",
    "STRING": "a string", "SIGN": "`+` or `-`", "MULOP": "`*` or `/`", "POWER": "`^`", "EQUAL": "`=`",
    "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`", "RBRACE": "`}`",
    "_COMMA": "`,`", "_COLON": "`:`", "BAR": "`|`", "RULE": "a line of dashes", "RELOP": "`>=` or `<=`",
    "IDX": "a column such as `n-1`", "_NL": "the end of the statement", "$END": "the end of the statement",
}  # fmt: skip
VALUE = frozenset({"NAME", "NUMBER", "INT", "LPAR"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A syntax error in a row of tokens; ``at`` is the place in them, their number for an early end."""

    tokens: Sequence[Token]
    at: int
    rule: str
    expected: Collection[str]
    functions: Collection[str]
    patched: Patched

    @property
    def token(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    @property
    def previous(self) -> Token | None:
        return self.tokens[self.at - 1] if 0 < self.at <= len(self.tokens) else None


def _source_text(fault: Fault, start: Token, end: Token) -> str:
    return fault.patched.span(start.start, end.end).text


def _space_in_call(fault: Fault) -> Diagnostic | None:
    """``f (u[n])``: reported at ``(``, or at ``f`` where only a call may stand."""
    name, bracket = fault.previous, fault.token
    if fault.token is not None and fault.token.kind == "NAME" and "FNAME" in fault.expected:
        following = fault.tokens[fault.at + 1 : fault.at + 2]
        if "NAME" not in fault.expected and following and following[0].kind == "LPAR":
            name, bracket = fault.token, following[0]
    if name is None or bracket is None or name.kind != "NAME" or bracket.kind != "LPAR":
        return None
    declares = fault.tokens[0].text in {"drift", "map"} and fault.tokens[1:2] == [name]
    if not declares and name.text not in fault.functions:
        return None
    gap = fault.patched.span(name.end, bracket.start)
    closing = next((item for item in fault.tokens[fault.at :] if item.kind == "RPAR"), bracket)
    inner = fault.patched.span(bracket.start, closing.end).text
    return Diagnostic(
        "E0103",
        f"a call has no space between `{name.text}` and `(`",
        gap,
        f"write `{name.text}{inner}`" if closing is not bracket else "leave the space out",
        fix=Fix((Edit(gap, ""),)),
    )


def _missing_colon(fault: Fault) -> Diagnostic | None:
    """``param k learnable``, ``solve fixed_point, iterations 4``."""
    token, words = fault.token, fault.tokens
    if fault.rule not in {"sstmt", "nstmt"} or token is None or "_COLON" not in fault.expected:
        return None
    if token.kind not in OPERAND_STARTS | {"STRING", "LSQB"} or words[0].kind != "NAME":
        return None
    anonymous = words[0].text in {"solve", "start", "transition", "input", "stem", "stage", "head"}
    if anonymous:
        name, first = words[0], words[1] if len(words) > 1 else token
    else:
        name, first = fault.previous or words[0], token
    target = words[1] if not anonymous and len(words) > 1 else name
    place = fault.patched.span(name.end, name.end)
    return Diagnostic(
        "E0101",
        f"expected `:` before the attributes of `{target.text}`",
        fault.patched.span(first.start, first.end),
        f"write `{_source_text(fault, words[0], name)}: {_source_text(fault, first, first)}`",
        fix=Fix((Edit(place, ":"),)),
    )


def _comparison(fault: Fault) -> Diagnostic | None:
    token = fault.token
    if token is None or token.text != "==" or fault.tokens[0].text == "expect":
        return None
    span = fault.patched.span(token.start, token.end)
    return Diagnostic(
        "E0105",
        "`==` in an equation",
        span,
        "use `=`; comparisons are for `expect`",
        fix=Fix((Edit(span, "="),)),
    )


def _missing_operator(fault: Fault) -> Diagnostic | None:
    left, right = fault.previous, fault.token
    if left is None or right is None or "MULOP" not in fault.expected:
        return None
    if left.kind not in OPERAND_ENDS or right.kind not in OPERAND_STARTS:
        return None
    gap = fault.patched.span(left.end, right.start)
    pair = f"{left.text}*{right.text}"
    return Diagnostic(
        "E0107",
        f"missing operator between `{left.text}` and `{right.text}`",
        gap,
        f"write `{pair}`",
        fix=Fix((Edit(gap, "*"),), "maybe" if left.kind == right.kind == "NUMBER" else "machine"),
    )


def _extra_bracket(fault: Fault) -> Diagnostic | None:
    token = fault.token
    if token is None or token.kind not in {"RPAR", "RSQB"}:
        return None
    before = fault.tokens[: fault.at]
    opened = sum(item.kind in {"LPAR", "LSQB"} for item in before)
    closed = sum(item.kind in {"RPAR", "RSQB"} for item in before)
    if opened > closed:
        return None
    span = fault.patched.span(token.start, token.end)
    message = f"`{token.text}` closes nothing"
    return Diagnostic("E0128", message, span, "leave it out", fix=Fix((Edit(span, ""),), "maybe"))


def unclosed(tokens: Sequence[Token], patched: Patched) -> Diagnostic | None:
    """Return the E0110 of the bracket in ``tokens`` that has no partner."""
    stack: list[Token] = []
    intervals = any(item.kind == "COLON" for item in tokens)
    partners = {"RPAR": "LPAR", "RSQB": "LSQB"}
    for token in tokens:
        if token.kind in {"LPAR", "LSQB"}:
            stack.append(token)
        elif token.kind in partners and stack:
            wanted = partners[token.kind]
            if stack[-1].kind != wanted and not intervals and any(t.kind == wanted for t in stack):
                return _never_closed(stack[-1], patched)
            stack.pop()
    return _never_closed(stack[-1], patched) if stack else None


def _never_closed(token: Token, patched: Patched) -> Diagnostic:
    closing = ")" if token.kind == "LPAR" else "]"
    return Diagnostic(
        "E0110",
        f"`{token.text}` is never closed",
        patched.span(token.start, token.end),
        f"add `{closing}` before the end of the statement",
    )


def _expectation(expected: Collection[str]) -> str:
    names = set(expected)
    words = []
    if len(VALUE & names) >= 2:
        names -= VALUE | {"FNAME", "SIGN"}
        words.append("a value")
    keywords = sorted(f"`{item.lower()}`" for item in names if item not in WORDS)
    words += sorted({WORDS[item] for item in names if item in WORDS})
    words += keywords
    if len(words) > 4:
        words = [*words[:4], "more"]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _unexpected(fault: Fault) -> Diagnostic:
    wanted = _expectation(fault.expected)
    token = fault.token
    if token is None:
        end = fault.tokens[-1].end
        span, message = fault.patched.span(end, end), "the statement ends too early"
    else:
        span = fault.patched.span(token.start, token.end)
        shown = span.text if len(span.text) <= 30 else span.text[:27] + "..."
        message = f"unexpected `{shown}`"
    previous = fault.previous
    labels: tuple[Label, ...] = ()
    if token is not None and previous is not None and previous.end < token.start:
        labels = (Label(fault.patched.span(previous.start, previous.end), "after this"),)
    if wanted:
        message += f", expected {wanted}"
    return Diagnostic("E0100", message, span, "mend or leave out this statement", labels)


def classify(fault: Fault) -> Diagnostic:
    """Return the diagnostic of a syntax error; its fix, if there is one, lets parsing go on."""
    for rule in (_space_in_call, _comparison, _missing_colon, _extra_bracket, _missing_operator):
        if (found := rule(fault)) is not None:
            return found
    return _unexpected(fault)
