"""What a generated network must compute, from the interpreter and the network's own blocks alone."""

from __future__ import annotations

import sympy
import torch
from torch import Tensor, fx, nn

from schemegen.diagnostics import Source, Span
from schemegen.language import nodes, parse
from schemegen.scheme.model import Constant, Drift, Equations, MapDefinition, Scheme, State
from schemegen.scheme.network import Block, Layer, NetworkSpec, Stage
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.evaluation import at_means
from schemegen.step.interpret import run
from schemegen.step.program import Program
from schemegen.step.shortened import shortened

VERLET = """scheme verlet {
  state x, v
  drift f(x): block branch, weights network
  step {
    w = v[n] + 1/2*h*f(x[n])
    x[n+1] = x[n] + h*w
    v[n+1] = w + 1/2*h*f(x[n+1])
  }
  start: v zero
}"""
SOURCE = Source("case.scheme", "\n" * 40)
SPAN = Span(SOURCE, 0, 1)


def layers(*texts: str) -> tuple[Layer, ...]:
    """``conv(3)``, ``bn`` as layers."""
    found = []
    for text in texts:
        name, _, arguments = text.rstrip(")").partition("(")
        found.append(Layer(name, tuple(arguments.split(",")) if arguments else (), SPAN))
    return tuple(found)


def network(
    *stages: tuple[int, int, int],
    shape: tuple[int, ...] = (1, 4, 4),
    stem: int = 4,
    blocks: tuple[Block, ...] = (),
    classes: int = 3,
    head: tuple[str, ...] = ("bn", "relu", "avgpool", "linear"),
) -> NetworkSpec:
    """A tiny network of stages (width, steps, stride)."""
    return NetworkSpec(
        "tiny",
        "",
        SOURCE,
        SPAN,
        shape,
        classes,
        blocks,
        layers("conv(3)" if len(shape) == 3 else "linear"),
        stem,
        tuple(Stage(width, steps, stride, SPAN) for width, steps, stride in stages),
        layers(*(head if len(shape) == 3 else ("linear",))),
    )


def equations(text: str, **fields: object) -> Scheme:
    """A scheme whose step is written as equations; states and drifts are ``u`` and ``f(u)`` unless given."""
    source = Source("case.scheme", "scheme case {\n" + text + "\n}\n")
    parsed = parse(source)
    assert not parsed.diagnostics, parsed.diagnostics
    (item,) = parsed.file.items
    assert isinstance(item, nodes.SchemeNode)
    steps = [part for part in item.statements if isinstance(part, nodes.StepBlock)]
    maps = tuple(
        MapDefinition(part.name.id, tuple(a.id for a in part.arguments), part.body, part.span)
        for part in item.statements
        if isinstance(part, nodes.MapDefinition)
    )
    update = Equations(steps[0].assignments, maps, steps[0].span)
    given = {
        "states": (State("u", SPAN),),
        "drifts": (Drift("f", ("u",), SPAN),),
        **fields,
    }
    return Scheme("case", "", source, item.span, update=update, **given)  # type: ignore[arg-type]


def program(text: str, **fields: object) -> Program:
    return lower(equations(text, **fields))


def randomise(module: nn.Module, seed: int = 1) -> None:
    """Give every normalisation other statistics and affine maps, equal for all evaluations of a block.

    Convolutions are made small enough for implicit stages to have one solution.
    """
    with torch.no_grad():
        for name, item in module.named_parameters():
            if item.dim() == 4 and name.startswith("stage"):
                item.mul_(0.3)
    generator = torch.Generator().manual_seed(seed)
    for item in module.modules():
        if (
            isinstance(item, nn.BatchNorm1d | nn.BatchNorm2d)
            or type(item).__name__ == "StageBatchNorm"
        ):
            width = item.weight.numel()
            mean, variance, weight, bias = (
                torch.rand(width, generator=generator) for _ in range(4)
            )
            owners = getattr(item, "statistics", [item])
            for owner in owners:
                owner.running_mean.copy_(mean - 0.5)
                owner.running_var.copy_(variance + 0.5)
            with torch.no_grad():
                item.weight.copy_(weight + 0.5)
                item.bias.copy_(bias - 0.5)


