"""What the series of a step program says: order, errors and modified equation in one frozen
object."""

from __future__ import annotations

from dataclasses import dataclass

from schemegen.analysis.model import (
    Exact,
    ModifiedEquation,
    Note,
    OrderCondition,
    SpecialOrder,
    TreeTerm,
)

__all__ = ["Expansion", "Failure"]


@dataclass(frozen=True, slots=True)
class Failure:
    """The first order condition that fails: ``weight`` is what the tree has, ``needed`` what it
    needs."""

    state: str
    tree: str
    nodes: int
    weight: Exact
    needed: Exact


@dataclass(frozen=True, slots=True)
class Conserved:
    """The powers of h to which a step is symplectic and keeps the energy; None: to all up to ``nodes``."""

    nodes: int
    symplectic_to: int | None
    energy_preserving_to: int | None


@dataclass(frozen=True, slots=True)
class Expansion:
    """A step program as a series in trees of up to ``nodes`` nodes.

    ``small_step_limit`` is False where a state does not tend to its old value as h tends to 0 and
    is no auxiliary state either (W0409), or where the limit is no first-order equation.
    ``is_series`` is False where a value has no B-series at all (a pointwise function, a drift far
    from every state). In both cases everything that depends on it is None and ``notes`` says why.

    ``principal`` are the states that obey the modified equation, ``auxiliary`` those that follow
    them (the velocity of momentum). ``limit`` holds, per principal state, ``(field, coefficient)``
    of the equation at h = 0. ``consistent`` is True, or the rescaled equation, or False. Orders are
    for the equation at h = 0; ``order`` is None where no condition fails up to ``order_at_least``
    nodes or nothing is decided. ``order_conditions`` and ``principal_error`` are relative to the
    rescaled fields. ``solver_order`` is the order left by the declared number of fixed-point
    sweeps, None where there is no such solver. ``scaled`` names the params taken as ``h`` times a
    constant (a damping rate). ``noise_replaced`` says that noises were set to their values in
    evaluation mode. ``modifying_equation`` is the field that, fed to the scheme, makes it exact.
    ``conservation`` is None where the fields have no Hamiltonian shape. ``open`` are the keys of the report that
    an unfinished expansion does not answer yet.
    """

    nodes: int
    principal: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    small_step_limit: bool = True
    is_series: bool = True
    limit: tuple[tuple[str, tuple[tuple[str, Exact], ...]], ...] = ()
    consistent: bool | str | None = None
    order: int | None = None
    order_at_least: int = 0
    stage_order: int | None = None
    stage_orders: tuple[tuple[str, int], ...] = ()
    embedded_order: int | None = None
    embedded_failure: Failure | None = None
    solver_order: int | None = None
    order_special: tuple[SpecialOrder, ...] = ()
    order_conditions: tuple[OrderCondition, ...] = ()
    failure: Failure | None = None
    principal_error: tuple[TreeTerm, ...] = ()
    principal_error_norm: tuple[Exact, float] | None = None
    error_constant: Exact | None = None
    modified_equation: ModifiedEquation | None = None
    modifying_equation: tuple[tuple[str, tuple[TreeTerm, ...]], ...] | None = None
    conservation: Conserved | None = None
    scaled: tuple[str, ...] = ()
    noise_replaced: bool = False
    notes: tuple[Note, ...] = ()
    open: tuple[str, ...] = ()
