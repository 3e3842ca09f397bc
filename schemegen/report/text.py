"""The report as text: the tableau beside the facts, the modified equation, the network, the notes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import StringIO
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from schemegen.analysis.model import Analysis
from schemegen.report.document import FieldForm, Prose, document, modifying_blocks, moving_fields
from schemegen.report.equation import derivative_form, field_form, truncation
from schemegen.report.facts import facts, headline, kind_of
from schemegen.report.grid import draw
from schemegen.report.lines import Fact
from schemegen.report.network import NetworkSummary
from schemegen.report.notation import Script
from schemegen.scheme.model import Scheme

__all__ = ["report_text"]

WIDEST = 108
GAP = 3
LABEL = 16
LEAST_BESIDE = 52  # columns that facts need beside a tableau; else they stand below it
LEVELS = 2

LABELS = {"A_alpha_degrees": "A(alpha)", "ssp": "SSP", "fsal": "first same as last"}

# Keys that most schemes lack for good: their absence needs no line on a terminal, JSON says why.
ABSENT = frozenset({"embedded_order", "error_constant", "stage_order", "admissible"})
OF_NOISE = frozenset(
    {"strong_order", "weak_order", "modified_sde", "mean_square", "stationary_variance"}
)

# The keys whose notes a short report repeats; the others are in the full one.
HEADLINES = frozenset(
    {"order", "consistent", "modified_equation"}
    | {"stability", "stability.zero_stable", "zero_stable", "stability.function", "function"}
)

BRACKETED = re.compile(r"[\[(][^\[\]()]{1,28}[\])]|\[[^\[\]]{1,36}\]")

VERDICTS = (
    (r"\(expected[^)]*: holds\)", "green"),
    (r"\(expected[^)]*: fails\)", "bold red"),
    (r"\(expected[^)]*: not decided\)", "yellow"),
    (r"\b[EW]\d{4}\b", "yellow"),
)


def report_text(
    analysis: Analysis,
    scheme: Scheme | None = None,
    network: NetworkSummary | None = None,
    *,
    width: int = 100,
    color: bool = False,
    unicode: bool = True,
    full: bool = False,
) -> str:
    """Return the report of one scheme.

    Args:
        width: columns of the terminal; lines are broken between terms, never cut.
        full:  every term of the modified equation and every condition instead of the leading ones.
    """
    script = Script(unicode)
    width = min(width, WIDEST)
    lines = [
        *_head(analysis, scheme, script, width),
        *_body(analysis, scheme, script, width),
        *_modified(analysis, scheme, script, width, full),
        *(_modifying(analysis, script, width) if full else ()),
        *(_conditions(analysis, script, width) if full else ()),
        *(_network(network, width) if network else ()),
        *_notes(analysis, width, full),
        *(_sources(analysis, scheme, script, width) if full else ()),
    ]
    return render("\n".join(line.rstrip() for line in lines), color=color)


def render(text: str, *, color: bool) -> str:
    """Return ``text`` with the colours of verdicts and codes; without colour it is as it was."""
    if not color:
        return text + "\n"
    styled = Text(text)
    first, _, _ = text.partition("\n")
    styled.stylize("bold", 0, len(first))
    for pattern, style in VERDICTS:
        styled.highlight_regex(pattern, style)
    stream = StringIO()
    console = Console(
        file=stream, force_terminal=True, color_system="standard", width=10_000, no_color=False
    )
    console.print(styled, soft_wrap=True, highlight=False)
    return stream.getvalue()


def _head(analysis: Analysis, scheme: Scheme | None, script: Script, width: int) -> Iterator[str]:
    left, right = headline(analysis), kind_of(analysis, scheme, script)
    space = width - cell_len(left) - cell_len(right)
    if space >= 2:
        yield left + " " * space + right
    else:
        yield from wrap(left, width)
        yield from wrap(right, width)
    yield script.rule * width


def _body(analysis: Analysis, scheme: Scheme | None, script: Script, width: int) -> Iterator[str]:
    grid = draw(scheme, script) if scheme is not None else ()
    lines = facts(analysis, scheme, script)
    across = max((len(line) for line in grid), default=0)
    beside = across + 2 + GAP
    if not grid or width - beside < LEAST_BESIDE:
        yield from ("  " + line for line in grid)
        if grid:
            yield ""
        yield from _rows(lines, width)
        return
    right = list(_rows(lines, width - beside))
    for position in range(max(len(grid), len(right))):
        left = grid[position] if position < len(grid) else ""
        text = right[position] if position < len(right) else ""
        yield f"  {left:<{across + GAP}}{text}"


def _rows(lines: Sequence[Fact], width: int) -> Iterator[str]:
    """Lay facts out in two columns; a long text goes on below its own beginning."""
    column = min(max([LABEL, *(cell_len(line.label) + 2 for line in lines)]), width // 2)
    for line in lines:
        text = "   ".join([line.text, *line.codes])
        pieces = _folded(text, width - column)
        for position, piece in enumerate(pieces):
            yield f"{line.label if position == 0 else '':<{column}}{piece}"


def _folded(text: str, width: int) -> list[str]:
    """Break between words; an interval or a verdict in brackets stays in one piece."""
    if cell_len(text) <= width:
        return [text]
    held = BRACKETED.sub(lambda match: match.group().replace(" ", "\0"), text)
    lines = wrap(held, max(width, 10), break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines] or [""]


def _hanging(text: str, width: int) -> Iterator[str]:
    """Set in a text, what follows its first line a little more."""
    for position, piece in enumerate(_folded(text, width - 5)):
        yield ("   " if position == 0 else "     ") + piece


def _filled(words: Sequence[str], lead: str, width: int) -> Iterator[str]:
    """Set words after ``lead``, breaking between them; what follows is set in below the lead."""
    line, empty = lead, True
    for word in words:
        if not empty and len(line) + 1 + len(word) > width:
            yield line
            line, empty = " " * len(lead), True
        line += word if empty else " " + word
        empty = False
    yield line


def _modified(
    analysis: Analysis, scheme: Scheme | None, script: Script, width: int, full: bool
) -> Iterator[str]:
    equation = analysis.modified_equation
    if equation is None:
        return
    levels = None if full else LEVELS
    yield ""
    if equation.field is not None:
        power = script.power("h", truncation(equation, levels))
        remarks = f" ({', '.join(equation.valid)})" if equation.valid else ""
        yield from _folded(
            f"The network integrates, up to O({power}), the modified equation{remarks}", width
        )
        for state, terms in equation.field:
            lead = f"   {script.name(state)}' = "
            yield from _filled(field_form(terms, script, levels=levels), lead, width)
    if equation.derivative_form is not None and (full or _many_steps(scheme)):
        field = " + ".join(moving_fields(analysis))
        words = derivative_form(equation.derivative_form, analysis.states[0], field, script)
        yield from _filled(words, "   in derivatives: ", width)
    if analysis.principal_error_norm is not None and analysis.order is not None:
        value = analysis.principal_error_norm[1]
        yield f"   principal error norm {value:.4g} (trees of order {analysis.order + 1})"


def _modifying(analysis: Analysis, script: Script, width: int) -> Iterator[str]:
    """Yield the field that makes the step exact."""
    for block in modifying_blocks(analysis, script):
        match block:
            case Prose(text):
                yield ""
                yield from _folded(text, width)
            case FieldForm(state, terms, _):
                lead = f"   {script.name(state)}' = "
                yield from _filled(field_form(terms, script), lead, width)


def _sources(
    analysis: Analysis, scheme: Scheme | None, script: Script, width: int
) -> Iterator[str]:
    """Yield where the formulas of each section come from."""
    parts = [item for item in document(analysis, scheme, script).sections if item.sources]
    if parts:
        yield ""
        yield "sources"
    for item in parts:
        cited = "; ".join(map(str, item.sources))
        yield from _hanging(f"{item.title.lower()}: {cited}", width)


def _many_steps(scheme: Scheme | None) -> bool:
    """Whether the derivative form is what readers of the field quote: multistep and step equations."""
    from schemegen.scheme.model import Tableaus

    return scheme is None or not isinstance(scheme.update, Tableaus)


def _conditions(analysis: Analysis, script: Script, width: int) -> Iterator[str]:
    """Yield the order conditions, the failing ones with what they miss by."""
    if not analysis.order_conditions:
        return
    several = len({item.state for item in analysis.order_conditions}) > 1
    rows = [
        (
            f"{item.state}: {item.tree}" if several else item.tree,
            "holds" if item.residual == 0 else f"misses by {script.exact(item.residual)}",
        )
        for item in analysis.order_conditions
    ]
    column = min(max(len(tree) for tree, _ in rows) + 2, max(width // 2, 8))
    yield ""
    yield "order conditions"
    for tree, outcome in rows:
        yield from _folded(f"   {tree:<{column}}{outcome}", width)


def _network(network: NetworkSummary, width: int) -> Iterator[str]:
    shape = "x".join(map(str, network.input_shape))
    widths = ", ".join(map(str, network.widths))
    steps = " + ".join(map(str, network.steps))
    behind = f", {network.after} after each" if network.after else ""
    label = f"{network.name} network"
    column = max(LABEL + 8, len(label) + 2)
    parts = (
        (f"{shape} -> {network.classes} classes", f"stages {widths}", f"steps {steps}{behind}"),
        (
            f"fx, {network.nodes} nodes",
            f"parameters {network.parameters:,} (scheme coefficients {network.coefficients:,})",
        ),
    )
    yield ""
    for name, items in ((label, parts[0]), ("   graph", parts[1])):
        line = f"{name:<{column}}" + "     ".join(items)
        if len(line) <= width:
            yield line
            continue
        yield name
        yield from (f"      {item}" for item in items)


def _notes(analysis: Analysis, width: int, full: bool) -> Iterator[str]:
    """Yield what was not decided or was assumed; notes that carry a warning's code stand in its line."""
    said: dict[str, list[str]] = {}
    for note in analysis.notes:
        if note.key in OF_NOISE:
            shown = analysis.kind == "stochastic"
            open_order = note.key.endswith("_order") and getattr(analysis, note.key) is None
            shown = shown and (note.key == "modified_sde" or open_order or full)
        else:
            shown = note.key not in ABSENT and (full or note.key in HEADLINES)
        if note.code is None and shown:
            key = note.key.rpartition(".")[2]
            key = LABELS.get(key, key.replace("_", " "))
            said.setdefault(note.text, []).append(key)
    if not said:
        return
    yield ""
    yield "notes"
    for text, keys in said.items():
        yield from _hanging(f"{', '.join(keys)}: {text}", width)
