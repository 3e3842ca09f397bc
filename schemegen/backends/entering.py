"""What a step starts from: its states, projected where the shape changes, and the registers of earlier steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemegen.backends import modules
from schemegen.backends.builder import Place, Ref
from schemegen.backends.names import variable
from schemegen.backends.plan import Register, remembered, widths
from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.scheme.model import Noise
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, walk

if TYPE_CHECKING:
    from schemegen.backends.steps import Step

__all__ = ["enter", "recall"]


def enter(step: Step, states: Mapping[str, Ref]) -> None:
    """Set the states as combinations see them (projected) and as drifts see them."""
    zero = set(step.network.program.start.zero)
    several = len(step.before) - len(zero) > 1
    first: Ref = None
    for name, value in states.items():
        old = f"{name}[n]"
        step.raw[old] = step.values[old] = value
        if step.plan.reshapes and name not in zero and skips(step, old):
            step.mark(None, "projection")
            step.values[old] = project(step, name, value, several)
            first = step.values[old] if first is None else first
    for name in states:
        old = f"{name}[n]"
        if step.plan.reshapes and name in zero:
            step.values[old] = step.builder.call("torch.zeros_like", (first,), variable(old))
        if step.plan.project:
            step.raw[old] = step.values[old]


def skips(step: Step, old: str) -> bool:
    """Return whether the step reads a state besides evaluating drifts at it: else it needs no shortcut."""
    program = step.network.program
    kept = {of for of, _ in remembered(program)}
    if step.plan.project or program.start.zero or old in kept:
        return True
    if not all(scales_slopes(step.program, noise) for noise in step.program.noises):
        return True
    for statement in step.statements():
        rows = list(statement.guess) if isinstance(statement, Solve) else []
        rows += [item.terms for item in walk((statement,)) if isinstance(item, Combine)]
        if any(term.value in (old, ONES) for row in rows for term in row):
            return True
    return False


def project(step: Step, name: str, value: Ref, several: bool) -> Ref:
    """Write the shortcut of one state at a change of shape; its sum keeps the state's dtype."""
    place = Place(f"projection_{variable(name)}" if several else "projection")
    pair = (step.before[name], step.after[name])
    shared = shares(step) and not step.plan.project
    argument = preactivated(step, name, value) if shared else value
    return projected(step, place, pair, argument, value, own=not shared)


def shares(step: Step) -> bool:
    """Return whether scheme or network let a shortcut use the first BN-ReLU of the block beside it."""
    shortcut = step.network.spec.shortcut
    declared = shortcut is not None and shortcut.shared
    return declared or step.network.program.transition.bn == "shared"


def projected(
    step: Step, place: Place, pair: tuple[int, int], argument: Ref, like: Ref, own: bool = True
) -> Ref:
    size = step.plan.before.size
    construction = modules.shortcut(step.network.spec, pair, step.plan.stride, size, own)
    step.builder.declare_module(place, construction)
    value = step.builder.module(place, (argument,), f"{place.name}_raw")
    return step.builder.call("torch.Tensor.type_as", (value, like), place.name)


def preactivated(step: Step, name: str, value: Ref) -> Ref:
    """Write the first BN-ReLU of the block evaluated at this state, which the shortcut shares."""
    for item in walk(step.statements()):
        if isinstance(item, Evaluate) and item.at == (f"{name}[n]",):
            drift = step.program.field(item.field)
            known = modules.shares_preactivation(drift, step.network.spec, step.network.overrides)
            single = step.calls(drift, step.key(drift, item)) == 1
            if known and single:
                place = step.block(drift, item)
                block = step.builder.attribute(place)
                result = step.builder.call("preactivate", (block, value), "activated")
                step.activated[place, item.at] = result
                return result
    message = f"a shared BN-ReLU needs a block that starts with `bn, relu` at `{name}[n]`"
    shortcut, span = step.network.spec.shortcut, step.network.program.transition.span
    span = shortcut.span if shortcut is not None and shortcut.shared else span
    raise SchemeError([Diagnostic("E0605", message, span, "let the shortcut have its own")])


def recall(step: Step, history: Mapping[Register, Ref]) -> dict[Register, Ref]:
    """Set the inputs of earlier steps; at a change of shape each has its own projection."""
    registers = {register: history[register] for register in step.plan.takes}
    rule = step.network.program.transition.history
    old_states = {f"{state.name}[n]": state.name for state in step.network.program.states}
    if step.plan.reshapes:
        for register, value in registers.items():
            if rule == "project" and register.of in old_states:
                registers[register] = step.values[register.of]
                continue
            step.mark(None, "projection")
            place = Place(f"projection_{variable(register.of)}_{register.lag}")
            before = widths(step.network.program, step.before)
            after = widths(step.network.program, step.after)
            pair = (before[register.of], after[register.of])
            registers[register] = projected(step, place, pair, value, value)
    for item in step.network.program.inputs:
        register = Register(item.of, item.lag)
        if register in registers:
            step.values[item.name] = registers[register]
    return registers


def scales_slopes(program: Program, noise: Noise) -> bool:
    """Return whether a noise by element or channel only multiplies slopes, whose shape its draws may then have."""
    statements = program.statements
    if noise.scope not in ("element", "channel") or any(isinstance(s, Solve) for s in statements):
        return False
    drifts = {item.name for item in program.fields if item.kind == "drift"}
    slopes = {s.target for s in statements if isinstance(s, Evaluate) and s.field in drifts}
    return all(
        term.value in slopes
        for statement in statements
        if isinstance(statement, Combine)
        for term in statement.terms
        if noise.symbol in term.coefficient.free_symbols
    )