class Recorder(fx.Interpreter):
    """Runs a graph and keeps the value of every node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)

    def record(self, x: Tensor) -> dict[str, Tensor]:
        self.run(x)
        return {node.name: value for node, value in self.env.items()}


class Walk:
    """Follows the program over the stages of a network, with the network's blocks as its fields."""

    def __init__(self, prog: Program, spec: NetworkSpec, module: fx.GraphModule) -> None:
        self.program = prog
        self.spec = spec
        self.module = module
        self.total = sum(stage.steps for stage in spec.stages)

    def part(self, stage: int, index: int, name: str) -> nn.Module | Tensor | None:
        path = f"stage{stage}.{index}.{name}"
        found: object = self.module
        for piece in path.split("."):
            found = getattr(found, piece, None)
        return found  # type: ignore[return-value]

    def fields(self, stage: int, index: int, prog: Program) -> dict[str, list[object]]:
        """One function for each set of weights; shared blocks are found by their only candidate."""
        result: dict[str, list[object]] = {}
        for item in prog.fields:
            if item.kind != "drift":
                continue
            sets = []
            for number in range(64):
                block = self.part(stage, index, f"{item.name}_{number + 1}")
                sets.append(block)
            single = self.part(stage, index, item.name) or self.shared(stage, index, item.name)
            result[item.name] = [self.function(single if b is None else b) for b in sets]
        return result

    def shared(self, stage: int, index: int, name: str) -> object:
        """The block of ``weights network`` that a step calls; at its depth, of ``weights smooth``."""
        for node in self.module.graph.nodes:
            place = node.meta.get("custom", {})
            called = node.op == "call_module" and str(node.target).startswith(f"shared_{name}")
            if called and (place["stage"], place["step"]) == (stage, index):
                block, told = self.module.get_submodule(str(node.target)), node.args[1:]
                if type(block).__name__ != "Smooth":
                    return block
                return lambda *at, block=block, told=told: block(torch.cat(at, 1), *told)
        return None

    def function(self, block: object) -> object:
        if not isinstance(block, nn.Module):
            return block

        def call(*arguments: Tensor) -> Tensor:
            if not isinstance(arguments[-1], Tensor):
                return block(torch.cat(arguments[:-1], 1), arguments[-1])  # type: ignore[operator, no-any-return]
            x = torch.cat(arguments, 1)
            counted = any(type(m).__name__ == "StageBatchNorm" for m in block.modules())  # type: ignore[attr-defined]
            return block(x, 0) if counted else block(x)  # type: ignore[operator, no-any-return]

        return call

    def arithmetic(self, stage: int, index: int, position: int) -> Arithmetic:
        functions = {**functions_of(torch), "relu": torch.relu}
        functions["sqrt"] = lambda z: z**0.5
        functions["phi1"] = lambda z: torch.expm1(z) / z
        number = lambda expression: float(expression.evalf(30))  # noqa: E731
        symbols: dict[str, object] = {}
        arithmetic = Arithmetic(number, symbols, functions)
        for param in self.program.params:
            raw = self.part(stage, index, param.name)
            if raw is None:
                raw = getattr(self.module, f"shared_{param.name}", None)
            if raw is None and isinstance(param.init, Constant):
                symbols[param.name] = number(param.init.value)
            elif raw is not None:
                symbols["raw"] = raw
                symbols[param.name] = (
                    raw if param.via is None else arithmetic.coefficient(param.via)
                )
        for schedule in self.program.schedules:
            values = schedule.values
            at = position + 1 if schedule.first_drop else position
            last = self.total if schedule.first_drop else self.total - 1
            if schedule.kind == "list":
                value = values[at]
            elif schedule.kind == "cosine":
                value = (
                    values[1] + (values[0] - values[1]) * (1 + sympy.cos(sympy.pi * at / last)) / 2
                )
            else:
                value = values[0] + (values[1] - values[0]) * sympy.Rational(at, max(last, 1))
            symbols[schedule.name] = number(value)
        symbols["h"] = arithmetic.coefficient(sympy.S(self.program.step_size))
        symbols["t"] = position * symbols["h"]
        return arithmetic

    def follow(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the states after the last stage."""
        past: list[dict[str, Tensor]] = []
        width, position, prog = self.spec.stem_width, 0, self.program
        for number, stage in enumerate(self.spec.stages, start=1):
            for index in range(stage.steps):
                change = index == 0 and (stage.stride != 1 or stage.width != width)
                width = stage.width
                chosen = prog
                values = {f"{name}[n]": value for name, value in states.items()}
                fields = self.fields(number, index, prog)
                if change and prog.transition.scheme == "on":
                    values = self.projected(states, number, index)
                    assert prog.transition.history in (None, "reset")
                    past, change = [], False
                own = prog.transition.scheme == "strided" and len(past) >= prog.history
                if change and own:
                    assert prog.transition.history == "each"
                    past = self.carried(past, number, index, prog.history)
                if change:
                    chosen = prog if own else prog.starter or prog
                    fields = self.strided(states, number, index, chosen)
                    values = self.projected(states, number, index)
                elif position == 0 and prog.opening is not None:
                    chosen = prog.opening
                elif len(past) < prog.history and prog.start.method == "partial":
                    chosen = shortened(prog, len(past))
                elif len(past) < prog.history:
                    chosen = prog.first or prog.starter or prog
                if not change and len(past) < prog.history and prog.start.method == "copy":
                    chosen = prog
                    held = self.step(prog.starter, values, fields, number, index, position, [])
                    past = [held] * prog.history
                if not change:
                    fields = self.fields(number, index, chosen)
                result = self.step(chosen, values, fields, number, index, position, past)
                if change and prog.transition.history == "each" and not own:
                    past = [result, *self.carried(past, number, index)][: prog.history]
                elif change and not own and prog.transition.history == "project":
                    past = [result] * prog.history
                elif change and not own:
                    past = [result][: prog.history]
                else:
                    past = [result, *past][: prog.history]
                states = {name: self.after(name, result[f"{name}[n+1]"]) for name in states}
                position += 1
        return states

    def after(self, name: str, value: Tensor) -> Tensor:
        """Cut off what is negative where the network says ``after: relu``."""
        kept = self.spec.after is None or name in self.program.start.zero
        return value if kept else value.clamp(min=0)

    def step(self, prog, values, fields, number, index, position, past):  # type: ignore[no-untyped-def]
        arithmetic = self.arithmetic(number, index, position)
        inputs = {item.name: past[item.lag - 1][item.of] for item in prog.inputs}
        return run(prog, {**values, **inputs}, fields, arithmetic)

    def projected(self, states: dict[str, Tensor], number: int, index: int) -> dict[str, Tensor]:
        zero = self.program.start.zero
        several = len(states) - len(zero) > 1
        values = {}
        for name, value in states.items():
            if name not in zero:
                place = f"projection_{name}" if several else "projection"
                shortcut = self.part(number, index, place)
                into = value
                if self.program.transition.bn == "shared":
                    drift = next(item.name for item in self.program.fields if name in item.states)
                    into = self.part(number, index, drift).preactivate(value)  # type: ignore[union-attr, operator]
                # A step that reads the state through its drifts alone has none.
                values[f"{name}[n]"] = value if shortcut is None else shortcut(into)  # type: ignore[operator]
        first = next(iter(values.values()))
        return {f"{name}[n]": values.get(f"{name}[n]", torch.zeros_like(first)) for name in states}

    def carried(self, past, number, index, count=None):  # type: ignore[no-untyped-def]
        """Each remembered state that a later step reads through a projection of its own (``history each``)."""
        return [
            {
                of: self.part(number, index, f"projection_{of.partition('[')[0]}_{lag}")(held[of])
                for of in {item.of for item in self.program.inputs}
            }
            for lag, held in enumerate(past[: count or self.program.history - 1], start=1)
        ]

    def strided(self, states, number, index, prog):  # type: ignore[no-untyped-def]
        """Drifts that take the stride themselves, from the states before the change of shape."""
        plain = self.fields(number, index, prog)
        result = {}
        for item in prog.fields:
            if item.kind == "drift":
                raw = [states[name] for name in item.states]
                result[item.name] = [
                    lambda *given, function=function, raw=raw: function(*raw, *given[len(raw) :])
                    for function in plain[item.name]
                ]
        return result


def compare(prog: Program, spec: NetworkSpec, module: fx.GraphModule, seed: int = 0) -> float:
    """Return the largest relative difference between the network's last states and the walk's."""
    module = module.double().eval()
    randomise(module)
    x = torch.randn(3, *spec.input_shape, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        record = Recorder(module).record(x)
        principal = [s.name for s in prog.states if s.name not in prog.start.zero]
        states = {principal[0]: record["stem_u"]}
        if len(principal) > 1:
            states = {name: record[f"stem_{name}"] for name in principal}
        for name in prog.start.zero:
            states[name] = torch.zeros_like(states[principal[0]])
        states = {state.name: states[state.name] for state in prog.states}
        wanted = Walk(at_means(prog), spec, module).follow(states)
        first = next(node for node in module.graph.nodes if node.name.startswith("head_"))
        found = record[first.args[0].name] if first.op == "call_module" else record[first.name]
        expected = torch.cat([wanted[name] for name in principal], 1)
    return float((found - expected).abs().max() / expected.abs().max())
