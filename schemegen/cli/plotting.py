"""The options of pictures: which there are, and the file they go to."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["FORMATS", "KINDS", "TRAINED", "plot_file"]

# As in schemegen.report.plots, which --help must not import.
KINDS = ("region", "order-star", "locus", "root-locus", "trees")
TRAINED = ("spectrum", "coefficients")  # of a trained network
FORMATS = ("svg", "png", "pdf")


def plot_file(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Return the path of ``--plot``; its ending says which format is written."""
    if value is None:
        return None
    path = Path(value)
    if path.suffix[1:].lower() not in FORMATS:
        raise click.BadParameter(f"{value!r} ends in none of .svg, .png, .pdf", ctx, parameter)
    return path
