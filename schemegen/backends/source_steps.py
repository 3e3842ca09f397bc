"""The steps of the source backend: one class for each distinct form of a step.

Numbers that differ between the steps of one form become arguments of its constructor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemegen.backends.builder import (
    PATH,
    Construction,
    Mark,
    Number,
    Place,
    RawParameter,
    Ref,
    Sweep,
)
from schemegen.backends.names import unique, variable
from schemegen.backends.plan import Register, StepPlan
from schemegen.backends.steps import Network, Step
from schemegen.backends.text import call_text, literal
from schemegen.step.program import Program

__all__ = [
    "Form",
    "SharedText",
    "StepText",
    "classes",
    "describe",
    "path_name",
    "register_name",
    "step_text",
]

SLOT = re.compile("\x00(\\d+)\x00")
OPERATORS = ("+ ", "- ", "* ", "/ ")


@dataclass
class StepText:
    """One step as text in which numbers are still slots; ``drawn`` is the draw it takes of the network."""

    plan: StepPlan
    inputs: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    slots: list[tuple[Number, str]] = field(default_factory=list)

    @property
    def template(self) -> str:
        head = [*self.inputs, *self.drawn]
        parts = [head, self.init, self.forward, self.methods, self.results, self.shared]
        text = "\n".join(line for part in parts for line in [*part, "--"])
        numbers: dict[str, int] = {}
        return SLOT.sub(lambda m: f"\x00{numbers.setdefault(m[0], len(numbers))}\x00", text)


class TextBuilder:
    """Writes calls as lines of a step's ``forward``; numbers become slots."""

    def __init__(self, text: StepText, network: SharedText) -> None:
        self.text = text
        self.network = network
        self.lines = text.forward
        self.taken: set[str] = set()
        self.declared: set[str] = set()
        self.line: int | None = None
        self.handed: dict[str, str] | None = None
        self.drawn = PATH

    def at(self, mark: Mark) -> None:
        self.line = None if mark.span is None else mark.span.line

    def slot(self, value: Any, place: str, hint: str = "c") -> Any:
        """Return ``value`` with every number in it replaced by a slot."""
        if isinstance(value, Number):
            self.text.slots.append((value, place))
            return f"\x00{len(self.text.slots) - 1}\x00"
        if isinstance(value, list | tuple):
            return type(value)(self.slot(item, place, hint) for item in value)
        if isinstance(value, dict):
            return {key: self.slot(item, place, hint) for key, item in value.items()}
        return value

    def assign(self, name: str, text: str) -> str:
        name = unique(name.replace("_next_", "_"), self.taken)
        self.taken.add(name)
        self.lines.append(f"{name} = {text}")
        return name

    def declare_module(self, where: Place, construction: Construction) -> None:
        if self.handed is not None:
            return
        if where.shared:
            self.network.declare(where, self.network.construction(construction, None))
        elif where.name not in self.declared:
            self.declared.add(where.name)
            text = self.network.construction(construction, self)
            self.text.init.append(f"self.{where.name} = {text}")

    def declare_parameter(self, where: Place, parameter: RawParameter) -> None:
        learn = "" if parameter.learnable else ", requires_grad=False"
        line = f"nn.Parameter({parameter.text}{learn})"
        if self.handed is not None:
            return
        if where.shared:
            self.network.declare(where, line)
        elif where.name not in self.declared:
            self.declared.add(where.name)
            self.text.init.append(f"self.{where.name} = {line}")

    def call(
        self, function: str, args: tuple[Any, ...], name: str, kwargs: dict[str, Any] | None = None
    ) -> Ref:
        self.network.use(function)
        own = self.slot(kwargs or {}, "forward")
        return self.assign(name, call_text(function, self.slot(args, "forward"), own))

    def module(self, where: Place, args: tuple[Any, ...], name: str) -> Ref:
        called = self.attribute(where)
        arguments = ", ".join(literal(item) for item in self.slot(args, "forward"))
        return self.assign(name, f"{called}({arguments})")

    def attribute(self, where: Place) -> str:
        if self.handed is not None:
            return self.handed[where.name]
        if not where.shared:
            return f"self.{where.name}"
        if where.name not in self.text.shared:
            self.text.shared.append(where.name)
            self.taken.add(where.name)
        return where.name

    def path_draw(self) -> str:
        if self.handed is None and self.drawn not in self.text.drawn:
            self.text.drawn.append(self.drawn)
        return self.drawn

    def sweep(self, where: Place, inputs: tuple[tuple[str, Ref], ...], body: Sweep) -> Ref:
        inner = TextBuilder(self.text, self.network)
        inner.lines = []
        inner.handed = {}
        names = []
        for name, _ in inputs:
            kind, _, text = name.rpartition(":")
            label = unique(f"{kind}_{text}" if kind else variable(text), inner.taken)
            inner.taken.add(label)
            names.append(label)
            if kind == "block":
                inner.handed[text] = label
            elif kind == "draw":
                inner.drawn = label
        results = body(inner, tuple(names))
        head = f"def {where.name}(self, {', '.join(names)}):"
        lines = [*inner.lines, f"return {literal(tuple(results))}"]
        self.text.methods += ["", head, *(f"    {line}" for line in lines)]
        return f"self.{where.name}"


