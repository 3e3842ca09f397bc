"""``schemegen compare``: schemes side by side on the same data."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemegen.cli.console import Console
from schemegen.cli.forms import Forms
from schemegen.cli.options import common
from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically

if TYPE_CHECKING:
    from schemegen.comparison import Comparison, Plan, Request, RunResult

__all__ = ["command"]

FORMS = ("text", "json", "html", "csv")
LISTS = {"schemes", "network", "depth", "data", "attack", "eps", "corrupt"}


def from_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Take what the file says where the command line says nothing."""
    if value is None:
        return None
    try:
        content = tomllib.loads(value.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{value}: {error.strerror}", ctx, parameter) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value}: {error}", ctx, parameter) from error
    known = {str(item.name) for item in ctx.command.params}
    train = content.pop("train", {})
    defaults = {key.replace("-", "_"): item for key, item in content.items()}
    unknown = sorted(defaults.keys() - known)
    if unknown or not isinstance(train, dict):
        name = unknown[0] if unknown else "train"
        raise click.BadParameter(f"{value}: unknown key `{name}`", ctx, parameter)
    for key in LISTS & defaults.keys():
        if not isinstance(defaults[key], list):
            defaults[key] = [defaults[key]]
    defaults["train"] = [f"{key}={_plain(item)}" for key, item in train.items()]
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return value


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@click.command("compare")
@click.argument("schemes", nargs=-1, metavar="[LABEL=]SCHEME[@STEPS]...")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=from_file,
    help="A TOML file with these options by their names, those of training under [train].",
)
@click.option("--network", "network", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--depth", type=click.IntRange(1), multiple=True, help="Steps of every stage.")
@click.option("--data", multiple=True, metavar="NAME", help="Data sets; digits if not given.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data"))
@click.option("--download", is_flag=True, help="Fetch a data set that is missing.")
@click.option("--seeds", type=click.IntRange(0), default=5, show_default=True, help="How many.")
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--reference", metavar="LABEL", help="What differences are to; the first scheme.")
@click.option(
    "--match",
    type=click.Choice(["params", "compute"]),
    help="Make the others as large, or as expensive, as the reference.",
)
@click.option(
    "--adjust",
    type=click.Choice(["width", "depth"]),
    help="How; width for params and depth for compute if not given.",
)
@click.option("--recipe", metavar="NAME", help="A paper's settings, as of schemegen train.")
@click.option("--epochs", type=click.IntRange(1))
@click.option("--batch-size", type=click.IntRange(1))
@click.option("--lr", type=float)
@click.option(
    "--train",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting of training, as weight_decay=1e-4. May be repeated.",
)
@click.option("--attack", multiple=True, metavar="KIND", help="fgsm, ifgsm, pgd, autoattack.")
@click.option("--eps", multiple=True, metavar="BOUND", help="As 8/255. May be repeated.")
@click.option("--steps", type=click.IntRange(1), help="Of ifgsm and pgd.")
@click.option("--norm", type=click.Choice(["Linf", "L2"]), default="Linf", show_default=True)
@click.option(
    "--corrupt", multiple=True, metavar="KIND", help="As gaussian_noise, at all severities."
)
@click.option("--images", type=click.IntRange(1), help="Test images for attacks and noise; all.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of a run.")
@click.option("--share", metavar="I/N", help="Compute the I-th of N parts of the runs only.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dry-run", is_flag=True, help="Check everything and print the networks' sizes.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("runs/compare"),
    show_default=True,
    help="Folder of the runs and of the report.",
)
@click.option("--as", "style", type=Forms(FORMS), default="text", show_default=True)
@common
@click.pass_obj
def command(console: Console, /, **given: Any) -> int:
    """Train SCHEMES with equal seeds on equal data and say which differ.

    A finished run is known by the hash of its texts and settings and is not repeated; an interrupted one goes on.
    The table has means, intervals and paired tests; the folder gets results.json, runs.csv, pictures and
    report.html.
    """
    from schemegen.comparison import (
        Worker,
        comparison_of,
        execute,
        finished,
        planned,
    )

    plan = planned(request_of(given))
    if console.verbose:
        console.show(plan.remarks)
    if given["dry_run"]:
        console.out(sizes_text(plan, console))
        return 0
    worker = Worker(given["output"], given["data_dir"], given["device"], given["threads"])
    own = part_of(given["share"], len(plan.runs))
    runs = [plan.runs[index] for index in own]
    done = len(finished(worker, runs))
    if done:
        console.say(f"{done} of {len(runs)} runs are finished already")
    counter = Counter(console, done, len({run.key for run in runs}))
    results = execute(worker, runs, given["jobs"], counter.told)
    results |= finished(worker, plan.runs)
    found = comparison_of(plan, results)
    write(found, given["output"], console)
    console.out(written(found, given["style"], console))
    return 1 if any(result.failed for result in found.results) else 0


