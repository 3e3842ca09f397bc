"""Tableaus and multistep coefficients drawn with bars, as the textbook and the file do."""

from __future__ import annotations

from collections.abc import Sequence

from schemegen.report.notation import Script
from schemegen.scheme.model import Multistep, Scheme, Tableau, Tableaus

__all__ = ["draw"]


def draw(scheme: Scheme, script: Script) -> tuple[str, ...]:
    """Return the lines of the scheme's coefficients; none where its update is written as equations."""
    match scheme.update:
        case Tableaus(parts=parts):
            lines: list[str] = []
            for part in parts:
                if len(parts) > 1:
                    lines += [""] * bool(lines) + [f"for {', '.join(part.drifts)}"]
                lines += tableau(part.tableau, script)
            return tuple(lines)
        case Multistep():
            return multistep(scheme.update, script)
        case _:
            return ()


def tableau(item: Tableau, script: Script) -> tuple[str, ...]:
    """Draw c and A over the weights; the zeros above the diagonal are left out."""
    reach = {"explicit": 0, "dirk": 1}
    rows = [
        [script.exact(value) for value in row[: i + reach[item.kind]]]
        if item.kind in reach
        else [script.exact(value) for value in row]
        for i, row in enumerate(item.a)
    ]
    heads = [script.exact(value) for value in item.c]
    weights = [("b" if item.b_hat else "", [script.exact(value) for value in item.b])]
    if item.b_hat:
        weights.append(("bhat", [script.exact(value) for value in item.b_hat]))
    return _grid(list(zip(heads, rows, strict=True)), weights, script)


def multistep(item: Multistep, script: Script) -> tuple[str, ...]:
    """Draw the columns ``n+1 n n-1`` over a row for the state and one for each drift."""
    columns = [f"n{1 - j:+d}" if j != 1 else "n" for j in range(len(item.alpha))]
    rows = [(item.state, [script.exact(value) for value in item.alpha])]
    rows += [(name, [script.exact(value) for value in values]) for name, values in item.beta]
    return _grid([("", columns)], rows, script)


def _grid(
    above: Sequence[tuple[str, list[str]]],
    below: Sequence[tuple[str, list[str]]],
    script: Script,
) -> tuple[str, ...]:
    rows = [*above, *below]
    head = max(len(label) for label, _ in rows)
    count = max(len(cells) for _, cells in rows)
    widths = [
        max((len(cells[j]) for _, cells in rows if j < len(cells)), default=0) for j in range(count)
    ]

    def line(label: str, cells: list[str]) -> str:
        text = "  ".join(
            cell.rjust(width) for cell, width in zip(cells, widths[: len(cells)], strict=True)
        )
        return f"{label:>{head}} {script.bar} {text}".rstrip()

    length = sum(widths) + 2 * (count - 1) + 2
    rule = script.rule * (head + 1) + script.cross + script.rule * length
    return (*(line(*row) for row in above), rule, *(line(*row) for row in below))
