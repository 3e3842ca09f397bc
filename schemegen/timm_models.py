"""Schemes of the zoo as models of timm: ``import schemegen.timm_models`` registers them if timm is installed.

``timm.create_model("schemegen_lm_resnet", network="cifar")`` is then ``schemegen.build("lm_resnet", "cifar")``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from schemegen.diagnostics import UsageError
from schemegen.pipeline import build
from schemegen.sources import zoo_names

__all__ = ["register"]

PREFIX = "schemegen_"


def register() -> tuple[str, ...]:
    """Register every scheme of the zoo; return the names, none where timm is not installed."""
    if find_spec("timm") is None:
        return ()
    registry = import_module("timm.models").register_model
    names = []
    for scheme in zoo_names("schemes"):
        entry = entry_of(scheme)
        globals()[entry.__name__] = entry
        registry(entry)
        names.append(entry.__name__)
    return tuple(names)


def entry_of(scheme: str) -> Any:
    """Return the function that timm calls for a scheme."""

    def entry(pretrained: bool = False, network: str | None = None, **values: Any) -> nn.Module:
        if pretrained:
            raise UsageError(f"there are no trained weights of `{scheme}`", "pretrained=False")
        # What timm itself hands to every entry says where trained weights are.
        own = {key: value for key, value in values.items() if not key.startswith("pretrained_cfg")}
        own.pop("cache_dir", None)
        return build(scheme, network, **own)

    entry.__name__ = entry.__qualname__ = f"{PREFIX}{scheme}"
    entry.__module__ = __name__
    entry.__doc__ = (
        f"The network of ``{scheme}``; ``network`` and values as in ``schemegen.build``."
    )
    return entry


REGISTERED = register()
"""The names that are registered."""
