"""One step of the network, written through a builder: the only reader of statements in the backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import assert_never

import sympy

from schemegen.backends import modules
from schemegen.backends.builder import Builder, Construction, Mark, Number, Place, Ref
from schemegen.backends.coefficients import Value, scheduled, write
from schemegen.backends.combining import combine
from schemegen.backends.dropping import Dropped, dropped
from schemegen.backends.entering import enter, recall
from schemegen.backends.implicit import solve
from schemegen.backends.names import attribute, variable
from schemegen.backends.plan import Register, StepPlan, live, remembered, states_of, widths
from schemegen.backends.symbols import tensors
from schemegen.scheme.model import Constant, Param
from schemegen.scheme.network import NetworkSpec
from schemegen.step.program import (
    Combine,
    Evaluate,
    Field,
    Program,
    Solve,
    Statement,
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
    """Writes one step."""

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
        enter(self, states)
        registers = recall(self, history)
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
                self.values[statement.target] = combine(self, statement.target, statement.terms)
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
        draw = tensors(self, found.noise.symbol)[found.noise.symbol]
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
        return (*numbers, write(self.builder, time, tensors(self, time), "time"))

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

    def coefficient(self, coefficient: sympy.Expr) -> sympy.Expr:
        """Return a coefficient with all that is known at this step put in."""
        return coefficient.xreplace(self.known)


def earlier(register: Register) -> Register:
    return Register(register.of, register.lag - 1)
