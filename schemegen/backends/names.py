"""Identifiers of generated code: never a keyword, a builtin, or an attribute of ``nn.Module``."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from torch import nn

__all__ = ["RESERVED", "attribute", "unique", "variable"]

RESERVED = (
    frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"self", "torch", "nn", "F", "math", "x"}
)


def variable(value: str) -> str:
    """Return the identifier of a value of the step program: ``u[n+1]`` is ``u_next``, ``Y2`` itself."""
    text = re.sub(r"\[n\+1\]", "_next", value)
    text = re.sub(r"\[n-(\d+)\]", r"_\1", text)
    text = text.replace("[n]", "")
    text = re.sub(r"\W+", "_", text).strip("_")
    return f"v_{text}" if not text or text[0].isdigit() else text


def attribute(name: str) -> str:
    """Return the attribute that a declared name gets in a module, an underscore added if it is taken."""
    text = f"p{name}" if name.startswith("_") else name
    taken = keyword.iskeyword(text) or hasattr(nn.Module, text) or text in MODULE_ATTRIBUTES
    return f"{text}_" if taken else text


MODULE_ATTRIBUTES = frozenset(vars(nn.Module())) | {"forward", "projection"}


def unique(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, with underscores added until it is not among ``taken``."""
    used = set(taken)
    while name in used or name in RESERVED:
        name += "_"
    return name