class SharedText:
    """What the whole source has in common: shared modules and the library's functions in use."""

    def __init__(self) -> None:
        self.shared: dict[str, str] = {}
        self.used: set[str] = set()
        self.imports: dict[str, str] = {}

    def declare(self, where: Place, text: str) -> None:
        self.shared.setdefault(where.name, text)

    def use(self, name: str) -> None:
        self.used.add(name)

    def construction(self, item: Construction, builder: TextBuilder | None) -> str:
        """Return a constructor call as text."""
        function = item.function
        if function.startswith("python:"):
            module, _, function = function[7:].partition(":")
            self.imports[function] = module
        self.use(function)
        parts = [self.construction(child, builder) for child in item.children]
        for index, value in enumerate(item.arguments):
            hint = item.hints[index] if index < len(item.hints) else "size"
            if (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and builder is not None
            ):
                parts.append(builder.slot(Number(value, hint), "init"))
            else:
                parts.append(repr(value))
        parts += [f"{name}={value!r}" for name, value in item.options]
        return f"{function}({', '.join(parts)})"


@dataclass
class Form:
    """A class of steps: its text, the slots that become arguments, and the steps that use it."""

    name: str
    members: list[StepText]
    arguments: dict[int, str] = field(default_factory=dict)
    literals: dict[int, str] = field(default_factory=dict)

    def settle(self) -> None:
        """Print numbers that all members share; give the others a name in the constructor."""
        order = [slot_order(member) for member in self.members]
        names: dict[tuple[Any, ...], str] = {}
        for index in range(len(order[0])):
            column = [m.slots[o[index]][0] for m, o in zip(self.members, order, strict=True)]
            texts = tuple(literal(number) for number in column)
            if len(set(texts)) == 1:
                self.literals[index] = texts[0]
                continue
            if texts not in names:
                names[texts] = unique(column[0].hint, names.values())
            self.arguments[index] = names[texts]

    def constructor(self, member: int) -> str:
        """Return the call that makes the step ``member``."""
        order = slot_order(self.members[member])
        shown: dict[str, str] = {}
        for index, name in self.arguments.items():
            shown[name] = literal(self.members[member].slots[order[index]][0])
        return f"{self.name}({', '.join(f'{name}={text}' for name, text in shown.items())})"

    def text(self, title: str) -> str:
        """Return the class."""
        first = self.members[0]
        names = list(dict.fromkeys(self.arguments.values()))
        order = slot_order(first)
        back = {old: new for new, old in enumerate(order)}
        stored = [
            name
            for name in names
            if any(
                self.arguments.get(index) == name and first.slots[old][1] == "forward"
                for index, old in enumerate(order)
            )
        ]

        def fill(line: str, own: str) -> str:
            def slot(match: re.Match[str]) -> str:
                index = back[int(match[1])]
                if index in self.arguments:
                    return own + self.arguments[index]
                text = self.literals[index]
                before, after = line[: match.start()], line[match.end() :]
                operand = before.endswith(OPERATORS) or after.startswith(" **")
                return f"({text})" if operand and not text.replace(".", "").isalnum() else text

            return SLOT.sub(slot, line)

        lines = [f"class {self.name}(nn.Module):", f'    """{title}"""', ""]
        lines += [f"    def __init__({', '.join(['self', *names])}):", "        super().__init__()"]
        lines += [f"        self.{name} = {name}" for name in stored]
        lines += [f"        {fill(line, '')}" for line in first.init]
        lines += [
            "",
            f"    def forward({', '.join(['self', *first.inputs, *first.drawn, *first.shared])}):",
        ]
        lines += [f"        {fill(line, 'self.')}" for line in first.forward]
        lines += [f"        return {', '.join(first.results)}"]
        lines += [f"    {fill(line, 'self.')}".rstrip() for line in first.methods]
        return "\n".join(lines)


