"""Diagnostics as text with carets, and as the forms that machines read."""

from schemegen.render.fixes import apply_fixes
from schemegen.render.machine import (
    render_concise,
    render_github,
    render_json_lines,
    render_sarif,
)
from schemegen.render.text import render_text

__all__ = [
    "apply_fixes",
    "render_concise",
    "render_github",
    "render_json_lines",
    "render_sarif",
    "render_text",
]
