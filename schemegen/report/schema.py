"""The JSON Schema (draft 2020-12) of the report, shipped beside this module."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["report_schema"]


def report_schema() -> dict[str, Any]:
    """Return the schema of one scheme's report, as :func:`analysis_data` gives it."""
    text = files("schemegen.report").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
