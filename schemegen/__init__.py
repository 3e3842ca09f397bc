"""schemegen: numerical schemes in, exact analysis and trainable networks out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemegen.backends.optimize import optimize
    from schemegen.backends.regions import compile_network
    from schemegen.backends.torchvision_keys import from_torchvision, to_torchvision
    from schemegen.diagnostics import InternalError, SchemeError, UsageError
    from schemegen.pipeline import analyze, build, check, compile_scheme, diagnose, load, load_all
    from schemegen.running import ensemble, inverse, states
    from schemegen.saving import restore, save

__version__ = "0.1.0"

__all__ = [
    "InternalError",
    "SchemeError",
    "UsageError",
    "__version__",
    "analyze",
    "build",
    "check",
    "compile_network",
    "compile_scheme",
    "diagnose",
    "ensemble",
    "from_torchvision",
    "inverse",
    "load",
    "load_all",
    "optimize",
    "restore",
    "save",
    "states",
    "to_torchvision",
]

_HOME = {
    "InternalError": "diagnostics",
    "SchemeError": "diagnostics",
    "UsageError": "diagnostics",
    "analyze": "pipeline",
    "build": "pipeline",
    "check": "pipeline",
    "compile_network": "backends.regions",
    "compile_scheme": "pipeline",
    "diagnose": "pipeline",
    "ensemble": "running",
    "from_torchvision": "backends.torchvision_keys",
    "inverse": "running",
    "load": "pipeline",
    "load_all": "pipeline",
    "optimize": "backends.optimize",
    "restore": "saving",
    "save": "saving",
    "states": "running",
    "to_torchvision": "backends.torchvision_keys",
}

_SHOWN = {"analyze", "load", "load_all"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import schemegen`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'schemegen' has no attribute {name!r}")
    if name in _SHOWN:
        # What these return has reprs in a notebook.
        import_module("schemegen.notebook").attach()
    return getattr(import_module(f"schemegen.{_HOME[name]}"), name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext schemegen``: the ``%%scheme`` cell."""
    from schemegen.notebook import load_ipython_extension as register

    register(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
