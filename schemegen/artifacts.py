"""The files that are written for a scheme: each form a network or an analysis can be kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from schemegen.diagnostics import UsageError

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from schemegen.analysis.model import Analysis
    from schemegen.report import NetworkSummary
    from schemegen.scheme.model import Scheme
    from schemegen.scheme.network import NetworkSpec
    from schemegen.step.program import Program

BUILT_IN = "zoo/networks/digits.scheme"

__all__ = ["FORMS", "Build", "artifacts", "dumps", "require", "summary"]


@dataclass(frozen=True, slots=True)
class Build:
    """One scheme with its generated network."""

    scheme: Scheme
    program: Program
    analysis: Analysis
    network: NetworkSpec
    graph: GraphModule
    blocks: Mapping[str, str]


def artifacts(build: Build, emit: Iterable[str]) -> dict[str, str | bytes]:
    """Return the files of a build by name: one for each form asked for, and the scheme itself.

    Errors: :class:`UsageError` for a form that is unknown or whose library is missing.
    """
    emit = tuple(emit)
    require(emit)
    files: dict[str, str | bytes] = {}
    for form in emit:
        name, write = FORMS[form]
        files[name] = write(build)
    files["scheme.scheme"] = scheme_text(build)
    return files


def require(emit: Iterable[str]) -> None:
    """Raise :class:`UsageError` where a form is unknown or what it is written with is not installed."""
    for form in emit:
        if form not in FORMS:
            raise UsageError(f"unknown form `{form}`", f"forms: {', '.join(FORMS)}")
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if "onnx" in emit and missing:
        raise UsageError(
            f"the form onnx needs {' and '.join(missing)}", "pip install 'schemegen[onnx]'"
        )


def scheme_text(build: Build) -> str:
    """Return a file that compiles to the same network: the scheme as written, then its network.

    A file that holds this one scheme is kept as it is, comments and all; of another file the scheme and its
    network are cut out. The built-in network is not repeated.
    """
    from schemegen.language import parse
    from schemegen.language.nodes import NetworkNode, SchemeNode
    from schemegen.report.show import scheme_source

    source, spec = build.scheme.source, build.network
    own = spec.source == source
    wanted = {build.scheme.name, *([spec.name] if own else [])}
    others = [
        item
        for item in parse(source).file.items
        if not isinstance(item, SchemeNode | NetworkNode) or item.name.id not in wanted
    ]
    text = scheme_source(build.scheme) if others else source.text.rstrip("\n") + "\n"
    if (own and not others) or spec.source.name == BUILT_IN:
        return text
    return f"{text}\n{spec.span.text}\n"


def _graph(build: Build) -> str:
    return f"{build.graph.graph}\n"


def _python(build: Build) -> str:
    from schemegen.backends import emit_source

    remark = None
    if "backprop" in build.graph.meta:
        remark = "The backward pass of this file keeps all activations."
    return emit_source(build.program, build.network, blocks=build.blocks, remark=remark)


def _json(build: Build) -> str:
    from schemegen.report import analysis_data, analysis_json

    return analysis_json(analysis_data(build.analysis, build.scheme))


def _latex(build: Build) -> str:
    from schemegen.report import report_latex

    return report_latex(build.analysis, build.scheme)


def _dot(build: Build) -> str:
    """Return the graph for graphviz: a node for each of the graph's, an edge for each use."""
    lines = [f"digraph {_quoted(build.scheme.name)} {{", "  rankdir=TB;", "  node [shape=box];"]
    for node in build.graph.graph.nodes:
        label = node.name if node.op != "call_module" else f"{node.name}\n{node.target}"
        lines.append(f"  {_quoted(node.name)} [label={_quoted(label)}];")
        lines += [
            f"  {_quoted(used.name)} -> {_quoted(node.name)};" for used in node.all_input_nodes
        ]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _svg(build: Build) -> str:
    from schemegen.backends.drawing import draw_network, svg

    return svg(draw_network(build.scheme.name, build.graph.graph))


def _step_svg(build: Build) -> str:
    from schemegen.backends.drawing import draw_step, svg

    return svg(draw_step(build.program))


def _step_dot(build: Build) -> str:
    from schemegen.backends.drawing import dot, draw_step

    return dot(draw_step(build.program))


def _export(build: Build) -> bytes:
    from schemegen.backends.exports import exported_bytes, exported_program

    return exported_bytes(exported_program(build.graph, build.network.input_shape))


def _aoti(build: Build) -> bytes:
    from schemegen.backends.exports import exported_program, packaged_bytes

    return packaged_bytes(exported_program(build.graph, build.network.input_shape))


def _onnx(build: Build) -> bytes:
    from schemegen.backends.exports import exported_program, onnx_bytes

    return onnx_bytes(exported_program(build.graph, build.network.input_shape))


FORMS: Mapping[str, tuple[str, Callable[[Build], str | bytes]]] = {
    "fx": ("graph.txt", _graph),
    "python": ("model.py", _python),
    "json": ("analysis.json", _json),
    "latex": ("analysis.tex", _latex),
    "dot": ("graph.dot", _dot),
    "svg": ("network.svg", _svg),
    "step-dot": ("step.dot", _step_dot),
    "step-svg": ("step.svg", _step_svg),
    "export": ("model.pt2", _export),
    "aoti": ("compiled.pt2", _aoti),
    "onnx": ("model.onnx", _onnx),
}


def dumps(build: Build, what: str) -> str:
    """Return one of the compiler's own forms of a scheme: ``ast``, ``step`` or ``fx``."""
    match what:
        case "ast":
            from schemegen.language import parse
            from schemegen.language.nodes import SchemeNode

            items = parse(build.scheme.source).file.items
            return "\n".join(
                tree(item)
                for item in items
                if isinstance(item, SchemeNode) and item.name.id == build.scheme.name
            )
        case "step":
            from schemegen.step import dump

            return dump(build.program)
        case _:
            return _graph(build)


def tree(node: object, indent: int = 0) -> str:
    """Return a syntax tree, a field a line; spans are left out."""
    from dataclasses import fields, is_dataclass

    lead = "  " * indent
    if not is_dataclass(node):
        return f"{lead}{node!r}"
    lines = [f"{lead}{type(node).__name__}"]
    for field in fields(node):
        value = getattr(node, field.name)
        if not field.repr:
            continue
        if isinstance(value, tuple):
            lines.append(f"{lead}  {field.name}:")
            lines += [tree(item, indent + 2) for item in value]
        elif is_dataclass(value):
            lines += [f"{lead}  {field.name}:", tree(value, indent + 2)]
        else:
            lines.append(f"{lead}  {field.name} = {value!r}")
    return "\n".join(lines)


def summary(build: Build) -> NetworkSummary:
    """Return what the report says of the network."""
    from schemegen.report import NetworkSummary

    spec = build.network
    parameters = dict(build.graph.named_parameters())
    coefficients = build.graph.meta["coefficients"]
    return NetworkSummary(
        name=spec.name,
        input_shape=spec.input_shape,
        classes=spec.classes,
        widths=tuple(stage.width for stage in spec.stages),
        steps=tuple(stage.steps for stage in spec.stages),
        nodes=len(build.graph.graph.nodes),
        parameters=sum(item.numel() for item in parameters.values()),
        coefficients=sum(item.numel() for name, item in parameters.items() if name in coefficients),
        after=spec.after.name if spec.after is not None else "",
    )
