"""Drawings of a step and of a network, as DOT for graphviz and as SVG that needs no other program.

Layers follow the longest path from the inputs; within a layer a node stands near the mean place of what it is
computed from (Sugiyama, Tagawa, Toda 1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape

from torch import fx

from schemegen.scheme.expressions import format_exact
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, Statement

__all__ = ["Drawing", "dot", "draw_network", "draw_step", "svg"]

FILL = {"value": "#ffffff", "branch": "#dce9f7", "given": "#eeeeee", "result": "#e2f2df"}
HEIGHT, ROW, GAP, LETTER, MARGIN = 26, 62, 22, 7.2, 16


@dataclass(slots=True)
class Drawing:
    """Boxes by name (label and kind), and arrows (from, to) with a label; ``back`` arrows close a loop."""

    name: str
    boxes: dict[str, tuple[str, str]] = field(default_factory=dict)
    arrows: dict[tuple[str, str], str] = field(default_factory=dict)
    back: set[tuple[str, str]] = field(default_factory=set)


def draw_step(program: Program) -> Drawing:
    """Return the drawing of a step: its values, its branches, and the coefficients between them."""
    drawing = Drawing(program.name)
    for statement in program.statements:
        add_statement(drawing, program, statement)
    results = {f"{state.name}[n+1]" for state in program.states}
    for name, (label, kind) in list(drawing.boxes.items()):
        if name in results and kind == "value":
            drawing.boxes[name] = (label, "result")
    return drawing


def add_statement(drawing: Drawing, program: Program, statement: Statement) -> None:
    match statement:
        case Combine():
            box(drawing, statement.target, statement.target, "value")
            for term in statement.terms:
                if term.value != ONES:
                    coefficient = format_exact(term.coefficient)
                    label = "" if coefficient == "1" else coefficient
                    arrow(drawing, term.value, statement.target, label)
        case Evaluate():
            label = f"{statement.field}({', '.join(statement.at)})"
            drift = program.field(statement.field).kind == "drift"
            box(drawing, statement.target, label, "branch" if drift else "value")
            for value in statement.at:
                arrow(drawing, value, statement.target, "")
        case Solve():
            for target in statement.targets:
                box(drawing, target, target, "value")
            for inner in statement.statements:
                moving = inner.at if isinstance(inner, Evaluate) else [t.value for t in inner.terms]
                drawing.back |= {
                    (value, inner.target) for value in moving if value in statement.targets
                }
                add_statement(drawing, program, inner)


def box(drawing: Drawing, name: str, label: str, kind: str) -> None:
    drawing.boxes[name] = (label, kind)


def arrow(drawing: Drawing, start: str, stop: str, label: str) -> None:
    drawing.boxes.setdefault(start, (start, "given"))
    known = drawing.arrows.get((start, stop))
    drawing.arrows[start, stop] = label if known is None else f"{known}, {label}"


def draw_network(name: str, graph: fx.Graph) -> Drawing:
    """Return the drawing of a network: a box for a step, with the shape of what it gives."""
    drawing = Drawing(name)
    owner: dict[fx.Node, str] = {}
    for node in graph.nodes:
        place = place_of(node)
        owner[node] = place
        if node.op in ("get_attr", "output"):
            continue
        shape = " x ".join(map(str, node.meta.get("shape", ())))
        label = f"{place}: {shape}" if shape else place
        kind = "branch" if place.startswith("stage") else "given"
        if place not in drawing.boxes or shape:
            drawing.boxes[place] = (label, kind)
        for used in node.all_input_nodes:
            if used.op != "get_attr" and owner[used] != place:
                drawing.arrows[owner[used], place] = ""
    return drawing


def place_of(node: fx.Node) -> str:
    custom = node.meta.get("custom")
    if custom is None:
        return str(node.name)
    if custom["step"] is None:
        return str(custom["stage"])
    return f"stage {custom['stage']}, step {custom['step']}"


def dot(drawing: Drawing) -> str:
    """Return the drawing in the language of graphviz."""
    lines = [f"digraph {quoted(drawing.name)} {{", "  rankdir=TB;"]
    lines.append("  node [shape=box, style=filled];")
    for name, (label, kind) in drawing.boxes.items():
        lines.append(f'  {quoted(name)} [label={quoted(label)}, fillcolor="{FILL[kind]}"];')
    for (start, stop), label in drawing.arrows.items():
        style = ", style=dashed, constraint=false" if (start, stop) in drawing.back else ""
        lines.append(f"  {quoted(start)} -> {quoted(stop)} [label={quoted(label)}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def layers(drawing: Drawing) -> list[list[str]]:
    """Return the boxes by the length of the longest path to them, each layer in drawing order."""
    before: dict[str, list[str]] = {name: [] for name in drawing.boxes}
    for start, stop in drawing.arrows:
        if (start, stop) not in drawing.back:
            before[stop].append(start)
    depth: dict[str, int] = {}
    waiting = list(drawing.boxes)
    while waiting:
        ready = [name for name in waiting if all(item in depth for item in before[name])]
        # A loop that is not marked is opened at its first box.
        for name in ready or waiting[:1]:
            depth[name] = 1 + max((depth.get(item, -1) for item in before[name]), default=-1)
        waiting = [name for name in waiting if name not in depth]
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in drawing.boxes:
        rows[depth[name]].append(name)
    for row in rows[1:]:
        place = {name: i for earlier in rows for i, name in enumerate(earlier)}
        means = {name: mean([place[item] for item in before[name]]) for name in row}
        row.sort(key=means.__getitem__)
    return rows


def mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def svg(drawing: Drawing) -> str:
    """Return the drawing as SVG."""
    rows = layers(drawing)
    width = {name: LETTER * len(label) + 18 for name, (label, _) in drawing.boxes.items()}
    spans = [sum(width[name] + GAP for name in row) - GAP for row in rows]
    # Arrows that pass a row go around it on the right.
    total = max(spans, default=0) + 2 * MARGIN + 60
    centre: dict[str, tuple[float, float]] = {}
    for index, row in enumerate(rows):
        x = (total - 60 - spans[index]) / 2
        for name in row:
            centre[name] = (x + width[name] / 2, MARGIN + HEIGHT / 2 + index * ROW)
            x += width[name] + GAP
    height = 2 * MARGIN + HEIGHT + ROW * (len(rows) - 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height}" width="{total:.0f}" '
        f'height="{height}" font-family="monospace" font-size="12">',
        f"<title>{escape(drawing.name)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{total:.0f}" height="{height}" fill="#fff"/>',
        *arrows_svg(drawing, centre, width, total),
    ]
    for name, (label, kind) in drawing.boxes.items():
        x, y = centre[name]
        lines.append(
            f'<rect x="{x - width[name] / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{width[name]:.1f}" '
            f'height="{HEIGHT}" rx="4" fill="{FILL[kind]}" stroke="#555"/>'
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{escape(label)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def arrows_svg(
    drawing: Drawing,
    centre: Mapping[str, tuple[float, float]],
    width: Mapping[str, float],
    total: float,
) -> Iterable[str]:
    for (start, stop), label in drawing.arrows.items():
        back = (start, stop) in drawing.back
        (x1, y1), (x2, y2) = centre[start], centre[stop]
        if not back and y2 - y1 <= ROW:
            y1, y2 = y1 + HEIGHT / 2, y2 - HEIGHT / 2
            path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
            at = (x1 + 0.6 * (x2 - x1), y1 + 0.6 * (y2 - y1))
        else:
            x1, x2 = x1 + width[start] / 2, x2 + width[stop] / 2
            side = min(max(x1, x2) + 20 + abs(y2 - y1) / 8, total - 12)
            path = f"M{x1:.1f} {y1:.1f}C{side:.1f} {y1:.1f} {side:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
            at = ((x1 + x2 + 6 * side) / 8, (y1 + y2) / 2)
        dash = ' stroke-dasharray="4 3"' if back else ""
        yield f'<path d="{path}" fill="none" stroke="#555"{dash} marker-end="url(#tip)"/>'
        if label:
            yield (
                f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="10" fill="#333" stroke="#fff" '
                f'stroke-width="3" paint-order="stroke" text-anchor="middle">{escape(label)}</text>'
            )
