"""Damping: the field ``gain*f(u) - (rate/h) u`` in each of its three treatments.

- ``explicit``: every evaluated field is damped at its own argument; Euler becomes
  ``(1 - rate) u + h gain f(u)``.
- ``exact``: the linear part is integrated exactly. One-stage Euler becomes exponential Euler,
  ``exp(-rate) u + h phi1(-rate) gain f(u)``; Runge-Kutta and multistep methods take the integrating factor
  (Lawson 1967); any other step is followed by the exact flow ``exp(-rate)`` (Lie splitting).
- ``implicit``: the undamped step is divided by ``1 + rate`` (backward Euler of the linear part).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from schemegen.exact import phi
from schemegen.scheme.model import Coefficient, Damping
from schemegen.step.builder import ONE, ZERO, Linear, add, scale
from schemegen.step.program import H

__all__ = ["Damped"]


@dataclass(frozen=True, slots=True)
class Damped:
    """How slopes and old values enter a step; mode ``none`` leaves both as they are."""

    mode: str = "none"
    rate: Coefficient = ZERO
    gain: Coefficient = ONE

    @classmethod
    def of(cls, damping: Damping | None) -> Damped:
        """Return the treatment that a scheme declares."""
        if damping is None:
            return cls()
        return cls(damping.mode, damping.rate, damping.gain)

    def field(self, slope: str, at: str, *, lead: bool) -> Linear:
        """Return the damped field where the drift has the value ``slope`` at the value ``at``.

        The linear part is counted once: ``lead`` marks the drift of a sum that carries it.
        """
        driven: Linear = {slope: self.gain}
        if self.mode == "explicit" and lead:
            return add(driven, {at: -self.rate / H})
        return driven

    def decay(self, duration: Coefficient) -> Coefficient:
        """Return ``exp(-duration*rate)``, the integrating factor over ``duration`` steps."""
        return sympy.exp(-duration * self.rate) if self.mode == "exact" else ONE

    def finish(self, linear: Mapping[str, Coefficient]) -> Linear:
        """Return the end of a step: divided by ``1 + rate`` where damping is implicit."""
        return scale(1 / (1 + self.rate), linear) if self.mode == "implicit" else dict(linear)

    def split(self, linear: Mapping[str, Coefficient]) -> Linear:
        """Return the end of a step whose inner times are unknown: the linear flow comes last."""
        return scale(self.decay(ONE), linear) if self.mode == "exact" else self.finish(linear)

    def euler(
        self, state: str, old: Mapping[str, Coefficient], driven: Mapping[str, Coefficient]
    ) -> Linear:
        """Return one damped Euler step of ``state`` from ``old`` along ``driven`` (times h)."""
        match self.mode:
            case "explicit":
                return add(old, scale(self.gain, driven), {state: -self.rate})
            case "exact":
                weight = phi(1, -self.rate) * self.gain
                return add(scale(self.decay(ONE), old), scale(weight, driven))
            case "implicit":
                return self.finish(add(old, scale(self.gain, driven)))
            case _:
                return add(old, driven)
