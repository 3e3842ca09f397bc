"""What a standalone source takes from ``schemegen.network``: the text of classes and functions in use."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from functools import cache
from types import ModuleType

from schemegen.network import (
    blocks,
    convolutions,
    fractal,
    functions,
    layers,
    lipschitz,
    noise,
    smooth,
    solvers,
    tied,
    timed,
    transformer,
)

__all__ = ["header", "library"]

LIBRARY = (
    fractal, tied, timed, lipschitz, transformer, convolutions, blocks, layers, functions, noise,
    smooth, solvers,
)  # fmt: skip


def header(used: Sequence[str]) -> list[str]:
    """Return the import lines that the library's parts need."""
    text = "\n".join(used)
    standard = []
    for name, line in (
        ("math.", "import math"),
        ("warnings.", "import warnings"),
        ("Callable[", "from collections.abc import Callable"),
        ("pairwise(", "from itertools import pairwise"),
    ):
        if name in text:
            standard.append(line)
    lines = ["from __future__ import annotations", "", *standard]
    lines += [""] if standard else []
    lines += ["import torch", "from torch import Tensor, nn"]
    if "FunctionCtx" in text:
        lines.append("from torch.autograd.function import FunctionCtx")
    return [*lines, "from torch.nn import functional as F"]


def library(used: set[str]) -> list[str]:
    """Return the source of the library's classes and functions in use, with what they build on."""
    sources = {name: text for module in LIBRARY for name, text in texts(module).items()}
    sources["Map"] = "Map = Callable[[Tensor], Tensor]"
    needed: set[str] = set()
    queue = [name for name in used if name in sources]
    while queue:
        name = queue.pop()
        if name in needed:
            continue
        needed.add(name)
        words = set(re.findall(r"(?<![\w.])(?<!def )[A-Za-z_]\w*", strip_text(sources[name])))
        queue.extend(word for word in words if word in sources)
    return [without_ignores(text) for name, text in sources.items() if name in needed]


@cache
def texts(module: ModuleType) -> dict[str, str]:
    """Return the source of each class and function of a module, with its decorators."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def strip_text(source: str) -> str:
    """Return source without docstrings and comments, so that words in prose do not count."""
    return re.sub(r'""".*?"""|#[^\n]*', "", source, flags=re.DOTALL)


def without_ignores(source: str) -> str:
    return re.sub(r"  # (type: ignore|noqa)[^\n]*", "", source)
