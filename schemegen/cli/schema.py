"""``schemegen schema``: the JSON Schema of the machine-readable report."""

from __future__ import annotations

import json

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common

__all__ = ["command"]


@click.command("schema")
@common
@click.pass_obj
def command(console: Console) -> None:
    """Print the JSON Schema of what ``analyze --as json`` prints for one scheme."""
    from schemegen.report import report_schema

    console.out(json.dumps(report_schema(), indent=1))
