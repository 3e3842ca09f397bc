"""Schemes x backbones: each trains in two precisions, and each of its forms gives the network back.

``exports.csv`` beside this file records what passed; ``--slow --update-golden`` runs everything and writes it
anew, a line for each scheme and kind of backbone. The table of systems in the docs is made from it. Networks of
one kind differ in numbers alone: widths, depths, groups, classes, sizes of images.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from forms import (
    FORMS,
    SCHEMES,
    built,
    comes_back,
    forms_of,
    inputs,
    kinds,
    misfits,
    round_trips,
    short,
    trains,
)

import schemegen
from schemegen.files import write_atomically

RECORD = Path(__file__).parent / "exports.csv"
KINDS = tuple(kinds())
QUICK = [
    *(("resnet", kind) for kind in ("tiny", "mlp", "cifar", "cifar_resnet164")),
    *((name, "tiny") for name in ("lm_resnet", "revnet", "shake_shake", "polynet", "bdf1")),
]  # fmt: skip


def recorded() -> dict[tuple[str, str], str]:
    """Return the forms that passed, or the codes of why scheme and backbone do not fit."""
    if not RECORD.exists():
        return {}
    rows = csv.DictReader(io.StringIO(RECORD.read_text(encoding="utf-8")))
    return {(row["scheme"], row["backbone"]): row["forms"] for row in rows}


@contextmanager
def record() -> Iterator[dict[tuple[str, str], str]]:
    """Change the record; workers that run at the same time wait for one another."""
    with RECORD.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        rows = recorded()
        yield rows
        lines = [f"{scheme},{kind},{forms}\n" for (scheme, kind), forms in sorted(rows.items())]
        write_atomically(RECORD, "scheme,backbone,forms\n" + "".join(lines))


def outcome(name: str, kind: str, folder: Path) -> str:
    """Return the forms that give the network back, or the codes for which there is no such network."""
    scheme = schemegen.load(name)
    spec = short(scheme, kind)
    codes = misfits(scheme, spec)
    if codes:
        return f"- {' '.join(codes)}"
    network = built(scheme, spec)
    trains(network, inputs(spec))
    forms = forms_of(scheme, kind)
    round_trips(network, scheme, spec, folder, forms)
    return " ".join(forms)


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow)
        for kind in KINDS
        for name in SCHEMES
    ],
)
def test_every_form_gives_the_network_back(
    name: str, kind: str, tmp_path: Path, update_golden: bool
) -> None:
    found = outcome(name, kind, tmp_path)
    if update_golden:
        with record() as rows:
            rows[name, kind] = found
    assert recorded().get((name, kind), found) == found


WIDEST = tuple(names[-1] for names in kinds().values() if len(names) > 1)


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "network"),
    [
        pytest.param(name, network, marks=() if name == "resnet" else pytest.mark.slow)
        for network in WIDEST
        for name in SCHEMES
    ],
)
def test_the_widest_network_of_a_kind_trains_and_comes_back(
    name: str, network: str, tmp_path: Path
) -> None:
    scheme = schemegen.load(name)
    spec = short(scheme, network)
    if not misfits(scheme, spec):
        made = built(scheme, spec)
        trains(made, inputs(spec))
        comes_back(made, scheme, spec, tmp_path)


def test_the_record_is_of_schemes_and_backbones_that_there_are() -> None:
    rows = recorded()
    assert {name for name, _ in rows} <= set(SCHEMES)
    assert {kind for _, kind in rows} <= set(KINDS)
    assert set(QUICK) <= rows.keys()
    assert all(
        forms.startswith("- ") or set(forms.split()) <= set(FORMS) for forms in rows.values()
    )
