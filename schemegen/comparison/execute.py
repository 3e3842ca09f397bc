"""Runs, one after the other or several at a time: a finished one is known by its hash, a broken one goes on."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemegen.comparison.model import Group, Run, RunResult
from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.files import write_atomically

__all__ = ["Worker", "execute", "finished", "known_result"]

RESULT = "result.json"
FORMAT = "schemegen-compare-run-1"
NOT_FINITE = "E0804"

Told = Callable[[RunResult], None]


class Worker:
    """Where runs are computed: folders, device and threads. A plain value, for it goes to other processes."""

    def __init__(
        self, output: Path, data_dir: Path, device: str = "auto", threads: int = 1
    ) -> None:
        self.output = output
        self.data_dir = data_dir
        self.device = device
        self.threads = threads

    def folder(self, run: Run) -> Path:
        return self.output / "runs" / run.folder

    def __call__(self, run: Run) -> RunResult:
        """Train, measure and write ``result.json``; go on from the last epoch where there is one."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            result = self._trained(run)
        finally:
            torch.set_num_threads(before)
        content = {"format": FORMAT, **asdict(result)}
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        write_atomically(self.folder(run) / RESULT, text)
        return result

    def _trained(self, run: Run) -> RunResult:
        from schemegen.comparison.measures import measured, versions
        from schemegen.pipeline import emit_network, examine, raise_errors
        from schemegen.scheme import bind
        from schemegen.selection import choose_scheme, read_network
        from schemegen.step import lower
        from schemegen.training import Config, Subject, train

        source = Source(f"{run.arm}.scheme", run.scheme_text)
        checked, found = examine(source)
        raise_errors(found)
        scheme = choose_scheme(checked.schemes, run.scheme_name, source.name)
        other = Source(f"{run.network_name}.scheme", run.network_text)
        spec = bind(scheme, read_network(other, run.network_name))
        folder = self.folder(run)
        settings: dict[str, Any] = dict(run.settings)
        config = Config(
            **settings,
            data=run.group.data,
            seed=run.seed,
            data_dir=self.data_dir,
            device=self.device,
            output=folder,
            resume="last",
            progress=False,
        )
        network = emit_network(scheme, lower(scheme), spec, {}, seed=run.seed)
        subject = Subject(network, scheme, spec)
        known: dict[str, Any] = {
            "arm": run.arm,
            "group": run.group,
            "seed": run.seed,
            "key": run.key,
        }
        try:
            result = train(subject, config)
        except SchemeError as error:
            return RunResult(**known, failed=_not_finite(error), versions=versions())
        measures, warnings = measured(subject, run, self.data_dir, result.test_accuracy)
        return RunResult(
            **known,
            measures=measures,
            history=tuple(asdict(item) for item in result.history),
            seconds=round(result.seconds, 2),
            versions=versions(),
            warnings=warnings,
        )


def _not_finite(error: SchemeError) -> str:
    """Return the message of a loss that is not finite; raise every other mistake again."""
    own = [item for item in error.diagnostics if item.code == NOT_FINITE]
    if not own:
        raise error
    return own[0].message


def known_result(worker: Worker, run: Run) -> RunResult | None:
    """Return the result of a finished run with the same hash, None where there is none."""
    path = worker.folder(run) / RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{path}` cannot be read: {error}", "remove it to repeat the run"
        ) from error
    if content.get("format") != FORMAT or content.get("key") != run.key:
        return None
    del content["format"]
    try:
        content["group"] = Group(**content["group"])
        content["history"] = tuple(content["history"])
        content["warnings"] = tuple(content["warnings"])
        return RunResult(**content)
    except (TypeError, KeyError) as error:
        raise UsageError(f"`{path}` is damaged: {error}", "remove it to repeat the run") from error


def finished(worker: Worker, runs: Sequence[Run]) -> dict[str, RunResult]:
    """Return the results that there are already, by key."""
    found = {run.key: known_result(worker, run) for run in runs}
    return {key: result for key, result in found.items() if result is not None}


def execute(worker: Worker, runs: Sequence[Run], jobs: int, told: Told) -> dict[str, RunResult]:
    """Compute the runs that are missing, ``jobs`` at a time, and return all results by key.

    ``told`` hears of each run that is done. Runs of equal texts and settings under two labels are computed once.
    Errors: those of the runs; UsageError where a process died.
    """
    results = finished(worker, runs)
    missing = list({run.key: run for run in runs if run.key not in results}.values())
    steps = map(worker, missing) if jobs == 1 else _several(worker, missing, jobs)
    for result in steps:
        results[result.key] = result
        told(result)
    return results


def _several(worker: Worker, runs: Sequence[Run], jobs: int) -> Iterator[RunResult]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(worker, run) for run in runs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UsageError(
                "the process of a run died",
                "the same command goes on with the runs that are missing",
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
