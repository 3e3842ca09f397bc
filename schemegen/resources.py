"""Where ``grammars/`` and ``zoo/`` are: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from schemegen.diagnostics import InternalError

__all__ = ["resource_dir"]


def resource_dir(name: str) -> Path:
    """Return the folder ``name`` that ships with schemegen.

    A wheel holds it inside the package, a checkout (also one installed with ``pip install -e``)
    beside it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise InternalError(f"the folder {name!r} is missing from this installation")
