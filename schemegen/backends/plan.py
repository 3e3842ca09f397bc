"""The unrolled network as data: which program each step runs, on which shapes, with which history."""

from __future__ import annotations

from dataclasses import dataclass

from schemegen.diagnostics import Diagnostic, InternalError, SchemeError
from schemegen.scheme.network import NetworkSpec
from schemegen.step.program import (
    ONES,
    Combine,
    Evaluate,
    Program,
    Solve,
    Statement,
    walk,
)
from schemegen.step.shortened import irreplaceable, shortened

__all__ = ["Register", "Shape", "StepPlan", "live", "plan", "states_of", "widths"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels of all principal states together, and the size of the image (empty for vectors)."""

    width: int
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """A remembered value: what ``of`` was ``lag`` steps ago."""

    of: str
    lag: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of the network.

    ``kind``: ``step``, ``start`` (history is missing), ``copy`` (missing history is the current value), or
    ``transition`` (a change of shape, with strided drifts: the Euler form, or with
    ``transition: scheme strided`` the scheme's own step). ``project`` where the states are projected and
    then stepped as usual. ``takes`` are the registers that the step reads, ``gives`` those it returns.
    ``shift`` registers move on from one step earlier, ``fill`` registers repeat the newest value.
    """

    stage: int
    index: int
    position: int
    program: Program
    kind: str
    before: Shape
    after: Shape
    stride: int
    project: bool
    takes: tuple[Register, ...]
    gives: tuple[Register, ...]
    fill: tuple[Register, ...]
    shift: tuple[Register, ...]

    @property
    def leaves(self) -> tuple[Register, ...]:
        """The registers that hold history after the step."""
        return (*self.gives, *self.shift, *self.fill)

    @property
    def reshapes(self) -> bool:
        return self.before != self.after


def remembered(program: Program) -> tuple[tuple[str, int], ...]:
    """Return every value that later steps read, with its largest lag, in order of first mention."""
    lags: dict[str, int] = {}
    for item in program.inputs:
        lags[item.of] = max(item.lag, lags.get(item.of, 0))
    return tuple(lags.items())


def registers(program: Program, depth: int) -> tuple[Register, ...]:
    """Return the registers that hold ``depth`` steps of history."""
    kept = remembered(program)
    return tuple(
        Register(of, lag) for lag in range(1, depth + 1) for of, most in kept if most >= lag
    )


def plan(program: Program, spec: NetworkSpec, size: tuple[int, ...]) -> tuple[StepPlan, ...]:
    """Unroll ``program`` over the stages of ``spec``; ``size`` is the image's after the stem."""
    steps: list[StepPlan] = []
    shape, depth = Shape(spec.stem_width, size), 0
    for number, stage in enumerate(spec.stages, start=1):
        for index in range(stage.steps):
            stride = stage.stride if index == 0 else 1
            after = Shape(stage.width, tuple(-(-extent // stride) for extent in shape.size))
            item = step_plan(program, number, index, len(steps), shape, after, stride, depth)
            steps.append(item)
            shape, depth = after, max((r.lag for r in item.leaves), default=0)
    return tuple(steps)


def step_plan(
    program: Program,
    stage: int,
    index: int,
    position: int,
    before: Shape,
    after: Shape,
    stride: int,
    depth: int,
) -> StepPlan:
    """Choose the program of one step and say what history it reads and leaves."""
    history, rule = program.history, program.transition
    project = strided = False
    kind = "step" if depth >= history else "start"
    if before != after:
        strided = rule.scheme == "strided" and kind == "step" and euler_like(program)
        if rule.scheme == "on" or not euler_like(program.starter or program):
            project = True
            depth = 0 if rule.history == "reset" else depth
            kind = "step" if depth >= history else "start"
        else:
            kind = "transition"
    if kind == "start" and program.start.method == "copy":
        kind = "copy"
    partial = kind == "start" and program.start.method == "partial"
    takes = registers(program, depth)
    running = program.opening if position == 0 and program.opening is not None else program
    if kind == "transition" and not strided:
        running = program.starter or program
    elif kind == "start" and running is program:
        running = short(program, depth) if partial else starting(program)
    fresh = registers(program, min(1, history))
    older = tuple(r for r in registers(program, min(depth + 1, history)) if r.lag > 1)
    fill: tuple[Register, ...] = ()
    if kind == "transition" and rule.history != "each":
        older = ()
        if rule.history == "project":
            fill = tuple(r for r in registers(program, history) if r.lag > 1)
    if kind == "copy":
        fill = tuple(r for r in registers(program, history) if r.lag > 1)
        older = ()
    projected = before != after and (project or rule.history == "each")
    gives = (*fresh, *(older if projected else ()))
    if (
        kind == "transition" and not strided
    ):  # reads no history, and hands on what a later step still reads
        takes = tuple(r for r in takes if Register(r.of, r.lag + 1) in gives)
    needs_old = kind == "step" or projected or strided or partial
    return StepPlan(
        stage,
        index,
        position,
        running,
        kind,
        before,
        after,
        stride,
        project,
        takes=takes if needs_old else (),
        gives=gives,
        fill=fill,
        shift=() if projected else older,
    )


def short(program: Program, depth: int) -> Program:
    """Return the step with a part of its history. Errors: :class:`SchemeError`, E0604."""
    value = irreplaceable(program, depth)
    if value is not None:
        message = f"`start: partial` needs a param that removes `{value}` where it is 0"
        help_ = "multiply it by a param, or write `start: euler`"
        raise SchemeError([Diagnostic("E0604", message, program.start.span, help_)])
    return shortened(program, depth)


def starting(program: Program) -> Program:
    """Return what runs while history is missing: the scheme that ``start`` names, or the Euler form."""
    found = program.first or program.starter
    if found is None:
        raise InternalError(f"{program.name}: history is missing and there is no starter")
    return found


def euler_like(program: Program) -> bool:
    """Return whether every drift is evaluated at states alone, so that it can take the stride itself."""
    states = {f"{state.name}[n]" for state in program.states}
    kinds = {item.name: item.kind for item in program.fields}
    return all(
        set(item.at) <= states
        for item in walk(program.statements)
        if isinstance(item, Evaluate) and kinds[item.field] == "drift"
    ) and not any(isinstance(item, Solve) for item in program.statements)


def states_of(program: Program, width: int) -> dict[str, int]:
    """Return the channels of each state.

    States that start at zero (``start: v zero``) are auxiliary: they take no channels of the stem, have the
    width of the first principal state, and are not seen by the head.
    """
    zero = set(program.start.zero)
    principal = [state for state in program.states if state.name not in zero]
    shares = [state.split or 0 for state in principal]
    if not all(shares):
        shares = [1] * len(principal)
    result = {}
    for state, share in zip(principal, shares, strict=True):
        part, rest = divmod(width * share, sum(shares))
        if rest:
            message = f"{len(principal)} states cannot share the width {width} in this ratio"
            raise SchemeError([Diagnostic("E0602", message, state.span)])
        result[state.name] = part
    first = result[principal[0].name]
    return {state.name: result.get(state.name, first) for state in program.states}


def widths(program: Program, states: dict[str, int]) -> dict[str, int]:
    """Return the channels of every value, from those of the states: a combination's terms agree."""
    parent: dict[str, str] = {}

    def root(value: str) -> str:
        while parent.setdefault(value, value) != value:
            value = parent[value]
        return value

    def join(one: str, other: str) -> None:
        if ONES not in (one, other):
            parent[root(one)] = root(other)

    drifts = {item.name for item in program.fields if item.kind == "drift"}
    for state in program.states:
        join(f"{state.name}[n+1]", f"{state.name}[n]")
    for item in program.inputs:
        join(item.name, item.of)
    for statement in walk(program.statements):
        if isinstance(statement, Combine):
            for term in statement.terms:
                join(statement.target, term.value)
        elif statement.field not in drifts:
            for value in statement.at:
                join(statement.target, value)
    known = {root(f"{name}[n]"): width for name, width in states.items()}
    first = next(iter(states.values()))
    return {value: known.get(root(value), first) for value in list(parent)}


def live(statements: tuple[Statement, ...], wanted: set[str]) -> tuple[Statement, ...]:
    """Return the statements that ``wanted`` values depend on."""
    kept: list[Statement] = []
    needed = set(wanted)
    for statement in reversed(statements):
        match statement:
            case Combine(target=target, terms=terms):
                if target in needed:
                    needed |= {term.value for term in terms}
                    kept.append(statement)
            case Evaluate(target=target, at=at):
                if target in needed:
                    needed |= set(at)
                    kept.append(statement)
            case Solve(targets=targets, statements=inner, guess=guess):
                if needed & set(targets):
                    for part in inner:
                        if isinstance(part, Combine):
                            needed |= {term.value for term in part.terms}
                        else:
                            needed |= set(part.at)
                    needed |= {term.value for terms in guess for term in terms}
                    kept.append(statement)
    return tuple(reversed(kept))
