"""One step of the network, written through a builder: the only reader of statements in the backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import assert_never

import sympy

from schemegen.backends import modules
from schemegen.backends.builder import Builder, Construction, Mark, Number, Place, Ref
from schemegen.backends.coefficients import Value, number, scheduled, write, write_value
from schemegen.backends.dropping import Dropped, dropped
from schemegen.backends.implicit import solve
from schemegen.backends.initial import raw_parameter
from schemegen.backends.names import attribute, variable
from schemegen.backends.plan import Register, StepPlan, live, remembered, states_of, widths
from schemegen.backends.powers import in_powers, power_symbol, powers_in
from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.exact import is_zero as vanishes
from schemegen.network.noise import NOISES
from schemegen.scheme.model import Constant, Noise, Param
from schemegen.scheme.network import NetworkSpec
from schemegen.step.program import (
    ONES,
    Combine,
    Evaluate,
    Field,
    Program,
    Solve,
    Statement,
    Term,
    walk,
)

__all__ = ["Network", "Step"]

H = sympy.Symbol("h")
SHARED = ("network", "smooth")  # weights of a drift that several steps have in common
POINTWISE = {
    "multiply": "*",
    "divide": "/",
    "power": "**",
    "add": "+",
    "subtract": "-",
    "softplus": "F.softplus",
    "relu": "torch.relu",
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "exp": "torch.exp",
    "log": "torch.log",
    "sqrt": "torch.sqrt",
    "sin": "torch.sin",
    "cos": "torch.cos",
    "max": "torch.maximum",
    "min": "torch.minimum",
    "std": "torch.std",
    "phi1": "phi1",
    "phi2": "phi2",
    "phi3": "phi3",
}


is_zero = lru_cache(maxsize=4096)(
    vanishes
)  # the steps of a network ask of the same few coefficients


@dataclass
class Network:
    """What the steps of one network have in common; ``shared`` numbers what several of them use.

    ``borders`` are the states and registers before, between and after the steps, once written.
    """

    program: Program
    spec: NetworkSpec
    overrides: Mapping[str, str]
    steps: tuple[StepPlan, ...]
    blocks: dict[tuple[object, ...], Place] = field(default_factory=dict)
    calls: dict[tuple[object, ...], list[tuple[int, int]]] = field(default_factory=dict)
    coefficients: dict[str, Param] = field(default_factory=dict)
    borders: list[tuple[dict[str, Ref], dict[Register, Ref]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for plan in self.steps:
            for key, calls in Step.evaluations(self, plan).items():
                known = self.calls.setdefault(key, [])
                known.extend((plan.position, call) for call in calls)

    @property
    def drops_paths(self) -> bool:
        """Whether a pass of the network draws for drop-path."""
        drifts = (item for item in self.program.fields if item.kind == "drift")
        return any(modules.drops_paths(item, self.spec, self.overrides) for item in drifts)

    def shared_block(self, key: tuple[object, ...], name: str) -> Place:
        if key not in self.blocks:
            used = {place.name for place in self.blocks.values()}
            name = f"shared_{name}"
            count = sum(other == name or other.startswith(f"{name}_") for other in used)
            self.blocks[key] = Place(name if not count else f"{name}_{count + 1}", shared=True)
        return self.blocks[key]


class Step:
    """Writes one step.

    A combination starts from a term whose coefficient is 1, states before slopes, so that under autocast
    the float32 state keeps the sum; known numbers become ``add(alpha=)``, tensors ``addcmul``.
    """

    def __init__(self, network: Network, plan: StepPlan, builder: Builder) -> None:
        self.network = network
        self.plan = plan
        self.builder = builder
        self.program = plan.program
        self.before = states_of(network.program, plan.before.width)
        self.after = states_of(network.program, plan.after.width)
        self.widths = widths(self.program, self.after)
        self.values: dict[str, Ref] = {}
        self.raw: dict[str, Ref] = {}
        self.activated: dict[tuple[Place, tuple[str, ...]], Ref] = {}
        self.slopes: set[str] = set()
        self.scaled: Ref = None
        self.symbols: dict[sympy.Symbol, Value] = {}
        self.reverse: dict[sympy.Symbol, Value] = {}
        self.known = self.numbers()
        self.dropped: Mapping[str, Dropped] = {}
        self.pending: dict[str, tuple[Ref, ...]] = {}

    # --- what is known before the first call ---------------------------------------------------------

    def numbers(self) -> dict[sympy.Symbol, sympy.Expr]:
        """Return the exact values of ``h``, fixed params and schedules at this step."""
        result: dict[sympy.Symbol, sympy.Expr] = {}
        for param in self.network.program.params:
            if not param.learnable and isinstance(param.init, Constant):
                result[param.symbol] = param.init.value
        for schedule in self.network.program.schedules:
            total = len(self.network.steps)
            result[schedule.symbol] = scheduled(schedule, self.plan.position, total)
        result[H] = self.network.program.step_size.xreplace(result)
        return result

    @staticmethod
    def evaluations(network: Network, plan: StepPlan) -> dict[tuple[object, ...], list[int]]:
        """Return the numbers of the evaluations of each set of weights in the step."""
        step = Step(network, plan, None)  # type: ignore[arg-type]
        calls: dict[tuple[object, ...], set[int]] = {}
        for item in walk(step.statements()):
            if isinstance(item, Evaluate):
                drift = step.program.field(item.field)
                if drift.kind == "drift":
                    calls.setdefault(step.key(drift, item), set()).add(item.call)
        return {key: sorted(found) for key, found in calls.items()}

    def statements(self) -> tuple[Statement, ...]:
        wanted = {f"{state.name}[n+1]" for state in self.network.program.states}
        wanted |= {of for of, _ in remembered(self.network.program)}
        return live(self.program.statements, wanted)

    def key(self, drift: Field, item: Evaluate) -> tuple[object, ...]:
        """Return what identifies the weights of an evaluation in the whole network."""
        widths_ = self.block_widths(item)
        step = None if drift.weights in SHARED else self.plan.position
        strided = self.plan.stride if self.strided(item) else 1
        return (drift.name, item.weights, step, widths_, strided)

    def strided(self, item: Evaluate) -> bool:
        states = {f"{state.name}[n]" for state in self.network.program.states}
        return self.plan.kind == "transition" and set(item.at) <= states

    def block_widths(self, item: Evaluate) -> tuple[int, int]:
        first = next(iter(self.after.values()))
        known = self.widths
        if self.strided(item):
            into = sum(self.before[value.removesuffix("[n]")] for value in item.at)
        else:
            into = sum(known.get(value, first) for value in item.at)
        return into, known.get(item.target, first)

    # --- the step -------------------------------------------------------------------------------------

    def write(
        self, states: Mapping[str, Ref], history: Mapping[Register, Ref]
    ) -> tuple[dict[str, Ref], dict[Register, Ref]]:
        """Write the step from the states and registers; return the new states and registers."""
        self.enter(states)
        registers = self.recall(history)
        statements = self.statements()
        memory = frozenset(of for of, _ in remembered(self.network.program))
        self.dropped = dropped(self.program, statements, memory)
        for statement in statements:
            self.statement(statement)
        fresh = {s.name: self.after_step(s.name) for s in self.network.program.states}
        given = {
            register: self.values[register.of]
            if register.lag == 1
            else registers[earlier(register)]
            for register in self.plan.gives
        }
        return fresh, given

    def after_step(self, name: str) -> Ref:
        """Return a new state, through the network's activation ``after``; auxiliary states have none."""
        value = self.values[f"{name}[n+1]"]
        after = self.network.spec.after
        if after is None or name in self.network.program.start.zero:
            return value
        self.builder.at(Mark(after.span, f"{name}[n+1]"))
        return self.builder.call(
            POINTWISE[after.name], (value,), variable(f"{name}[n+1]") + "_after"
        )

    def enter(self, states: Mapping[str, Ref]) -> None:
        """Set the states as combinations see them (projected) and as drifts see them."""
        zero = set(self.network.program.start.zero)
        several = len(self.before) - len(zero) > 1
        first: Ref = None
        for name, value in states.items():
            old = f"{name}[n]"
            self.raw[old] = self.values[old] = value
            if self.plan.reshapes and name not in zero and self.skips(old):
                self.mark(None, "projection")
                self.values[old] = self.project(name, value, several)
                first = self.values[old] if first is None else first
        for name in states:
            old = f"{name}[n]"
            if self.plan.reshapes and name in zero:
                self.values[old] = self.builder.call("torch.zeros_like", (first,), variable(old))
            if self.plan.project:
                self.raw[old] = self.values[old]

    def skips(self, old: str) -> bool:
        """Return whether the step reads a state besides evaluating drifts at it: else it needs no shortcut."""
        program = self.network.program
        kept = {of for of, _ in remembered(program)}
        if self.plan.project or program.start.zero or old in kept:
            return True
        if not all(scales_slopes(self.program, noise) for noise in self.program.noises):
            return True
        for statement in self.statements():
            rows = list(statement.guess) if isinstance(statement, Solve) else []
            rows += [item.terms for item in walk((statement,)) if isinstance(item, Combine)]
            if any(term.value in (old, ONES) for row in rows for term in row):
                return True
        return False

    def project(self, name: str, value: Ref, several: bool) -> Ref:
        """Write the shortcut of one state at a change of shape; its sum keeps the state's dtype."""
        place = Place(f"projection_{variable(name)}" if several else "projection")
        pair = (self.before[name], self.after[name])
        shared = self.shares() and not self.plan.project
        argument = self.preactivated(name, value) if shared else value
        return self.projected(place, pair, argument, value, own=not shared)

    def shares(self) -> bool:
        """Return whether scheme or network let a shortcut use the first BN-ReLU of the block beside it."""
        shortcut = self.network.spec.shortcut
        declared = shortcut is not None and shortcut.shared
        return declared or self.network.program.transition.bn == "shared"

    def projected(
        self, place: Place, pair: tuple[int, int], argument: Ref, like: Ref, own: bool = True
    ) -> Ref:
        size = self.plan.before.size
        construction = modules.shortcut(self.network.spec, pair, self.plan.stride, size, own)
        self.builder.declare_module(place, construction)
        value = self.builder.module(place, (argument,), f"{place.name}_raw")
        return self.builder.call("torch.Tensor.type_as", (value, like), place.name)

    def preactivated(self, name: str, value: Ref) -> Ref:
        """Write the first BN-ReLU of the block evaluated at this state, which the shortcut shares."""
        for item in walk(self.statements()):
            if isinstance(item, Evaluate) and item.at == (f"{name}[n]",):
                drift = self.program.field(item.field)
                known = modules.shares_preactivation(
                    drift, self.network.spec, self.network.overrides
                )
                single = self.calls(drift, self.key(drift, item)) == 1
                if known and single:
                    place = self.block(drift, item)
                    block = self.builder.attribute(place)
                    result = self.builder.call("preactivate", (block, value), "activated")
                    self.activated[place, item.at] = result
                    return result
        message = f"a shared BN-ReLU needs a block that starts with `bn, relu` at `{name}[n]`"
        shortcut, span = self.network.spec.shortcut, self.network.program.transition.span
        span = shortcut.span if shortcut is not None and shortcut.shared else span
        raise SchemeError([Diagnostic("E0605", message, span, "let the shortcut have its own")])

    def recall(self, history: Mapping[Register, Ref]) -> dict[Register, Ref]:
        """Set the inputs of earlier steps; at a change of shape each has its own projection."""
        registers = {register: history[register] for register in self.plan.takes}
        rule = self.network.program.transition.history
        old_states = {f"{state.name}[n]": state.name for state in self.network.program.states}
        if self.plan.reshapes:
            for register, value in registers.items():
                if rule == "project" and register.of in old_states:
                    registers[register] = self.values[register.of]
                    continue
                self.mark(None, "projection")
                place = Place(f"projection_{variable(register.of)}_{register.lag}")
                before = widths(self.network.program, self.before)
                after = widths(self.network.program, self.after)
                pair = (before[register.of], after[register.of])
                registers[register] = self.projected(place, pair, value, value)
        for item in self.network.program.inputs:
            register = Register(item.of, item.lag)
            if register in registers:
                self.values[item.name] = registers[register]
        return registers

    def value(self, name: str) -> Ref:
        """Return a value; history that is missing under ``start: copy`` is the current one."""
        if name not in self.values and self.plan.kind == "copy":
            for item in self.program.inputs:
                if item.name == name:
                    return self.values[item.of]
        return self.values[name]

    def mark(self, statement: Statement | None, value: str) -> None:
        span = (
            statement.origin.span if statement is not None else self.network.program.transition.span
        )
        if span is None and statement is None:
            span = self.network.spec.stages[self.plan.stage - 1].span
        self.builder.at(Mark(span, value))

    # --- statements -----------------------------------------------------------------------------------

    def statement(self, statement: Statement) -> None:
        match statement:
            case Combine():
                self.mark(statement, statement.target)
                self.values[statement.target] = self.combine(statement.target, statement.terms)
            case Evaluate():
                self.mark(statement, statement.target)
                self.values[statement.target] = self.evaluate(statement)
                self.slopes.add(statement.target)
            case Solve():
                self.mark(statement, statement.targets[0])
                solve(self, statement)
            case _:
                assert_never(statement)

    def evaluate(self, item: Evaluate) -> Ref:
        drift = self.program.field(item.field)
        name = variable(item.target)
        if drift.kind != "drift":
            return self.builder.call(
                POINTWISE[drift.function], tuple(self.value(value) for value in item.at), name
            )
        place = self.block(drift, item)
        source = self.raw if self.strided(item) else self.values
        arguments = [source[value] if value in source else self.value(value) for value in item.at]
        at = arguments[0]
        if len(arguments) > 1:
            at = self.builder.call("torch.cat", (arguments, Number(1)), f"{name}_at")
        if (place, item.at) in self.activated:
            block, known = self.builder.attribute(place), self.activated[place, item.at]
            return self.builder.call("transform", (block, known), name)
        found = self.dropped.get(item.target)
        into, out = self.block_widths(item)
        if found is not None and into == out and not (self.strided(item) and self.plan.stride > 1):
            return self.kept(item, found, (self.builder.attribute(place), at), name)
        return self.builder.module(place, (at, *self.told(drift, item)), name)

    def kept(self, item: Evaluate, found: Dropped, called: tuple[Ref, Ref], name: str) -> Ref:
        """Write the evaluation of a slope where a draw keeps it: in its combination if there is one."""
        draw = self.tensors(found.noise.symbol)[found.noise.symbol]
        drift = self.program.field(item.field)
        self.pending[item.target] = (*called, draw, *self.told(drift, item))
        if found.once:
            return None
        zero = self.builder.call("torch.zeros_like", (called[1],), f"{name}_zero")
        return self.add_kept(zero, draw, item.target, name)

    def add_kept(self, total: Ref, factor: Ref, value: str, name: str) -> Ref:
        """Write ``total + factor * slope``, with the slope's evaluation where it is kept."""
        block, at, draw, *call = self.pending.pop(value)
        place = Place(f"kept_{variable(value)}")
        self.builder.declare_module(place, Construction("Kept"))
        return self.builder.module(place, (block, at, draw, total, factor, *call), name)

    def told(self, drift: Field, item: Evaluate) -> tuple[Value, ...]:
        """Return what a block takes besides its input: depth, which evaluation it is, drop-path, and the time."""
        numbers: tuple[Value, ...] = self.call_number(drift, item)
        steps = self.sharing(self.key(drift, item))
        if drift.knots and len(steps) > 1:
            depth = Fraction(steps.index(self.plan.position), len(steps) - 1)
            numbers = (Number(depth, "depth"), *numbers)
        if modules.drops_paths(drift, self.network.spec, self.network.overrides):
            numbers = (*numbers, self.builder.path_draw())
        if not drift.timed:
            return numbers
        time = self.coefficient((self.plan.position + item.time) * H)
        return (*numbers, write(self.builder, time, self.tensors(time), "time"))

    def sharing(self, key: tuple[object, ...]) -> list[int]:
        """Return the positions of the steps that use a set of weights."""
        return sorted({position for position, _ in self.network.calls[key]})

    def call_number(self, drift: Field, item: Evaluate) -> tuple[Number, ...]:
        """Return which statistics an evaluation uses, nothing where its block has one set."""
        key = self.key(drift, item)
        if self.calls(drift, key) == 1:
            return ()
        index = self.network.calls[key].index((self.plan.position, item.call))
        return (Number(index, "call"),)

    def calls(self, drift: Field, key: tuple[object, ...]) -> int:
        normalised = modules.normalised(drift, self.network.spec, self.network.overrides)
        return len(self.network.calls[key]) if normalised and drift.norm_stats == "stage" else 1

    def block(self, drift: Field, item: Evaluate) -> Place:
        """Declare the block of an evaluation and return its place."""
        key = self.key(drift, item)
        pair = self.block_widths(item)
        sets = {
            other.weights
            for other in walk(self.statements())
            if isinstance(other, Evaluate) and other.field == drift.name
        }
        name = attribute(drift.name)
        name = name if len(sets) == 1 else f"{name}_{item.weights + 1}"
        place = Place(name)
        if drift.weights in SHARED:
            place = self.network.shared_block(key, name)
        stride = self.plan.stride if self.strided(item) else 1
        spec, overrides = self.network.spec, self.network.overrides
        calls, size = self.calls(drift, key), self.plan.after.size
        inner = next((n for n in self.network.program.noises if n.name == drift.inner), None)
        construction = modules.block(
            drift, spec, overrides, pair, stride, size, calls, self.known, inner
        )
        knots = min(drift.knots, len(self.sharing(key)))
        if knots > 1:
            construction = Construction("Smooth", children=(construction,) * knots)
        self.builder.declare_module(place, construction)
        return place

    # --- combinations ---------------------------------------------------------------------------------

    def combine(self, target: str, terms: tuple[Term, ...]) -> Ref:
        """Write ``sum_i c_i v_i``, starting from a state that needs no multiplication."""
        name = variable(target)
        all_parts = [(term.value, self.coefficient(term.coefficient)) for term in terms]
        parts = [part for part in all_parts if not is_zero(part[1])]
        if not parts:
            like = self.values[f"{self.network.program.states[0].name}[n]"]
            return self.builder.call("torch.zeros_like", (like,), name)
        parts.sort(key=lambda part: (part[0] == ONES, part[0] in self.slopes, part[1] != 1))
        total: Ref = None
        for count, (value, coefficient) in enumerate(parts):
            label = name if count == len(parts) - 1 else f"{name}_part{count}"
            total = self.add(total, coefficient, value, label)
        return total

    def coefficient(self, coefficient: sympy.Expr) -> sympy.Expr:
        """Return a coefficient with all that is known at this step put in."""
        return coefficient.xreplace(self.known)

    def add(self, total: Ref | None, coefficient: sympy.Expr, value: str, name: str) -> Ref:
        """Write ``total + coefficient * value``; ``total`` None is zero."""
        coefficient = in_powers(coefficient, self.program.noises)
        if value == ONES:
            return self.add_constant(total, coefficient, name)
        if value in self.pending:
            factor = write(self.builder, coefficient, self.tensors(coefficient), f"{name}_c")
            if total is None:
                total = self.builder.call(
                    "torch.zeros_like", (self.pending[value][1],), f"{name}_zero"
                )
            return self.add_kept(total, factor, value, name)
        tensor = self.value(value)
        if coefficient.free_symbols:
            return self.add_scaled(total, coefficient, tensor, name)
        factor = number(coefficient)
        if total is None:
            if factor == 1:
                return tensor
            if factor == -1:
                return self.builder.call("neg", (tensor,), name)
            return self.builder.call("*", (tensor, Number(factor)), name)
        if factor == 1:
            return self.builder.call("torch.add", (total, tensor), name)
        if factor == -1:
            return self.builder.call("torch.sub", (total, tensor), name)
        return self.builder.call("torch.add", (total, tensor), name, {"alpha": Number(factor)})

    def add_scaled(self, total: Ref | None, coefficient: sympy.Expr, tensor: Ref, name: str) -> Ref:
        """Write a term whose coefficient is a tensor, with its own backward draw where declared."""
        self.scaled = tensor
        factor = write(self.builder, coefficient, self.tensors(coefficient), f"{name}_c")
        noises = [
            n
            for n in self.program.noises
            if n.symbol in coefficient.free_symbols or any(powers_in(coefficient, n))
        ]
        if any(noise.backward != "same" for noise in noises):
            symbols = {**self.tensors(coefficient), **self.reverse}
            back = write(self.builder, coefficient, symbols, f"{name}_back")
            scaled = self.builder.call("rescale", (tensor, factor, back), f"{name}_scaled")
            return (
                scaled if total is None else self.builder.call("torch.add", (total, scaled), name)
            )
        if total is None:
            return self.builder.call("*", (tensor, factor), name)
        return self.builder.call("torch.addcmul", (total, tensor, factor), name)

    def add_constant(self, total: Ref | None, coefficient: sympy.Expr, name: str) -> Ref:
        """Write ``total + coefficient`` for a number, a noise or a param of its own."""
        factor = write(self.builder, coefficient, self.tensors(coefficient), f"{name}_c")
        if total is None:
            like = self.values[f"{self.network.program.states[0].name}[n]"]
            total = self.builder.call("torch.zeros_like", (like,), f"{name}_zero")
        return self.builder.call("+", (total, factor), name)

    # --- coefficients that are tensors ----------------------------------------------------------------

    def tensors(self, coefficient: sympy.Expr) -> dict[sympy.Symbol, Value]:
        """Write the params and noises of a coefficient where this step meets them first."""
        for param in self.network.program.params:
            if param.symbol in coefficient.free_symbols and param.symbol not in self.symbols:
                self.symbols[param.symbol] = self.param(param)
        for noise in self.program.noises:
            powers = tuple(powers_in(coefficient, noise))
            used = powers or noise.symbol in coefficient.free_symbols
            if used and noise.symbol not in self.symbols:
                self.symbols[noise.symbol] = self.noise(noise, "")
                if noise.backward != "same":
                    self.reverse[noise.symbol] = self.noise(noise, "_back")
            for power in powers:
                symbol = power_symbol(noise, power)
                if symbol not in self.symbols:
                    self.symbols[symbol] = self.power(noise, power, self.symbols, "")
                    if noise.backward != "same":
                        self.reverse[symbol] = self.power(noise, power, self.reverse, "_back")
        return self.symbols

    def param(self, param: Param) -> Value:
        name = attribute(param.name)
        first = next(iter(self.after.values()))
        size = tuple(self.plan.after.size)
        shape: tuple[int, ...] = ()
        if param.shape == "channel":
            shape = (first, *(1 for _ in size))
        elif param.shape == "full":
            shape = (first, *size)
        shared = param.per != "step"
        if shared:
            name = f"shared_{name}"
            if param.per == "stage":
                name = f"{name}_stage{self.plan.stage}"
            elif shape:
                name = "_".join([name, *(str(extent) for extent in shape)])
        place = Place(name, shared)
        self.builder.declare_parameter(place, raw_parameter(param, shape))
        owner = name if shared else f"stage{self.plan.stage}.{self.plan.index}.{name}"
        self.network.coefficients[owner] = param
        return write_value(self.builder, param, self.builder.attribute(place), variable(param.name))

    def noise(self, noise: Noise, suffix: str) -> Value:
        """Write one draw, shaped like the state, or like the slope where a change of shape has no shortcut."""
        place = Place(attribute(noise.name) + suffix)
        self.builder.declare_module(place, module_of(noise, suffix))
        state = f"{self.network.program.states[0].name}[n]"
        bare = (
            self.plan.reshapes and self.values[state] is self.raw[state] and not self.plan.project
        )
        like = self.scaled if bare else self.values[state]
        arguments = (like, *self.arguments(noise))
        return self.builder.module(place, arguments, variable(noise.name) + suffix)

    def power(
        self, noise: Noise, power: int, draws: Mapping[sympy.Symbol, Value], suffix: str
    ) -> Value:
        """Write a power of a draw, in evaluation its mean."""
        name = f"{noise.name}_{power}"
        place = Place(f"{attribute(noise.name)}_power{power}{suffix}")
        inner = module_of(noise, suffix)
        self.builder.declare_module(place, Construction("Power", (power,), (inner,)))
        arguments = (draws[noise.symbol], *self.arguments(noise))
        return self.builder.module(place, arguments, variable(name) + suffix)

    def arguments(self, noise: Noise) -> tuple[Value, ...]:
        """Write what the draws of a noise depend on; learnable arguments are tensors."""
        values = []
        for argument in noise.parameters:
            known = self.coefficient(argument)
            values.append(write(self.builder, known, self.tensors(known), f"{noise.name}_p"))
        return tuple(values)


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


def module_of(noise: Noise, suffix: str) -> Construction:
    """Return the module that draws a noise, or what stands for it on the way back."""
    options = (noise.scope, noise.active, noise.evaluation)
    if suffix and noise.backward == "mean":
        options = (noise.scope, "never", "mean")
    return Construction(NOISES[noise.kind].__name__, options)


def earlier(register: Register) -> Register:
    return Register(register.of, register.lag - 1)
