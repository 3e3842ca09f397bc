"""Entries for ``torch.hub``: ``torch.hub.load(REPOSITORY, "build", "lm_resnet", network="cifar")``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import schemegen as _schemegen

if TYPE_CHECKING:
    from torch.fx import GraphModule

dependencies = ["torch", "lark", "sympy", "mpmath", "flint", "networkx", "numpy"]


def build(
    scheme: str = "resnet", network: str | None = None, *, backprop: str = "store", **values: object
) -> GraphModule:
    """Return the network of a scheme of the zoo, a file or a text, see ``schemegen.build``."""
    return _schemegen.build(scheme, network, backprop=backprop, **values)


def restore(path: str | Path) -> GraphModule:
    """Return the network of a file of ``schemegen.save``, see ``schemegen.restore``."""
    return _schemegen.restore(path)
