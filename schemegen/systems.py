"""The architectures of the papers: which scheme on which network, and how many parameters it must have."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from schemegen.resources import resource_dir

__all__ = ["System", "systems"]


@dataclass(frozen=True, slots=True)
class System:
    """A published architecture: a scheme and a network of the zoo.

    ``parameters`` is the number that it must have, ``count`` where that comes from.
    """

    name: str
    paper: str
    scheme: str
    network: str
    parameters: int
    count: str


def systems() -> tuple[System, ...]:
    """Return the rows of ``zoo/systems.csv``, a line each."""
    text = (resource_dir("zoo") / "systems.csv").read_text(encoding="utf-8")
    return tuple(
        System(
            row["system"],
            row["paper"],
            row["scheme"],
            row["network"],
            int(row["parameters"]),
            row["count"],
        )
        for row in csv.DictReader(text.splitlines())
    )
