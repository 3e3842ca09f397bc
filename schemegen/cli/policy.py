"""Which warnings are shown and which of them fail a run: ``--allow``, ``--deny``, ``# allow:``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from schemegen.cli.options import Function
from schemegen.diagnostics import Diagnostic, Source

__all__ = ["Policy", "warnings_options"]

CODE = re.compile(r"[EW]\d{4}\Z")
COMMENT = re.compile(r"#.*\ballow:\s*(W\d{4}(?:\s*,\s*W\d{4})*)")
STRING = re.compile(r'"[^"\n]*"')


@dataclass(frozen=True, slots=True)
class Policy:
    """Codes of warnings that are left out, and codes that count as errors (``all`` for every one)."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def keep(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Drop warnings that are allowed by option or by a comment on their line."""
        comments: dict[Source, dict[int, frozenset[str]]] = {}
        kept = []
        for item in diagnostics:
            if item.code in self.allow:
                continue
            if not item.is_error and item.span is not None:
                source = item.span.source
                if source not in comments:
                    comments[source] = allowed_lines(source)
                if item.code in comments[source].get(item.span.line, ()):
                    continue
            kept.append(item)
        return tuple(kept)

    def fails(self, diagnostics: Iterable[Diagnostic]) -> bool:
        """Whether what was found ends the run with exit code 1."""
        return any(
            item.is_error or "all" in self.deny or item.code in self.deny for item in diagnostics
        )


def allowed_lines(source: Source) -> dict[int, frozenset[str]]:
    """Return, by line, the codes that a comment ``# allow: W0313, W0304`` at its end names."""
    found = {}
    for number, line in enumerate(source.text.split("\n"), start=1):
        if "allow:" in line and (match := COMMENT.search(STRING.sub('""', line))):
            found[number] = frozenset(re.split(r"\s*,\s*", match.group(1)))
    return found


def _codes(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> frozenset[str]:
    codes = frozenset(code for item in value for code in re.split(r"[\s,]+", item) if code)
    for code in sorted(codes):
        if parameter.name == "deny" and code == "all":
            continue
        if not CODE.match(code):
            raise click.BadParameter(f"{code!r} is not a code such as W0402", ctx, parameter)
        if code.startswith("E"):
            raise click.BadParameter(f"{code} is an error, only warnings can be chosen", ctx)
        from schemegen.explanations import codes as known

        if code not in known():
            raise click.BadParameter(f"there is no diagnostic {code}", ctx, parameter)
    return codes


def warnings_options(function: Function) -> Function:
    """Add ``--allow`` and ``--deny``; the command gets ``policy``."""
    import functools

    @functools.wraps(function)
    def command(*args: Any, allow: frozenset[str], deny: frozenset[str], **others: Any) -> Any:
        return function(*args, policy=Policy(allow, deny), **others)

    wrapped: Callable[..., Any] = command
    for name, help_text in (
        ("--deny", "Fail on this warning; `all` for every one. May be repeated."),
        ("--allow", "Leave this warning out. May be repeated."),
    ):
        wrapped = click.option(
            name, multiple=True, metavar="CODE", callback=_codes, help=help_text
        )(wrapped)
    return wrapped  # type: ignore[return-value]
