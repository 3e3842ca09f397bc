"""Writes the page of results from raw numbers: ``python docs/results.py`` after ``python docs/results.py RUN``.

``RUN`` is the folder of a comparison; its numbers go to ``docs/results/NAME.json`` without the epochs' curves.
The tables of ``docs/results.md`` are written from these files, and so is every verdict.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE / "results"
PAGE = HERE / "results.md"

SURE = 0.05


def taken(run: Path) -> None:
    """Copy what is needed of a comparison's ``results.json``."""
    found = json.loads((run / "results.json").read_text(encoding="utf-8"))
    for item in found["runs"]:
        del item["history"]
        item["group"] = item["group"]["network"]
    kept = {
        key: found[key] for key in ("reference", "seeds", "match", "settings", "measures", "sizes")
    }
    kept["seconds"] = round(sum(item.pop("seconds") for item in found["runs"]))
    kept["versions"] = found["runs"][0]["versions"]
    for item in found["runs"]:
        del item["versions"], item["key"]
    table = [cell for cell in found["table"] if not re.search(r"_noise \d$", cell["measure"])]
    for cell in table:
        cell["group"] = cell["group"]["network"]
    for item in kept["sizes"]:
        item["group"] = item["group"]["network"]
    kept |= {"runs": found["runs"], "table": table}
    lines = [f" {json.dumps(key)}: {_rows(value)}" for key, value in kept.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (DATA / f"{run.name}.json").write_text(text, encoding="utf-8")


def _rows(value: Any) -> str:
    """Return JSON with an item a line, so that a change can be read."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"


def page() -> str:
    """Return the text of the page: its prose with the tables where ``<!-- table NAME: MEASURES -->`` stands."""
    lines = []
    for line in (HERE / "results.in").read_text(encoding="utf-8").splitlines():
        lines += list(expanded(line)) if line.startswith("<!-- ") else [line]
    return "\n".join(lines) + "\n"


def expanded(line: str) -> Iterator[str]:
    """Yield the lines that a command stands for."""
    word, name, *rest = line.removeprefix("<!-- ").removesuffix(" -->").split(" ")
    found = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    if word == "sizes":
        yield from sizes(found)
    elif word == "table":
        yield from table(found, " ".join(rest))
    else:
        yield from verdicts(found)


def sizes(found: dict[str, Any]) -> Iterator[str]:
    yield "| scheme | steps | parameters | evaluations | FLOPs an image |"
    yield "|---|---:|---:|---:|---:|"
    for item in found["sizes"]:
        steps = " + ".join(map(str, item["steps"]))
        yield (
            f"| `{item['arm']}` | {steps} | {item['parameters']:,} | {item['evaluations']} | "
            f"{item['flops']:,} |"
        )


def table(found: dict[str, Any], measure: str) -> Iterator[str]:
    yield "| scheme | mean % | sd | 95 % interval | difference | 95 % interval | p | exact p | Holm p | verdict |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    for cell in found["table"]:
        if cell["measure"] == measure:
            yield row(cell)


def row(cell: dict[str, Any]) -> str:
    own, gap = cell["spread"], cell["against"]
    cells = [f"`{cell['arm']}`", percent(own["mean"]), percent(own["deviation"]), interval(own)]
    if gap is None:
        cells += ["", "", "", "", "", "reference"]
    else:
        tests = [f"{gap[key]:.4f}" for key in ("p_t", "p_exact", "p_holm")]
        cells += [f"{100 * gap['mean']:+.2f}", interval(gap), *tests, verdict(gap)]
    return f"| {' | '.join(cells)} |"


def verdicts(found: dict[str, Any]) -> Iterator[str]:
    """Yield a table of the differences under every measure."""
    arms = list(dict.fromkeys(cell["arm"] for cell in found["table"] if cell["against"]))
    yield (
        "| measure | `"
        + found["reference"]
        + "` % | "
        + " | ".join(f"`{arm}`" for arm in arms)
        + " |"
    )
    yield "|---|---:|" + "---|" * len(arms)
    for measure in dict.fromkeys(cell["measure"] for cell in found["table"]):
        cells = {c["arm"]: c for c in found["table"] if c["measure"] == measure}
        shown = [
            f"{100 * cells[arm]['against']['mean']:+.2f} {interval(cells[arm]['against'])} "
            f"{verdict(cells[arm]['against'])}"
            for arm in arms
        ]
        mean = percent(cells[found["reference"]]["spread"]["mean"])
        yield f"| {measure.replace('_', ' ')} | {mean} | {' | '.join(shown)} |"


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def interval(item: dict[str, Any]) -> str:
    return f"[{percent(item['low'])}, {percent(item['high'])}]"


def verdict(gap: dict[str, Any]) -> str:
    if gap["p_holm"] >= SURE:
        return "open"
    return "**higher**" if gap["mean"] > 0 else "**lower**"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        taken(Path(folder))
    PAGE.write_text(page(), encoding="utf-8")
