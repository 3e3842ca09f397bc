"""How long a command and a deep network take: ``python -m benchmarks latency``.

Each command is a fresh process of this Python; the median and the quartiles of its runs are printed beside
the limit. Then those that analyse are run without and with the analyses that earlier runs keep; everywhere else
nothing is known. Then a residual network of 152, 302, 602 and 1,202 layers is compiled, from its text to its graph
module: CPU time of the first network of a fresh process, whose imports are not counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import schemegen
from benchmarks.harness import Options, Report, setting, spread
from schemegen.sources import zoo_file

LIMITS = {
    "schemegen --help": 0.3,
    "schemegen fmt rk4.scheme": 0.3,
    "schemegen explain E0203": 0.3,
    "schemegen zoo list": 0.3,
    "schemegen check rk4.scheme": 1.5,
    "schemegen check lm_resnet.scheme": 1.5,
    "schemegen check dopri5.scheme": 1.5,
}
AGAIN = (
    "schemegen check dopri5.scheme",
    "schemegen analyze dopri5.scheme",
    "schemegen analyze lm_resnet.scheme",
    "schemegen analyze lm_stochastic_depth.scheme",
    "schemegen compile lm_resnet.scheme --network tiny",
)

DEEP = """
network deep {{
  input: shape [3, 32, 32], classes 10
  stem: conv(3), width 16
  stage: width 16, steps {steps}
  stage: width 32, steps {steps}, stride 2
  stage: width 64, steps {steps}, stride 2
  head: bn, relu, avgpool, linear
}}
"""
STEPS = (25, 50, 100, 200)
DEEPEST = 3.0


FIRST = """
import sys, time
import schemegen, schemegen.backends, schemegen.pipeline, schemegen.language, schemegen.analysis.analyze

start = time.process_time()
schemegen.build(sys.stdin.read())
print(time.process_time() - start)
"""


def compiled(steps: int, folder: Path) -> float:
    """Return the time from text to graph module of a ResNet of ``6 steps + 2`` layers, in a process of its own."""
    forget(folder)
    text = zoo_file("resnet").read_text(encoding="utf-8") + DEEP.format(steps=steps)
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        input=text,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def environment(folder: Path) -> dict[str, str]:
    paths = [str(Path(schemegen.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(item for item in paths if item),
        "SCHEMEGEN_CACHE": str(folder / "kept"),
    }


def forget(folder: Path) -> None:
    """Delete the analyses of earlier runs; the parser's tables stay."""
    shutil.rmtree(folder / "kept" / "analyses", ignore_errors=True)


def seconds(command: str, folder: Path) -> float:
    """Return the time of one run; a command that fails has no time."""
    arguments = [sys.executable, "-m", *command.split()]
    start = perf_counter()
    done = subprocess.run(
        arguments, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    elapsed = perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr}")
    return elapsed


def cold(command: str, folder: Path) -> float:
    """Return the time of one run that knows no analysis."""
    forget(folder)
    return seconds(command, folder)


QUESTION = "How long do commands and the build of a deep network take?"


def run(options: Options) -> Report:
    report = Report("latency", QUESTION, setting(options, ("sympy", "lark")))
    rounds = options.number(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for scheme in ("rk4", "lm_resnet", "dopri5", "lm_stochastic_depth"):
            text = zoo_file(scheme).read_text(encoding="utf-8")
            (folder / f"{scheme}.scheme").write_text(text, encoding="utf-8")
        table = report.table("Seconds of a fresh process", "command", "limit", "time")
        for command, limit in list(LIMITS.items())[: 1 if options.quick else None]:
            seconds(command, folder)  # byte code and the parser's tables are written once
            times = [cold(command, folder) for _ in range(rounds)]
            table.rows.append([command, limit, spread(times)])
        table = report.table("Seconds of a first run and of another", "command", "first", "again")
        for command in AGAIN[: 1 if options.quick else None]:
            seconds(command, folder)
            pairs = [(cold(command, folder), seconds(command, folder)) for _ in range(rounds)]
            table.rows.append([command, *map(spread, zip(*pairs, strict=True))])
        table = report.table(
            "CPU seconds from text to graph module",
            "network",
            "limit",
            "time",
            "milliseconds a layer",
        )
        for steps in (2,) if options.quick else STEPS:
            times = [compiled(steps, folder) for _ in range(rounds)]
            layers, limit = 6 * steps + 2, DEEPEST * steps / STEPS[-1]
            each = spread([1000 * time / layers for time in times])
            table.rows.append([f"ResNet-{layers}", limit, spread(times), each])
    return report
