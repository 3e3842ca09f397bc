"""All checks of one scheme."""

from __future__ import annotations

from collections.abc import Iterator

from schemegen.analysis.expansion import expand
from schemegen.analysis.model import Analysis
from schemegen.step.evaluation import StillRandomError, evaluated
from schemegen.step.program import Program
from schemegen.verification.convergence import convergence
from schemegen.verification.geometry import geometry
from schemegen.verification.linear import linear
from schemegen.verification.model import Check
from schemegen.verification.stochastic import stochastic
from schemegen.verification.subject import subject_of

__all__ = ["verify"]


def verify(program: Program, analysis: Analysis) -> tuple[Check, ...]:
    """Measure what ``analysis`` claims of ``program``.

    The claims are read from ``analysis`` alone, so that a wrong one is found. Implicit groups are iterated
    to their solution, noises are their means, and symbols have values that the first check names.
    """
    return tuple(_checks(program, analysis))


def _checks(program: Program, analysis: Analysis) -> Iterator[Check]:
    try:
        evaluated(program)
    except StillRandomError as error:
        yield Check("noise", "step without noise", "", str(error), note="only claims are read")
    else:
        yield from _measured(program, analysis)
    yield from stochastic(program, analysis)
    for verdict in analysis.verdicts:
        claim = f"expect {verdict.expectation}"
        yield Check("expect", claim, "as declared", verdict.found, verdict.holds, "by the analysis")


def _measured(program: Program, analysis: Analysis) -> Iterator[Check]:
    expansion = expand(program)
    subject = subject_of(program, expansion, solved=True)
    if subject.numbers:
        chosen = ", ".join(f"{name} = {value}" for name, value in subject.numbers.items())
        yield Check("params", "numbers for symbols", "", chosen, note="chosen for the measurements")
    yield from convergence(subject, analysis)
    yield from linear(subject, analysis)
    yield from geometry(subject, analysis)
