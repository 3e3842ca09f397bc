"""Writes the page of measurements: ``python docs/speed.py`` makes ``speed.md`` of ``benchmarks/*.json``.

``--check`` writes nothing and ends with exit code 1 where the page is not what the figures say.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.harness import markdown, read  # noqa: E402

INTRODUCTION = """# Measured

Every figure on this page comes from one command, `python -m benchmarks NAME --json docs/benchmarks`, and the
page from those files (`python docs/speed.py`). Contestants run one after the other in every round, with the
garbage collector off and on one thread, short ones several times in a row; given are medians of the ratios
within a round and, in brackets, their quartiles. On a processor the time of the processor is counted, so that
other work on the machine disturbs little; `noise` was measured beside some. Figures
are from several machines; newer ones name the instructions (AVX2 or AVX512). Below 1 is faster than what stands in
the title of the table.

A peer that is not installed says so; `python -m benchmarks` runs what is there. With `--device cuda --dtype
bfloat16` the same commands measure an accelerator. `fullsize` (ResNet-110 on 32 x 32 images and ResNet-50 on
224 x 224 beside torchvision and the same networks by hand) has been run in small on a processor only: no
figures of it are given.
"""


def page() -> str:
    files = sorted((HERE / "benchmarks").glob("*.json"))
    return "\n".join([INTRODUCTION, *(markdown(read(file.read_text("utf-8"))) for file in files)])


def main() -> int:
    target, text = HERE / "speed.md", page()
    if "--check" in sys.argv[1:]:
        if target.read_text("utf-8") == text:
            return 0
        print("docs/speed.md is not what docs/benchmarks says: run python docs/speed.py")
        return 1
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
