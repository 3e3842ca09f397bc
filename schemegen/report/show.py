"""The scheme itself in other forms: coefficients with bars, equations, LaTeX, JSON, Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemegen.language import print_expression
from schemegen.language.nodes import Assignment, Index
from schemegen.report.grid import draw
from schemegen.report.latex_formulas import coefficients_latex
from schemegen.report.latex_text import escape
from schemegen.report.notation import Script, signed_sum
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Equations, MapDefinition, Multistep, Scheme, Tableau, Tableaus
from schemegen.step.program import Combine, Evaluate, Program, Solve, Term

__all__ = [
    "coefficients",
    "equations",
    "program_latex",
    "scheme_data",
    "scheme_python",
    "scheme_source",
]


def scheme_source(scheme: Scheme) -> str:
    """Return the scheme as its file has it, comments and all, after the one it starts with."""
    before = "" if scheme.start.scheme is None else scheme_source(scheme.start.scheme) + "\n"
    return f"{before}{scheme.span.text}\n"


def coefficients(scheme: Scheme, program: Program, script: Script) -> str:
    """Return tableaus or multistep coefficients with bars; equations where there are neither."""
    lines = draw(scheme, script)
    return "\n".join(lines) + "\n" if lines else equations(program, script)


def equations(program: Program, script: Script) -> str:
    """Return the step as equations in the order in which they are computed."""
    lines = [line for item in program.statements for line in _equation(item, script)]
    return "\n".join(lines) + "\n"


def _equation(statement: Combine | Evaluate | Solve, script: Script) -> Iterator[str]:
    match statement:
        case Combine(target, terms, _):
            yield f"{target} = {_sum(terms, script)}"
        case Evaluate(target, field, at, _, _, _):
            yield f"{target} = {script.name(field)}({', '.join(at)})"
        case Solve(targets, inner, solver, guess, _):
            how = f"{solver.method}, {solver.iterations} iterations"
            yield f"solve for {', '.join(targets)} by {how}"
            for target, terms in zip(targets, guess, strict=True):
                yield f"   {target} starts at {_sum(terms, script)}"
            for item in inner:
                yield from (f"   {line}" for line in _equation(item, script))


def _sum(terms: tuple[Term, ...], script: Script) -> str:
    parts = []
    for term in terms:
        value = "" if term.value == "1" else term.value
        parts.append(script.scaled(term.coefficient, "", value))
    return signed_sum(parts) or "0"


def scheme_latex(scheme: Scheme, program: Program) -> str:
    """Return the coefficients as LaTeX, or the step's equations, aligned."""
    blocks = coefficients_latex(scheme)
    if not blocks:
        blocks = (program_latex(program),)
    return "\n".join(f"\\[\n{block}\n\\]" for block in blocks) + "\n"


def program_latex(program: Program) -> str:
    """Return the equations of a step, aligned, for display mathematics."""
    rows = [_latex_row(line) for line in equations(program, Script(False)).splitlines()]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def scheme_data(scheme: Scheme) -> dict[str, Any]:
    """Return the scheme as JSON data for other programs; exact numbers are text."""
    data: dict[str, Any] = {
        "v": 1,
        "scheme": scheme.name,
        "title": scheme.title,
        "states": [state.name for state in scheme.states],
        "drifts": [
            {"name": item.name, "arguments": list(item.arguments), "weights": item.weights}
            for item in scheme.drifts
        ],
        "params": [param.name for param in scheme.params],
    }
    match scheme.update:
        case Tableaus(parts=parts):
            data["tableaus"] = [
                {"drifts": list(part.drifts)} | _tableau(part.tableau) for part in parts
            ]
        case Multistep(state=state, alpha=alpha, beta=beta):
            data["multistep"] = {
                "state": state,
                "alpha": _texts(alpha),
                "beta": {name: _texts(values) for name, values in beta},
            }
        case Equations(assignments=assignments, maps=maps):
            data["maps"] = [_map(item) for item in maps]
            data["equations"] = [_assignment(item) for item in assignments]
        case None:
            pass
    return data


def _map(item: MapDefinition) -> dict[str, Any]:
    body = print_expression(item.body)
    return {"name": item.name, "arguments": list(item.arguments), "value": body}


def _assignment(item: Assignment) -> dict[str, str]:
    target = item.target
    name = print_expression(target) if isinstance(target, Index) else target.id
    return {"target": name, "value": print_expression(item.value)}


def _tableau(item: Tableau) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "A": [_texts(row) for row in item.a],
        "b": _texts(item.b),
        "b_hat": None if item.b_hat is None else _texts(item.b_hat),
        "c": _texts(item.c),
    }


def _texts(values: Any) -> list[str]:
    return [format_exact(value) for value in values]


def scheme_python(scheme: Scheme) -> str:
    """Return Python that makes the same scheme; every text stands in a literal."""
    lines = ["import schemegen", "", f"{_identifier(scheme.name)} = schemegen.load("]
    lines += [f"    {line!r}" for line in scheme_source(scheme).splitlines(keepends=True)]
    return "\n".join([*lines[:-1], f"{lines[-1]},", f"    {scheme.name!r},", ")"]) + "\n"


def _identifier(name: str) -> str:
    from keyword import iskeyword

    return f"{name}_" if iskeyword(name) else name


def _latex_row(line: str) -> str:
    left, equals, right = line.partition(" = ")
    if not equals:
        return rf"&\text{{{escape(line)}}}"
    return f"{_typed(left)} &= {_typed(right)}"


def _typed(text: str) -> str:
    return rf"\mathtt{{{escape(text)}}}".replace(" ", r"\ ")
