"""The dependency rule: a package imports only what stands above it, and heavy libraries come late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import schemegen
from schemegen.resources import resource_dir

PACKAGE = Path(schemegen.__file__).parent

# From the top down: each may import what stands above it. `render` and `explanations` hang on
# diagnostics alone, so that messages can be shown before anything else works.
LAYERS = (
    "diagnostics", "resources", "files", "cache", "sources", "exact", "language", "series", "scheme", "step",
    "analysis", "verification", "report", "network", "backends", "training", "values", "selection",
    "artifacts", "walk", "pipeline", "saving", "running", "trained", "diagnosis", "comparison", "timm_models",
    "systems", "lifting", "cli",
)  # fmt: skip
ONLY_DIAGNOSTICS = ("render", "explanations")
ALLOWED = {name: {*LAYERS[:index], *ONLY_DIAGNOSTICS} for index, name in enumerate(LAYERS)}
ALLOWED |= {name: {"diagnostics"} for name in ONLY_DIAGNOSTICS}
ALLOWED["diagnostics"] = set()
ALLOWED["exact"] = {"diagnostics"}
ALLOWED["series"] = {"diagnostics", "exact"}
for light in ("resources", "files", "cache", "sources", "language"):
    ALLOWED[light] -= {"exact"}

# Which layers may import a third-party library at all.
FROM_NETWORK_ON = {
    "network",
    "backends",
    "training",
    "artifacts",
    "pipeline",
    "saving",
    "running",
    "trained",
    "diagnosis",
    "comparison",
    "timm_models",
    "cli",
}
WITH_SYMPY = {"exact", *LAYERS[LAYERS.index("series") :]} - {"cli"}
LIBRARIES = {
    "lark": {"language"},
    "sympy": WITH_SYMPY,
    "flint": WITH_SYMPY,
    "networkx": {"step"},
    "torch": FROM_NETWORK_ON,
    "torchvision": {"training", "cli"},
    "sklearn": {"training"},
    "safetensors": {"training"},
    "accelerate": {"training"},
    "tensorboard": {"training"},
    "scipy": {"diagnosis", "comparison"},
    "click": {"cli"},
    "PIL": {"training"},
    "foolbox": set(),  # the tests' yardstick
    "pyautoattack": {"training"},
    "rich": {"report", "training", "cli"},
    "matplotlib": {"report", "training", "diagnosis"},  # training reads its fonts and draws nothing
    "mpmath": {"analysis", "verification"},
    "numpy": {"analysis", "verification", "report", "walk", *FROM_NETWORK_ON},
}


def layer_of(module: str) -> str | None:
    """Return the layer of ``schemegen.layer.rest``; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] in ("zoo", "grammars"):
            continue
        parts = [part for part in relative.with_suffix("").parts if part != "__init__"]
        yield ".".join(["schemegen", *parts]), path


def imports(module: str, path: Path) -> Iterator[tuple[str, int]]:
    """Yield every module that is imported anywhere in a file, functions included, with its line."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(base) if node.level else ""
            origin = ".".join(part for part in (start, node.module or "") if part)
            # `from schemegen import scheme` imports a layer as much as `import schemegen.scheme`
            for alias in node.names:
                is_layer = origin == "schemegen" and alias.name in ALLOWED
                yield (f"schemegen.{alias.name}" if is_layer else origin), node.lineno


def violations(module: str, path: Path) -> Iterator[str]:
    layer = layer_of(module)
    if layer is None:
        return
    for name, line in imports(module, path):
        root = name.split(".")[0]
        if root == "schemegen":
            target = layer_of(name)
            if target not in (None, layer, *ALLOWED[layer]):
                yield f"{path.name}:{line}: {layer} imports {name}"
        elif root in LIBRARIES and layer not in LIBRARIES[root]:
            yield f"{path.name}:{line}: {layer} imports {name}"


def test_every_module_belongs_to_a_layer() -> None:
    known = {layer_of(module) for module, _ in modules()} - {None, "__main__", "lexer", "notebook"}
    assert known <= ALLOWED.keys()
    assert len(list(modules())) > 40


@pytest.mark.parametrize("module", [pytest.param(item, id=item[0]) for item in modules()])
def test_a_package_imports_only_what_stands_above_it(module: tuple[str, Path]) -> None:
    if layer_of(module[0]) in ALLOWED:
        assert not list(violations(*module))


def test_the_rule_would_notice(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("def f():\n    import torch\n    from schemegen import pipeline\n")
    assert list(violations("schemegen.step.x", path)) == [
        "x.py:2: step imports torch",
        "x.py:3: step imports schemegen.pipeline",
    ]
    path.write_text("from ..network import blocks\nfrom lark import Lark\n")
    assert list(violations("schemegen.scheme.x", path)) == [
        "x.py:1: scheme imports schemegen.network",
        "x.py:2: scheme imports lark",
    ]


def test_no_text_reaches_an_evaluator() -> None:
    """No call of ``eval``, ``exec``, ``sympify``, ``parse_expr``, ``lambdify`` or an unpickler anywhere."""
    forbidden = {"eval", "exec", "sympify", "parse_expr", "lambdify", "literal_eval"}
    found = []
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            bare = isinstance(node.func, ast.Name) and node.func.id in forbidden
            dotted = isinstance(node.func, ast.Attribute) and (
                node.func.attr in forbidden - {"eval"}
                or (node.func.attr in ("load", "loads") and _name(node.func.value) == "pickle")
                or (node.func.attr == "load" and _name(node.func.value) == "torch")
            )
            if bare or dotted:
                found.append(f"{module}:{node.lineno}")
    assert not found


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


RUN = """
import sys
from schemegen.cli import main
try:
    main()
except SystemExit as done:
    code = done.code
else:
    code = 0
heavy = sorted({"torch", "sympy", "lark", "networkx", "rich", "numpy"} & sys.modules.keys())
print("\\nLOADED", code or 0, *heavy)
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    """Return the exit code of a command and the heavy libraries that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert lines, done.stderr
    _, code, *heavy = lines[-1].split()
    return int(code), set(heavy)


def rk2() -> str:
    return str(resource_dir("zoo") / "schemes" / "rk2.scheme")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(*arguments) == (0, set())


@pytest.mark.parametrize("arguments", [["explain", "E0201"], ["zoo", "list"]])
def test_explain_and_zoo_need_neither_sympy_nor_torch(arguments: list[str]) -> None:
    code, heavy = loaded_by(*arguments)
    assert code == 0
    assert not heavy & {"sympy", "torch", "networkx", "numpy"}


def test_fmt_needs_neither_sympy_nor_torch() -> None:
    code, heavy = loaded_by("fmt", "--check", rk2())
    assert code == 0
    assert not heavy & {"sympy", "torch", "networkx", "numpy"}


@pytest.mark.parametrize("command", ["check", "analyze"])
def test_check_and_analyze_need_no_torch(command: str) -> None:
    code, heavy = loaded_by(command, rk2())
    assert code == 0
    assert "sympy" in heavy
    assert "torch" not in heavy
