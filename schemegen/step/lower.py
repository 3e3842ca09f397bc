"""Lower a checked scheme to its step program: write the equations, arrange them, tidy up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from schemegen.diagnostics import InternalError
from schemegen.exact import canonical
from schemegen.language import nodes
from schemegen.scheme.model import Equations, Multistep, Scheme, Tableaus
from schemegen.step import passes
from schemegen.step.builder import Builder, Equation, Linear, add, after, now, offset, unit
from schemegen.step.damping import Damped
from schemegen.step.equations import write_equations
from schemegen.step.eulerform import EulerForm
from schemegen.step.groups import arrange, reads, renamed
from schemegen.step.multistep import write_multistep
from schemegen.step.opening import fitted, keeping
from schemegen.step.program import H, Input, Program, Solve, Statement, Term
from schemegen.step.starter import EulerWriter, at_start, write_plain, write_starter
from schemegen.step.tableau import write_tableaus
from schemegen.step.verify import verify

__all__ = ["lower"]


def lower(scheme: Scheme) -> Program:
    """Return the step program of ``scheme``, verified, with its starter."""
    builder = _written(scheme, Damped.of(scheme.damping))
    inputs, wanted = _wanted(builder)
    statements = _arranged(builder, inputs, wanted)
    program = Program(
        name=scheme.name,
        states=scheme.states,
        fields=builder.fields(),
        inputs=inputs,
        statements=statements,
        params=scheme.params,
        schedules=scheme.schedules,
        noises=scheme.noises,
        step_size=scheme.step_size,
        start=scheme.start,
        transition=scheme.transition,
        embedded=tuple(builder.embedded),
    )
    program = passes.tidy(program)
    program = replace(
        program,
        starter=_starter(scheme, program),
        first=_first(scheme, program),
        opening=_opening(scheme, program),
    )
    verify(program)
    return program


def _written(scheme: Scheme, damped: Damped) -> Builder:
    """Return the equations of one step, arranged in no order but that of the file."""
    match scheme.update:
        case Tableaus() as update:
            builder = Builder(scheme)
            write_tableaus(builder, update, damped)
        case Multistep() as update:
            builder = Builder(scheme)
            write_multistep(builder, update, damped)
        case Equations(assignments=assignments) as update:
            names = {item.target.id for item in assignments if isinstance(item.target, nodes.Name)}
            builder = Builder(scheme, names)
            write_equations(builder, update, damped)
        case None:
            raise InternalError(f"{scheme.name} has no update")
        case _:
            assert_never(scheme.update)
    builder.equations = [renamed(item, builder.renamed) for item in builder.equations]
    return builder


def _wanted(builder: Builder) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """Return the inputs that a step reads, and every value that has to leave it."""
    by_name = {item.target: item for item in builder.equations}
    wanted = [*map(after, builder.states), *(value for _, value in builder.embedded)]
    inputs: dict[str, Input] = {}
    queue, seen = list(wanted), set(wanted)
    while queue:
        value = queue.pop()
        read: Sequence[str] = reads(by_name[value]) if value in by_name else ()
        if value in builder.inputs:
            inputs[value] = builder.inputs[value]
            read = (inputs[value].of,)
            if read[0] in by_name:
                wanted.append(read[0])
        queue.extend(item for item in read if item not in seen)
        seen.update(read)
    missing = [value for value in wanted if value not in by_name]
    if missing:
        raise InternalError(f"{', '.join(missing)} is never set in {builder.scheme.name}")
    ordered = sorted(inputs.values(), key=lambda item: (item.of, item.lag))
    return tuple(ordered), tuple(dict.fromkeys(wanted))


def _arranged(
    builder: Builder, inputs: Sequence[Input], wanted: Sequence[str]
) -> tuple[Statement, ...]:
    """Return the equations as statements; what first guesses need comes first."""
    equations = tuple(builder.equations)
    solver = builder.scheme.solver
    writer = EulerWriter(builder, name="k0")
    form = writer.form(equations, inputs, builder.fields())
    guesses: set[str] = set()

    def guess(target: str) -> tuple[Term, ...]:
        if solver is not None and solver.init == "euler":
            linear = at_start(form.of(target))
        else:
            linear = _copied(target, builder, form)
        guesses.update(linear)
        return tuple(Term(canonical(item), value) for value, item in linear.items())

    def rank(target: str) -> int:
        return 0 if offset(target) == 1 else 2 if target in builder.generated else 1

    statements = arrange(equations, wanted, solver, guess, rank)
    return _hoisted(statements, builder.equations, guesses)


def _copied(target: str, builder: Builder, form: EulerForm) -> Linear:
    """Return the guess that copies: a state's old value, or a stage of several states at ``h = 0``."""
    if offset(target) == 1:
        return unit(now(target.partition("[")[0]))
    if len(builder.states) == 1:
        return unit(now(builder.states[0]))
    linear = at_start(form.of(target))
    still = {value: item.subs(H, 0) for value, item in linear.items() if offset(value) is not None}
    return add(still)


def _hoisted(
    statements: Sequence[Statement], equations: Sequence[Equation], values: set[str]
) -> tuple[Statement, ...]:
    """Return the statements with the equations for ``values`` before all others."""
    by_name = {item.target: item for item in equations}
    first: dict[str, Equation] = {}

    def visit(value: str) -> None:
        if value in by_name and value not in first:
            for read in reads(by_name[value]):
                visit(read)
            first[value] = by_name[value]

    for value in sorted(values):
        visit(value)
    rest = [item for item in statements if isinstance(item, Solve) or item.target not in first]
    return (*first.values(), *rest)


def _starter(scheme: Scheme, program: Program) -> Program:
    """Return the Euler form of ``scheme``, which sets what ``program`` keeps."""
    source = _written(scheme, Damped())
    builder = Builder(scheme)
    kept = _kept(program)
    damping = scheme.damping
    if damping is not None and not damping.transition:
        damping = None
    inputs = tuple(source.inputs.values())
    if scheme.start.plain:
        write_plain(builder, source, inputs)
    else:
        write_starter(builder, source, inputs, kept, Damped.of(damping))
    wanted = [*map(after, builder.states), *kept]
    statements = arrange(builder.equations, wanted, None, lambda target: (), lambda target: 0)
    starter = replace(
        program,
        fields=builder.fields(),
        inputs=(),
        statements=statements,
        embedded=(),
    )
    return passes.used_params(passes.tidy(starter, kept))


def _first(scheme: Scheme, program: Program) -> Program | None:
    """Return the program of the first steps where ``start`` names a scheme."""
    other = scheme.start.scheme
    if other is None:
        return None
    return keeping(scheme, lower(fitted(scheme, other)), _kept(program))


def _opening(scheme: Scheme, program: Program) -> Program | None:
    """Return the program of the first step where it differs: undamped, or a plain residual block."""
    if scheme.start.plain:
        return _starter(scheme, program)
    damping = scheme.damping
    if damping is None or damping.first:
        return None
    plain = lower(replace(scheme, damping=None))
    if program.history:
        plain = plain.first or plain.starter or plain
    return passes.used_params(replace(plain, starter=None, first=None, opening=None))


def _kept(program: Program) -> tuple[str, ...]:
    """Return the slopes that later steps remember."""
    return tuple(dict.fromkeys(item.of for item in program.inputs if offset(item.of) is None))
