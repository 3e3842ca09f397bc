"""Linear multistep updates as equations::

    alpha_0 u[n+1] = sum_f sum_j h beta_fj f(u[n+1-j]) - sum_(j>0) alpha_j u[n+1-j]

Slopes at earlier states are kept, not evaluated again. Under exact damping a value of ``j`` steps before
``n+1`` carries the integrating factor ``exp(-j*rate)``. Source: Hairer, Norsett, Wanner (1993), III.2.
"""

from __future__ import annotations

from schemegen.exact import is_zero
from schemegen.scheme.model import Multistep
from schemegen.step.builder import Builder, Linear, add, after, now, number, scale, shifted
from schemegen.step.damping import Damped
from schemegen.step.program import H, Origin

__all__ = ["write_multistep"]


def write_multistep(builder: Builder, update: Multistep, damped: Damped) -> None:
    """Write the kept slopes and the update; ``u[n+1]`` is on the right where a beta_0 is not 0."""
    state = update.state
    columns = range(len(update.alpha))
    values = [after(state), now(state), *(builder.past(state, j - 1) for j in columns[2:])]
    decays = [damped.decay(number(j)) for j in columns]
    origin = Origin(update.span, after(state))
    total: Linear = {values[j]: -update.alpha[j] * decays[j] for j in columns[1:]}
    for order, (field, weights) in enumerate(update.beta):
        for j in columns:
            if not is_zero(weights[j]):
                slope = _slope(builder, field, values[j], j, origin)
                driven = damped.field(slope, values[j], lead=order == 0)
                total = add(total, scale(H * weights[j] * decays[j], driven))
    builder.combine(after(state), scale(1 / update.alpha[0], damped.finish(total)), origin)


def _slope(builder: Builder, field: str, value: str, column: int, origin: Origin) -> str:
    """Return the slope of ``field`` at ``value``: kept if that value is of an earlier step."""
    at = (value,) * len(builder.drifts[field].arguments)
    if column >= 2:
        present = tuple(shifted(item, column - 1) for item in at)
        return builder.remember(field, present, column - 1, origin)
    name = f"{field}({', '.join(at)})"
    here, time = Origin(origin.span, name), number(1 - column)
    return builder.evaluate(field, at, here, name=name, stage=1 - column, time=time)