def slot_order(text: StepText) -> list[int]:
    """Return the slots in the order in which the template meets them first."""
    parts = [text.inputs, text.init, text.forward, text.methods, text.results, text.shared]
    found = SLOT.findall("\n".join(line for part in parts for line in part))
    return [int(item) for item in dict.fromkeys(found)]


def step_text(network: Network, plan: StepPlan, shared: SharedText) -> StepText:
    """Write one step through a text builder."""
    text = StepText(plan)
    builder = TextBuilder(text, shared)
    states = {state.name: variable(state.name) for state in network.program.states}
    history = {register: register_name(register, network.program) for register in plan.takes}
    text.inputs = [*states.values(), *history.values()]
    builder.drawn = path_name(network)
    builder.taken |= {*text.inputs, *states.values(), builder.drawn}
    fresh, given = Step(network, plan, builder).write(states, history)
    text.results = [*fresh.values(), *(given[register] for register in plan.gives)]
    return text


def path_name(network: Network) -> str:
    """Return the variable of the draw of drop-path, in the model and in every step."""
    program = network.program
    registers = {register for plan in network.steps for register in (*plan.takes, *plan.gives)}
    taken = {variable(state.name) for state in program.states}
    return unique(PATH, taken | {register_name(register, program) for register in registers})


def register_name(register: Register, program: Program) -> str:
    """Return the variable of a remembered value, ``u_1`` for ``u[n-1]``."""
    taken = [variable(state.name) for state in program.states]
    return unique(f"{variable(register.of)}_{register.lag}", taken)


def classes(texts: Sequence[StepText]) -> dict[str, Form]:
    """Group the steps by template and name the classes by what they do."""
    forms: dict[str, Form] = {}
    for text in texts:
        key = text.template
        if key not in forms:
            base = {"start": "Start", "copy": "Start", "transition": "Transition"}.get(
                text.plan.kind, "Step"
            )
            used = {form.name for form in forms.values()}
            name, count = base, 1
            while name in used:
                count += 1
                name = f"{base}{count}"
            forms[key] = Form(name, [])
        forms[key].members.append(text)
    for form in forms.values():
        form.settle()
    return forms


def describe(plan: StepPlan, program: Program) -> str:
    """Return the docstring of a step class."""
    kinds = {
        "step": f"One step of {program.name}.",
        "start": "A step that still lacks its history.",
        "copy": "A first step, whose missing history is the current value.",
        "transition": "A change of shape: projected states and strided drifts.",
    }
    return kinds[plan.kind] if not plan.project else f"{kinds[plan.kind][:-1]}, after a projection."
