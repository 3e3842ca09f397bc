"""The checked scheme: frozen, exact, valid by construction, and the checks that build it."""

from schemegen.scheme.files import Checked, check
from schemegen.scheme.fits import fit

__all__ = ["Checked", "check", "fit"]
