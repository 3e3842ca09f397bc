"""``python -m benchmarks [NAME ..] [--quick] [--json OUT] [--device cuda] [--dtype bfloat16]``.

Without a name all benchmarks are run. ``--json`` takes a file for one benchmark and a folder for several, into
which ``NAME.json`` is written; ``docs/speed.py`` makes a page of such a folder.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks.harness import Options, shown, written

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if "\nQUESTION" in path.read_text(encoding="utf-8")
)


def main() -> int:
    new = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    new.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    new.add_argument("--quick", action="store_true", help="small and once: does it run?")
    new.add_argument("--rounds", type=int, help="how often everything is timed")
    new.add_argument("--json", type=Path, metavar="OUT")
    new.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    new.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    new.add_argument("--peers", metavar="PYTHON", help="interpreter of an environment with peers")
    given = new.parse_args()
    names = given.names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        new.error(f"no benchmark {unknown[0]}: {', '.join(NAMES)}")
    options = Options(given.quick, given.rounds, given.device, given.dtype, given.peers)
    import torch

    torch.set_num_threads(1)
    for name in names:
        report = importlib.import_module(f"benchmarks.{name}").run(options)
        print(shown(report), end="\n\n", flush=True)
        if given.json is not None:
            single = given.json.suffix == ".json"
            if single and len(names) > 1:
                new.error("--json takes a folder where there are several benchmarks")
            file = given.json if single else given.json / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(written(report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
