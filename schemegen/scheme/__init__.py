"""The checked scheme: frozen, exact, valid by construction, and the checks that build it."""

from schemegen.scheme.files import Checked, check
from schemegen.scheme.fits import bind, fit

__all__ = ["Checked", "bind", "check", "fit"]
