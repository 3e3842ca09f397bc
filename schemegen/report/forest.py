"""The terms of a modified equation as pictures: each rooted tree with its coefficient, rows by power of h.

The layout is made once, in pixels from the upper left corner; it is painted as SVG here, and by matplotlib in
:mod:`schemegen.report.plots`. The root is at the bottom, each vertex has the colour of its field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from schemegen.analysis.model import TreeTerm
from schemegen.report.notation import Script, Tree, parse_tree, signed_sum

__all__ = ["COLORS", "MOST_TREES", "Dot", "Label", "Line", "Sheet", "sheet", "sheet_svg"]

# Okabe and Ito (2008): told apart by every kind of colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

MOST_TREES = 40  # a state; a fifth-order method has thousands at high orders

WIDTH, LEAST_WIDTH = 760.0, 320.0
STEP, RISE = 20.0, 22.0  # between leaves, between a vertex and its children
RADIUS = 5.0
SIZE, SMALL = 12.0, 10.0
GAP, MARGIN = 22.0, 12.0
HEAD = 64.0  # the column of the powers of h
LETTER = 0.62  # width of a letter over its size

Terms = Sequence[TreeTerm]
Field = Sequence[tuple[str, Terms]]
SCRIPT = Script()


@dataclass(frozen=True, slots=True)
class Dot:
    """A vertex; ``hollow`` for the state itself, which is no field."""

    x: float
    y: float
    color: str
    hollow: bool


@dataclass(frozen=True, slots=True)
class Line:
    """An edge between two vertices."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Label:
    """Text centred at ``x`` (or from ``x`` on, ``anchor="start"``), its foot at ``y``."""

    x: float
    y: float
    text: str
    size: float = SIZE
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything to paint, back to front, and the size of the page."""

    width: float
    height: float
    items: tuple[Dot | Line | Label, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A tree in its own box: vertices ``(x, height, field)``, edges by index, leaves counted."""

    vertices: tuple[tuple[float, int, str], ...]
    edges: tuple[tuple[int, int], ...]
    leaves: int

    @property
    def height(self) -> int:
        return max(height for _, height, _ in self.vertices)


def _place(tree: Tree) -> _Placed:
    """Put leaves side by side and each other vertex below the middle of its children."""
    vertices: list[tuple[float, int, str]] = []
    edges: list[tuple[int, int]] = []
    leaves = 0

    def put(vertex: Tree, height: int) -> int:
        nonlocal leaves
        children = [put(branch, height + 1) for branch in vertex.branches]
        if children:
            x = (vertices[children[0]][0] + vertices[children[-1]][0]) / 2
        else:
            x, leaves = float(leaves), leaves + 1
        vertices.append((x, height, vertex.field))
        edges.extend((len(vertices) - 1, child) for child in children)
        return len(vertices) - 1

    put(tree, 0)
    return _Placed(tuple(vertices), tuple(edges), leaves)


def sheet(field: Field, states: Sequence[str], fields: Sequence[str]) -> Sheet:
    """Lay out the modified equation of every state; vertices that are ``states`` are hollow."""
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(fields)}
    names = dict.fromkeys(
        name for _, terms in field for term in terms for name in _names(parse_tree(term.tree))
    )
    for name in names:
        if name not in colors and name not in states:
            colors[name] = COLORS[len(colors) % len(COLORS)]
    items: list[Dot | Line | Label] = []
    y = MARGIN
    if len(names) > 1:
        y = _legend(items, y, [name for name in names if name in colors or name in states], colors)
    for state, terms in field:
        y += SIZE + 4
        items.append(Label(MARGIN, y, f"{SCRIPT.name(state)}′ =", SIZE + 2, "start"))
        y = _levels(items, y + 6, terms, colors)
    right = max(
        item.x + len(item.text) * item.size * LETTER / (1 if item.anchor == "start" else 2)
        for item in items
        if isinstance(item, Label)
    )
    dots = max(item.x for item in items if isinstance(item, Dot)) if names else 0.0
    width = max(right, dots + RADIUS, LEAST_WIDTH) + MARGIN
    return Sheet(width, y + MARGIN, tuple(items))


def _names(tree: Tree) -> Iterator[str]:
    yield tree.field
    for branch in tree.branches:
        yield from _names(branch)


