"""A trained network under the lenses of its scheme.

Is it still what its scheme says: do the learned coefficients lie in their exact sets, do the eigenvalues of the
branches lie in the region of stability, is the stack of steps still a discretisation of one equation, and how
large are the corrections of the modified equation where the data are? Each number is measured in double precision
at images of the test set::

    unit, found = diagnose_run(Path("runs/lm_resnet"))
"""

from __future__ import annotations

from schemegen.diagnosis.data import diagnosis_data
from schemegen.diagnosis.diagnose import diagnose, diagnose_run
from schemegen.diagnosis.model import (
    Correction,
    Diagnosis,
    LearnedStage,
    Outside,
    Smoothness,
    Spectrum,
)
from schemegen.diagnosis.report import diagnosis_html, diagnosis_markdown, diagnosis_text

__all__ = [
    "Correction",
    "Diagnosis",
    "LearnedStage",
    "Outside",
    "Smoothness",
    "Spectrum",
    "diagnose",
    "diagnose_run",
    "diagnosis_data",
    "diagnosis_html",
    "diagnosis_markdown",
    "diagnosis_text",
]
