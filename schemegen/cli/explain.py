"""``schemegen explain``: the long text of a diagnostic code."""

from __future__ import annotations

import difflib

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.diagnostics import UsageError

__all__ = ["command"]


@click.command("explain")
@click.argument("code", required=False)
@click.option("--all", "everything", is_flag=True, help="Every code, in order.")
@click.option(
    "--as", "style", type=click.Choice(["text", "md"]), default="text", help="Terminal or Markdown."
)
@common
@click.pass_obj
def command(console: Console, code: str | None, everything: bool, style: str) -> None:
    """Explain the diagnostic CODE: what it means, a file that has it and one that is mended."""
    from schemegen.explanations import codes, explanation

    known = codes()
    if everything:
        wanted = known
    elif code is None:
        raise UsageError("no code given", "schemegen explain E0203, or --all")
    else:
        wanted = (code.upper(),)
    if wanted[0] not in known:
        near = difflib.get_close_matches(wanted[0], known, n=3, cutoff=0.7)
        hint = f"similar codes exist: {', '.join(near)}" if near else "schemegen explain --all"
        raise UsageError(f"there is no diagnostic {code}", hint)
    texts = [explanation(item).strip() for item in wanted]
    if style == "text":
        texts = [plain(text) for text in texts]
    console.out("\n\n".join(texts))


def plain(text: str) -> str:
    """Return Markdown as a terminal shows it: the fences become headings, the code is set in."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            if fenced and line.startswith("```scheme "):
                lines += [f"{line.removeprefix('```scheme ').strip()}:", ""]
            continue
        lines.append("    " + line if fenced and line else line.removeprefix("# "))
    return "\n".join(lines)
