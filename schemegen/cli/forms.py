"""The choice of a report's form; ``markdown`` is another name of ``md``."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["Forms"]

OTHER_NAMES = {"markdown": "md"}


class Forms(click.Choice[str]):
    """One of the forms given, or another name of it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = OTHER_NAMES.get(value, value)
        return super().convert(known if known in self.choices else value, param, ctx)
