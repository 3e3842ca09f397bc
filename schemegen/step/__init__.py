"""The step program: statements, lowering, verification and the reference interpreter."""

from schemegen.step.dump import dump
from schemegen.step.lower import lower
from schemegen.step.verify import verify

__all__ = ["dump", "lower", "verify"]
