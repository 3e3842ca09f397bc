"""Writes ``docs/catalogue.md``, the table of systems: ``python docs/catalogue.py``.

Numbers are found anew: parameters by building each network, the rest by the analysis. Which forms give a network
back is read from ``tests/zoo/exports.csv``, which the tests of schemes and backbones write.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import schemegen
from schemegen.files import write_atomically
from schemegen.report import analysis_data
from schemegen.systems import System, systems

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "catalogue.md"
HEAD = """# Table of systems

The architectures of the papers, each a scheme and a network of the zoo: `schemegen compile zoo/lm_resnet
--network cifar_resnet56`. This page is written by `python docs/catalogue.py` from the rows of `zoo/systems.csv`, a
line for each system.

*Parameters* are the trainable numbers that the system must have, and those of the network that is built.
*Order* is that of the scheme for a fixed branch (weak order where there is noise). *Reversible* steps can be
undone exactly, so that `--backprop reversible` needs no activations. *Forms* are those that were written, read
again and gave the same outputs: {forms}; [exports](exports.md) says how they are compared.

| system | scheme | network | parameters | found | order | stable | reversible | forms |
|---|---|---|---|---|---|---|---|---|
"""


def page(every: Sequence[System] | None = None) -> str:
    """Return the text of the page, for all systems or for some."""
    sys.path.insert(0, str(ROOT / "tests" / "zoo"))
    from forms import FORMS, kind_of

    with (ROOT / "tests" / "zoo" / "exports.csv").open(encoding="utf-8") as file:
        passed = {(row["scheme"], row["backbone"]): row["forms"] for row in csv.DictReader(file)}
    known: dict[str, dict[str, Any]] = {}
    rows, papers = [], []
    for system in every or systems():
        if system.scheme not in known:
            scheme = schemegen.load(system.scheme)
            known[system.scheme] = analysis_data(schemegen.analyze(scheme), scheme)
        forms = passed.get((system.scheme, kind_of(system.network)), "").split()
        said = "all" if forms == list(FORMS) else ", ".join(forms) or "not run"
        rows.append(row(system, known[system.scheme], said))
        papers.append(f"- {system.name}: {system.paper}. Parameters: {system.count}.\n")
    text = HEAD.format(forms=", ".join(f"`{form}`" for form in FORMS))
    return text + "".join(rows) + "\n## Sources\n\n" + "".join(papers)


def row(system: System, facts: dict[str, Any], forms: str) -> str:
    with torch.device("meta"):
        network = schemegen.build(system.scheme, system.network)
    found = sum(item.numel() for item in network.parameters() if item.requires_grad)
    cells = [
        system.name,
        f"`{system.scheme}`",
        f"`{system.network}`",
        f"{system.parameters:,}",
        f"{found:,}",
        order(facts),
        stability(facts),
        {True: "yes", False: "no"}.get(facts["geometry"]["reversible"], "not decided"),
        forms,
    ]
    return f"| {' | '.join(cells)} |\n"


def order(facts: dict[str, Any]) -> str:
    """Return the order, of the rescaled equation where that is the consistent one."""
    if facts["weak_order"] is not None:
        text = f"weak {facts['weak_order']}"
    elif facts["order"] is None:
        return "-"
    else:
        text = str(facts["order"])
    consistent = facts["consistent"]
    return f"{text} for {consistent}" if isinstance(consistent, str) else text


def stability(facts: dict[str, Any]) -> str:
    """Return zero-stability where it depends on a param, and the real numbers z = h lambda that are stable."""
    found = facts["stability"]
    said = []
    if isinstance(found["zero_stable"], str):
        said.append(f"zero-stable for {found['zero_stable']}")
    elif found["zero_stable"] is False:
        said.append("not zero-stable")
    if found["L"] or found["A"]:
        said.append("L-stable" if found["L"] else "A-stable")
    mean_square = facts["mean_square"]
    if mean_square is not None and mean_square["stable"] is not None:
        said.append(f"mean square for {mean_square['stable']}")
    elif found["real_interval"] is not None:
        low, high = (
            f"{end:.4g}" if isinstance(end, float) else end for end in found["real_interval"]
        )
        said.append("z = 0 on the real axis" if low == high else f"{low} <= z <= {high}")
    return "; ".join(said) or "zero-stable"


if __name__ == "__main__":
    write_atomically(PAGE, page())
