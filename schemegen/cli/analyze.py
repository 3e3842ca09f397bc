"""``schemegen analyze``: everything that is known of a scheme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemegen.cli.console import Console
from schemegen.cli.forms import Forms
from schemegen.cli.options import common, inputs
from schemegen.cli.plotting import KINDS, TRAINED, plot_file
from schemegen.cli.policy import Policy, warnings_options
from schemegen.cli.settings import python_blocks, settings, written_fields
from schemegen.diagnostics import SchemeError
from schemegen.files import write_atomically
from schemegen.pipeline import examine, raise_errors, study
from schemegen.sources import read

if TYPE_CHECKING:
    from schemegen.diagnosis import Diagnosis
    from schemegen.diagnostics import Diagnostic
    from schemegen.pipeline import Unit
    from schemegen.scheme.model import Scheme

__all__ = ["command"]

FORMS = ("text", "json", "html", "md", "latex", "latex-document")


@click.command("analyze")
@inputs(many=False, required=False)
@click.option("--order", type=click.IntRange(1), help="The largest tree that is kept; 10 at most.")
@click.option(
    "--as",
    "style",
    type=Forms(FORMS),
    default="text",
    show_default=True,
    help="The form of the report.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="K=NUMBER",
    callback=settings,
    help="Replace a param by an exact number. May be repeated.",
)
@click.option(
    "--plot",
    "plot",
    metavar="OUT",
    callback=plot_file,
    help="Write a picture as well: a file .svg, .png or .pdf.",
)
@click.option(
    "--plot-kind",
    type=click.Choice([*KINDS, *TRAINED]),
    help="What the picture shows: region, or with --checkpoint spectrum, if not given.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="[F=]EXPR,..",
    callback=written_fields,
    help="A field written out, as `y, -sin(x)` or `q, p: p, -w^2*sin(q)`: print its equations as well.",
)
@click.option(
    "--at",
    "point",
    metavar="X=NUMBER,..",
    help="With --field: the values of the corrections at a point.",
)
@click.option(
    "--checkpoint",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="A training run, or a .safetensors file: measure the trained network as well.",
)
@click.option(
    "--data", metavar="NAME", help="With --checkpoint: data to measure at, else the run's."
)
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data"))
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="With --checkpoint: how many images to measure at.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of random directions.")
@click.option(
    "--block",
    "blocks",
    multiple=True,
    metavar="NAME=MODULE:CLASS",
    callback=python_blocks,
    help="With --checkpoint: a block written in Python. May be repeated.",
)
@warnings_options
@common
@click.pass_obj
def command(
    console: Console,
    /,
    file: str | None,
    stdin_name: str,
    order: int | None,
    style: str,
    values: dict[str, str],
    plot: Path | None,
    plot_kind: str | None,
    fields: dict[str, str],
    point: str | None,
    policy: Policy,
    checkpoint: Path | None,
    **measured: Any,
) -> int:
    """Print order conditions, modified equation, stability and structure of FILE, exactly.

    FILE may also be a name of the zoo. JSON is one object, or a list where the file declares several schemes;
    the name of a picture then gets the name of each scheme. With --checkpoint FILE may be left out, and what the
    training has made of the scheme is printed too.
    """
    if checkpoint is not None:
        if values or fields or point is not None:
            raise click.UsageError("--set, --field and --at are not for a checkpoint")
        return trained(console, file, stdin_name, checkpoint, style, plot, plot_kind, measured)
    if file is None:
        raise click.UsageError("name a FILE, or a run with --checkpoint")
    if plot_kind in TRAINED:
        raise click.UsageError(f"--plot-kind {plot_kind} is of a trained network: add --checkpoint")
    checked, found = examine(read(file, stdin_name), values=values)
    raise_errors(found)
    units = [study(scheme, order=order) for scheme in checked.schemes]
    if point is not None and not fields:
        raise click.UsageError("--at needs --field")
    wrong: list[Diagnostic] = []
    if fields:
        units = [with_field(unit, fields, point, wrong) for unit in units]
    shown = policy.keep([*found, *wrong, *(item for unit in units for item in unit.diagnostics)])
    console.show(shown)
    if plot is not None:
        write_plots(units, plot, plot_kind or "region", console)
    console.out(written(units, style, console))
    return 1 if policy.fails(shown) else 0


def trained(
    console: Console,
    file: str | None,
    stdin_name: str,
    run: Path,
    style: str,
    plot: Path | None,
    kind: str | None,
    measured: dict[str, Any],
) -> int:
    """Print the report of a run's scheme and what is measured of its network."""
    from schemegen.diagnosis import diagnose_run
    from schemegen.diagnosis.plots import picture

    if style.startswith("latex"):
        raise click.UsageError("a checkpoint is reported as text, json, html or md")
    wanted: Sequence[Scheme] = ()
    if file is not None:
        checked, found = examine(read(file, stdin_name))
        raise_errors(found)
        wanted = checked.schemes
    unit, diagnosis = diagnose_run(run, wanted=wanted, **measured)
    if plot is not None:
        if kind is None or kind in TRAINED:
            form = plot.suffix[1:].lower()
            write_atomically(plot, picture(kind or "spectrum", form, diagnosis, unit.analysis))
            console.say(f"wrote {plot}")
        else:
            write_plots([unit], plot, kind, console)
    console.out(written_run(unit, diagnosis, style, console))
    return 0