def _legend(
    items: list[Dot | Line | Label], y: float, names: Sequence[str], colors: dict[str, str]
) -> float:
    x = MARGIN + RADIUS
    for name in names:
        items.append(Dot(x, y + RADIUS, colors.get(name, ""), name not in colors))
        text = SCRIPT.name(name)
        items.append(Label(x + 10, y + RADIUS + 4, text, SIZE, "start"))
        x += 10 + len(text) * SIZE * LETTER + GAP
    return y + 2 * RADIUS + 10


def _levels(
    items: list[Dot | Line | Label], y: float, terms: Terms, colors: dict[str, str]
) -> float:
    ordered = sorted(terms, key=lambda term: term.h_power)
    shown = ordered[:MOST_TREES]
    for power, group in groupby(shown, key=lambda term: term.h_power):
        cells = [(_place(parse_tree(term.tree)), _texts(term)) for term in group]
        head = "1" if power == 0 else SCRIPT.power("h", power)
        while cells:
            row, cells = _row(cells)
            y = _paint_row(items, y, head, row, colors)
            head = ""
    if len(ordered) > len(shown):
        y += SIZE + 4
        more = len(ordered) - len(shown)
        items.append(Label(HEAD, y, f"and {more} more tree{'s' * (more > 1)}", SMALL, "start"))
    return y


def _texts(term: TreeTerm) -> tuple[str, str]:
    coefficient = signed_sum([SCRIPT.scaled(term.coefficient, "", "")])
    if coefficient.lstrip("-").startswith("/"):
        coefficient = coefficient.replace("/", "1/", 1)
    return coefficient, SCRIPT.differential(parse_tree(term.tree))


Cell = tuple[_Placed, tuple[str, str]]


def _width(cell: Cell) -> float:
    placed, (coefficient, name) = cell
    texts = max(len(coefficient) * SIZE, len(name) * SMALL) * LETTER
    return max(placed.leaves * STEP, texts)


def _row(cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """Return the cells that fit side by side, at least one, and the rest."""
    space, count = WIDTH - HEAD - MARGIN, 0
    for cell in cells:
        space -= _width(cell) + GAP
        if space < -GAP and count:
            break
        count += 1
    return list(cells[:count]), list(cells[count:])


def _paint_row(
    items: list[Dot | Line | Label],
    y: float,
    head: str,
    row: Sequence[Cell],
    colors: dict[str, str],
) -> float:
    root = y + 8 + max(placed.height for placed, _ in row) * RISE + RADIUS
    if head:
        items.append(Label(MARGIN + 8, root + 4, head, SIZE + 2, "start"))
    x = HEAD
    for placed, (coefficient, name) in row:
        width = _width((placed, (coefficient, name)))
        left = x + (width - (placed.leaves - 1) * STEP) / 2
        at = [(left + vx * STEP, root - height * RISE) for vx, height, _ in placed.vertices]
        items += [Line(*at[i], *at[j]) for i, j in placed.edges]
        items += [
            Dot(px, py, colors.get(field, ""), field not in colors)
            for (px, py), (_, _, field) in zip(at, placed.vertices, strict=True)
        ]
        items.append(Label(x + width / 2, root + 22, coefficient))
        items.append(Label(x + width / 2, root + 36, name, SMALL))
        x += width + GAP
    return root + 44


def sheet_svg(page: Sheet, title: str) -> str:
    """Return the sheet as one ``<svg>`` element; lines and text take the colour of the text around it."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="trees" role="img" '
        f'viewBox="0 0 {_short(page.width)} {_short(page.height)}" '
        f'width="{_short(page.width)}" height="{_short(page.height)}">',
        f"<title>{escape(title)}</title>",
    ]
    parts += [_svg(item) for item in page.items]
    return "\n".join([*parts, "</svg>"])


def _svg(item: Dot | Line | Label) -> str:
    match item:
        case Dot(x, y, color, hollow):
            paint = 'fill="none" stroke="currentColor"' if hollow else f'fill="{color}"'
            return f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(RADIUS)}" {paint}/>'
        case Line(x1, y1, x2, y2):
            ends = f'x1="{_short(x1)}" y1="{_short(y1)}" x2="{_short(x2)}" y2="{_short(y2)}"'
            return f'<line {ends} stroke="currentColor" stroke-width="1.4"/>'
        case Label(x, y, text, size, anchor):
            place = f'x="{_short(x)}" y="{_short(y)}" font-size="{_short(size)}"'
            return f'<text {place} text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
