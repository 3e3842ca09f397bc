"""What all benchmarks share: options, interleaved timing, results as a table and as JSON.

Contestants are run one after the other in every round, with the garbage collector off and on one thread, so
that load on the machine falls on all of them; what is compared are ratios within a round, of which the median
and the quartiles are given. On a processor its time is counted, of all threads of the process, which does not
run while other processes have the core; on an accelerator, the time until it is idle.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

Run = Callable[[], object]


@dataclass(frozen=True)
class Options:
    """What the command line asks for. ``peers``: a Python that can import packages of other versions."""

    quick: bool = False
    rounds: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    peers: str | None = None

    def number(self, usual: int, quick: int = 1) -> int:
        """Return the number of rounds: as asked for, else ``usual``, ``quick`` under ``--quick``."""
        return quick if self.quick else self.rounds or usual


@dataclass
class Table:
    """Rows of cells: a text, a number, or a spread ``{"median", "low", "high"}``."""

    title: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)


@dataclass
class Report:
    """The result of one benchmark."""

    name: str
    question: str
    setting: dict[str, str]
    tables: list[Table] = field(default_factory=list)

    def table(self, title: str, *columns: str) -> Table:
        self.tables.append(Table(title, list(columns)))
        return self.tables[-1]


def setting(options: Options, packages: Iterable[str] = ()) -> dict[str, str]:
    """Return where and with what a benchmark runs; a package that is missing says so."""
    import torch

    where = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    found = {
        "device": where,
        "dtype": options.dtype,
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
    }
    return found | {name: version(name) for name in ("torch", *packages)}


def processor() -> str:
    """Return the processor, with the instructions that torch's kernels use on it."""
    import torch

    kernels = torch.backends.cpu.get_cpu_capability()
    return f"cpu ({os.cpu_count()} cores, {platform.machine()}, {kernels})"


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def missing(*packages: str) -> str | None:
    """Return what to print in place of a figure where a peer is not installed."""
    absent = [name for name in packages if version(name) == "not installed"]
    return f"{', '.join(absent)} not installed" if absent else None


def now() -> float:
    """Return the seconds of the clock that runs are timed with."""
    import torch

    if not torch.cuda.is_available():
        return process_time()
    torch.cuda.synchronize()
    return perf_counter()


def seconds(run: Run, inner: int = 1) -> float:
    """Return the time of one run, ``inner`` of them in a row."""
    start = now()
    for _ in range(inner):
        run()
    return (now() - start) / inner


@contextmanager
def one_core() -> Iterator[None]:
    """Keep the process on one core for a while, where the system can.

    Otherwise the threads that XLA keeps, also for work that it does on one, wait on other cores, and their waiting
    counts as time of the processor.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def repetitions(run: Run, least: float = 2e-2) -> int:
    """Return how many runs in a row are timed: several short ones, as training makes them.

    A run that follows another contestant's finds neither its code nor its memory near the processor.
    """
    once = min(seconds(run) for _ in range(3))
    return max(1, min(1000, round(least / max(once, 1e-7))))


def interleaved(runs: Mapping[str, Run], rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Return the seconds of every contestant in every round; each round runs all of them once."""
    for run in runs.values():
        for _ in range(warmup):
            run()
    inner = {name: 1 if rounds == 1 else repetitions(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(seconds(run, inner[name]))
    finally:
        if enabled:
            gc.enable()
    return times


def timed(
    call: Callable[[Any], Any], parameters: Sequence[Any], x: Any, backward: bool
) -> Callable[[], None]:
    """Return a run of ``call`` without gradients, or of the gradients of the sum of what it gives."""
    import torch

    def forward() -> None:
        with torch.no_grad():
            call(x)

    def both() -> None:
        for parameter in parameters:
            parameter.grad = None
        call(x).sum().backward()

    return both if backward else forward


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles, three digits of each."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3
    return {
        "median": float(f"{middle:.3g}"),
        "low": float(f"{low:.3g}"),
        "high": float(f"{high:.3g}"),
    }


def ratios(times: Mapping[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Return each contestant's time over that of ``base`` in the same round."""
    return {
        name: spread([one / other for one, other in zip(found, times[base], strict=True)])
        for name, found in times.items()
    }


def fresh(python: str, code: str, limit: float = 600.0) -> list[str] | str:
    """Return the words that ``code`` prints last in a fresh process, or the last line of its failure."""
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
    environment = os.environ | {"PYTHONPATH": paths}
    try:
        done = subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"more than {limit:.0f} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["failed without a word"])[-1]
        return "not installed" if last.startswith("ModuleNotFoundError") else last
    return done.stdout.split()


def fresh_median(python: str, code: str, rounds: int, limit: float = 120.0) -> float | str:
    """Return the median of the first number that fresh processes print, or the failure."""
    times = []
    for _ in range(rounds):
        words = fresh(python, code, limit)
        if isinstance(words, str):
            return words
        times.append(float(words[0]))
    return statistics.median(times)


# --- output ------------------------------------------------------------------------------------------


def cell(value: Any) -> str:
    """Return a cell as text; a spread is its median and its quartiles."""
    match value:
        case {"median": median, "low": low, "high": high}:
            return f"{median:g} ({low:g} to {high:g})"
        case float():
            return f"{value:.3g}"
        case None:
            return "-"
        case _:
            return str(value)


def shown(report: Report) -> str:
    """Return the report as text for a terminal."""
    facts = ", ".join(f"{key} {value}" for key, value in report.setting.items())
    lines = [f"{report.name}: {report.question}", facts]
    for table in report.tables:
        rows = [table.columns, *([cell(item) for item in row] for row in table.rows)]
        widths = [max(len(row[index]) for row in rows) for index in range(len(table.columns))]
        lines += ["", table.title]
        for row in rows:
            first = row[0].ljust(widths[0])
            rest = (item.rjust(width) for item, width in zip(row[1:], widths[1:], strict=True))
            lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def markdown(report: Report) -> str:
    """Return the report as a section of a page."""
    facts = ", ".join(f"{key} {value}" for key, value in report.setting.items())
    lines = [f"## {report.question}", "", f"`python -m benchmarks {report.name}`; {facts}."]
    for table in report.tables:
        lines += ["", f"{table.title}:", "", f"| {' | '.join(table.columns)} |"]
        lines.append(f"|{'---|' * len(table.columns)}")
        lines += [f"| {' | '.join(cell(item) for item in row)} |" for row in table.rows]
    return "\n".join(lines) + "\n"


def written(report: Report) -> str:
    return json.dumps(asdict(report), indent=1) + "\n"


def read(text: str) -> Report:
    """Return the report that :func:`written` wrote."""
    data = json.loads(text)
    tables = [Table(**item) for item in data.pop("tables")]
    return Report(**data, tables=tables)


def python(options: Options) -> str:
    return options.peers or sys.executable