def written_run(unit: Unit, found: Diagnosis, style: str, console: Console) -> str:
    """Return the report of a scheme and of its trained network in the form ``style``."""
    from schemegen.diagnosis import (
        diagnosis_data,
        diagnosis_html,
        diagnosis_markdown,
        diagnosis_text,
    )
    from schemegen.report import analysis_data, analysis_json, page_html, report_text

    if style == "json":
        data = analysis_data(unit.analysis, unit.scheme)
        return analysis_json({**data, "checkpoint": diagnosis_data(found)})
    if style == "html":
        return page_html(
            [(unit.analysis, unit.scheme)], more=[diagnosis_html(found, unit.analysis)]
        )
    if style == "md":
        return f"{written([unit], style, console)}\n{diagnosis_markdown(found)}"
    report = report_text(
        unit.analysis,
        unit.scheme,
        width=console.width(),
        color=console.colors(),
        unicode=console.unicode(),
    )
    return f"{report}\n{diagnosis_text(found, width=console.width(), unicode=console.unicode())}"


def with_field(
    unit: Unit, fields: dict[str, str], point: str | None, wrong: list[Diagnostic]
) -> Unit:
    """Add what is said of a written field; its mistakes go to ``wrong``, and the rest is kept."""
    from schemegen.pipeline import write_out

    try:
        return write_out(unit, fields, point)
    except SchemeError as error:
        wrong += error.diagnostics
        return unit


def write_plots(units: Sequence[Unit], path: Path, kind: str, console: Console) -> None:
    """Write a picture of each scheme: to ``path``, or where there are several to ``name-scheme.svg``."""
    from schemegen.report.plots import picture

    form = path.suffix[1:].lower()
    pictures = [(unit, picture(kind, form, unit.analysis, unit.scheme)) for unit in units]
    for unit, data in pictures:
        name = f"{path.stem}-{unit.scheme.name}{path.suffix}"
        target = path if len(units) == 1 else path.with_name(name)
        write_atomically(target, data)
        console.say(f"wrote {target}")


def written(units: list[Unit], style: str, console: Console) -> str:
    """Return the reports in the form ``style``."""
    from schemegen.report import (
        analysis_data,
        analysis_json,
        document_latex,
        page_html,
        report_latex,
        report_markdown,
        report_text,
    )

    if style == "json":
        data = [analysis_data(unit.analysis, unit.scheme) for unit in units]
        return analysis_json(data[0] if len(data) == 1 else data)
    reports = [(unit.analysis, unit.scheme) for unit in units]
    if style == "html":
        return page_html(reports)
    if style == "latex-document":
        return document_latex(reports)
    if style == "latex":
        return "\n".join(report_latex(unit.analysis, unit.scheme) for unit in units)
    if style == "md":
        return "\n".join(report_markdown(unit.analysis, unit.scheme) for unit in units)
    return "\n".join(
        report_text(
            unit.analysis,
            unit.scheme,
            width=console.width(),
            color=console.colors(),
            unicode=console.unicode(),
            full=True,
        )
        for unit in units
    )
