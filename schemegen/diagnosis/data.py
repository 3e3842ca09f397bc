"""A diagnosis as JSON: the keys that ``docs/diagnosis.md`` describes."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from schemegen.diagnosis.model import Diagnosis

__all__ = ["diagnosis_data"]

DIGITS = 8


def diagnosis_data(found: Diagnosis) -> dict[str, Any]:
    """Return plain values: numbers to eight digits, eigenvalues as pairs, what is not finite as null."""
    data = asdict(found)
    for spectrum in data["spectrum"]:
        spectrum["eigenvalues"] = [[z.real, z.imag] for z in spectrum["eigenvalues"]]
    for stage in data["learned"]:
        stage["sets"] = [
            {"claim": claim, "set": text, "outside": outside}
            for claim, text, outside in stage["sets"]
        ]
    for step in data["correction"]:
        step["terms"] = [{"h_power": power, "size": size} for power, size in step["terms"]]
    data["notes"] = [{"key": key, "text": text} for key, text in data["notes"]]
    plain: dict[str, Any] = _plain(data)
    return plain


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float():
            return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        case _:
            return value
