"""Identifiers of generated code: never a keyword, a builtin, or an attribute of ``nn.Module``."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from torch import nn

__all__ = ["RESERVED", "attribute", "unique", "variable"]

RESERVED = (
    frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"self", "torch", "nn", "F", "math"}
)


def variable(value: str) -> str:
    """Return the identifier of a value of the step program: ``u[n+1]`` is ``u_next``, ``Y2`` itself."""
    text = re.sub(r"\[n\+1\]", "_next", value)
    text = re.sub(r"\[n-(\d+)\]", r"_\1", text)
    text = text.replace("[n]", "")
    text = re.sub(r"\W+", "_", text).strip("_")
    clash = not text or text[0].isdigit() or text in RESERVED or text.startswith(("name_", "__"))
    return f"name_{text}" if clash else text


def attribute(name: str) -> str:
    """Return the attribute that a declared name gets in a module: prefixed if another use claims it.

    Names that begin with the prefix get it too, so that no two names meet.
    """
    claimed = keyword.iskeyword(name) or hasattr(nn.Module, name) or name in MODULE_ATTRIBUTES
    return f"p_{name}" if claimed or name.startswith(OURS) else name


OURS = ("p_", "_", "projection", "solver", "sweep", "shared_", "stage", "stem", "head")
MODULE_ATTRIBUTES = frozenset(vars(nn.Module())) | {"forward", "training"}


def unique(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, with underscores added until it is not among ``taken``."""
    used = set(taken)
    while name in used or name in RESERVED:
        name += "_"
    return name
