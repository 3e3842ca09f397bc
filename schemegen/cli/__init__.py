"""The command line: ``main`` is the console script ``schemegen``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command of ``sys.argv`` and leave with its exit code."""
    from schemegen.cli.application import cli

    cli(prog_name="schemegen")
