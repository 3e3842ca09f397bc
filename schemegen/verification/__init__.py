"""What the analysis claims, measured: the step program runs on test problems, in long double."""

from schemegen.verification.model import Check
from schemegen.verification.verify import verify

__all__ = ["Check", "verify"]