def request_of(given: dict[str, Any]) -> Request:
    """Return the request that the options make."""
    from schemegen.comparison import Measures, Request, arm_of

    settings = {name: given[name] for name in ("recipe", "epochs", "batch_size", "lr")}
    settings |= dict(setting(text) for text in given["train"])
    first = given["first_seed"]
    return Request(
        arms=tuple(arm_of(text) for text in given["schemes"]),
        networks=given["network"],
        depths=given["depth"],
        data=given["data"],
        seeds=tuple(range(first, first + given["seeds"])),
        reference=given["reference"],
        match=given["match"],
        adjust=given["adjust"],
        settings=settings,
        measures=Measures(
            attacks=given["attack"],
            eps=given["eps"],
            steps=given["steps"],
            norm=given["norm"],
            corruptions=given["corrupt"],
            images=given["images"],
        ),
        data_dir=given["data_dir"],
        download=given["download"],
    )


def setting(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE`` by the type that the setting has."""
    from schemegen.training.config import Config

    name, equals, value = text.partition("=")
    name = name.replace("-", "_")
    types = {item.name: str(item.type).partition(" ")[0] for item in fields(Config)}
    if not equals or name not in types:
        raise UsageError(f"no setting of training is called `{name}`", "write NAME=VALUE")
    try:
        match types[name]:
            case "bool":
                return name, {"true": True, "false": False}[value]
            case "int":
                return name, int(value)
            case "float":
                return name, float(value)
            case _:
                return name, value
    except (KeyError, ValueError) as error:
        raise UsageError(f"`{value}` is no value of `{name}`, which is {types[name]}") from error


def part_of(share: str | None, count: int) -> range:
    """Return the indices of the runs of a share ``I/N``, all without one."""
    if share is None:
        return range(count)
    index, _, parts = share.partition("/")
    if not (index.isdigit() and parts.isdigit() and 1 <= int(index) <= int(parts)):
        raise UsageError(f"`{share}` is no share of the runs", "write 1/4 for the first of four")
    return range(int(index) - 1, count, int(parts))


class Counter:
    """Tells of each run that is done on standard error."""

    def __init__(self, console: Console, done: int, total: int) -> None:
        self.console, self.done, self.total = console, done, total

    def told(self, result: RunResult) -> None:
        self.done += 1
        reached = result.failed or f"{100 * result.measures['accuracy']:.2f} %"
        where = f"{result.arm}, {result.group}, seed {result.seed}"
        self.console.say(f"{self.done}/{self.total}  {where}: {reached}  ({result.seconds:.0f} s)")


def write(found: Comparison, folder: Path, console: Console) -> None:
    """Write results, table, pictures and page; without matplotlib no pictures."""
    from schemegen.comparison import comparison_data, comparison_html, pictures, runs_csv
    from schemegen.report import analysis_json

    files: dict[str, str | bytes] = {
        "results.json": analysis_json(comparison_data(found)),
        "runs.csv": runs_csv(found),
    }
    try:
        files |= pictures(found)
        files["report.html"] = comparison_html(found)
    except UsageError as error:
        console.say(f"no pictures and no page: {error.message}")
    for name, content in files.items():
        write_atomically(folder / name, content)
    console.say(f"wrote {folder}/  {'  '.join(files)}")


def written(found: Comparison, style: str, console: Console) -> str:
    """Return the comparison in the form ``style``."""
    from schemegen.comparison import (
        comparison_data,
        comparison_html,
        comparison_text,
        runs_csv,
    )
    from schemegen.report import analysis_json

    match style:
        case "json":
            return analysis_json(comparison_data(found))
        case "html":
            return comparison_html(found)
        case "csv":
            return runs_csv(found)
        case _:
            return comparison_text(found, width=console.width(), unicode=console.unicode())


def sizes_text(plan: Plan, console: Console) -> str:
    """Return the networks that would be trained."""
    from schemegen.comparison.tables import sizes
    from schemegen.report.tables import table_text

    lines = []
    for group in plan.groups:
        arms = [arm.label for arm in plan.request.arms]
        table = sizes(group, [(arm, plan.sizes[arm, group]) for arm in arms])
        lines += [*table_text(table, console.width()), ""]
    return "\n".join([*lines, f"{len(plan.runs)} runs"]) + "\n"
