"""What the series of a step program says: order, errors and modified equation in one frozen object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import sympy

from schemegen.analysis.coefficients import Coefficients, NoSeriesError
from schemegen.analysis.conservation import Conservation
from schemegen.analysis.derivative_form import derivative_form
from schemegen.analysis.expansion_model import Conserved, Expansion, Failure
from schemegen.analysis.model import Exact, ModifiedEquation, Note
from schemegen.analysis.modified_equation import consistency, field_terms, limit_terms
from schemegen.analysis.modifying import modifying_terms
from schemegen.analysis.operations import flatten, unrolled
from schemegen.analysis.order import (
    conditions,
    exact_flow,
    fails_at,
    first_failure,
    local_error,
    series_order,
    stage_orders,
)
from schemegen.analysis.reading import Reading
from schemegen.analysis.special_orders import special_orders
from schemegen.analysis.values import NoSmallStepLimitError, skeleton
from schemegen.step.evaluation import StillRandomError, evaluated
from schemegen.step.program import Program, Solve, walk

__all__ = ["Expansion", "Failure", "expand", "read"]

MOST_NODES = 10
MOST_TREES = 2500  # of one number of nodes
MOST_MODIFYING = 8  # a tree of n nodes has 2^(n-1) sets of edges
MOST_MODIFYING_SYMBOLIC = 4  # with more than FEW_SYMBOLS params
FEW_SYMBOLS = 2
# Keys of the report in the order in which they are answered, after the orders.
LATER = (
    "modified_equation",
    "modifying_equation",
    "geometry.symplectic_to",
    "geometry.energy_preserving_to",
    "order_special",
)


def expand(
    program: Program,
    order: int | None = None,
    *,
    scaled: Sequence[str] = (),
    sweeps: bool = False,
    keep: Callable[[Expansion], None] | None = None,
) -> Expansion:
    """Return everything that the series of ``program`` says, from the step program alone.

    Args:
        order: keep trees of up to this many nodes; None: two beyond the order, at least 4.
        scaled: params that stand for ``h`` times a constant, as a damping rate does.
        sweeps: read implicit groups as the declared number of fixed-point sweeps, not as solved.
        keep: is told of each unfinished expansion, which stands if a later part takes too long.
    """
    try:
        return _expanded(program, order, scaled, sweeps, keep or (lambda found: None))
    except NoSmallStepLimitError as error:
        pointwise = [field.name for field in program.fields if field.kind == "pointwise"]
        if pointwise:  # its limit is not read, so nothing is known of the step's
            text = f"`{pointwise[0]}` is a pointwise function of tensors, not linear in a drift"
            return Expansion(
                nodes=0, is_series=False, notes=(Note("modified_equation", text, "W0312"),)
            )
        note = Note("modified_equation", f"no small-step limit: {error}", "W0409")
        return Expansion(nodes=0, small_step_limit=False, notes=(note,))
    except NoSeriesError as error:
        note = Note("modified_equation", str(error), error.code)
        return Expansion(nodes=0, is_series=False, notes=(note,))


def _expanded(
    program: Program,
    order: int | None,
    scaled: Sequence[str],
    sweeps: bool,
    keep: Callable[[Expansion], None],
) -> Expansion:
    noisy = bool(program.noises)
    program = _without_noise(program)
    reading, chosen = _reading(unrolled(program) if sweeps else program, scaled)
    failing = _advance(reading, order)
    nodes = min(order or max(4, (failing or reading.nodes) + 1), reading.nodes)
    result = Expansion(
        nodes=nodes,
        principal=reading.skeleton.principal,
        auxiliary=reading.skeleton.auxiliary,
        limit=limit_terms(reading),
        consistent=consistency(reading),
        order=failing - 1 if failing else None,
        order_at_least=failing - 1 if failing else reading.nodes,
        scaled=chosen,
        noise_replaced=noisy,
        notes=tuple(_remarks(order, nodes, failing)),
    )
    result = _with_orders(result, program, reading, failing)
    result = _with_embedded(result, program, reading)
    keep(replace(result, open=LATER))
    equation = ModifiedEquation(
        field=field_terms(reading, nodes),
        derivative_form=derivative_form(reading, nodes),
        truncation=nodes,
        valid=_validity(program, result, sweeps),
    )
    result = replace(result, modified_equation=equation)
    if not sweeps:
        keep(replace(result, open=LATER[1:]))
        result = _with_modifying(result, program, reading)
        keep(replace(result, open=LATER[2:]))
        result = replace(result, conservation=conserved(reading, result.nodes))
        keep(replace(result, open=LATER[4:]))
        special = special_orders(program, reading, failing, chosen, read)
        result = replace(result, order_special=special, solver_order=_solver_order(program, result))
    return result


def _with_modifying(result: Expansion, program: Program, reading: Reading) -> Expansion:
    """Add the field that makes the step exact, or the reason why there is none."""
    few = len(reading.coefficients.generators) <= FEW_SYMBOLS
    nodes = min(result.nodes, MOST_MODIFYING if few else MOST_MODIFYING_SYMBOLIC)
    notes = result.notes
    try:
        terms = modifying_terms(program, reading, nodes)
    except NoSeriesError as error:
        return replace(result, notes=(*notes, Note("modifying_equation", str(error))))
    if nodes < result.nodes:
        notes = (*notes, Note("modifying_equation", f"kept to {nodes} nodes: the sums grow long"))
    return replace(result, modifying_equation=terms, notes=notes)


def conserved(reading: Reading, nodes: int) -> Conserved | None:
    """Return how far the step keeps the symplectic form and the energy; None where no field is Hamiltonian."""
    found = Conservation(reading)
    if not found.applies:
        return None
    return Conserved(nodes, found.symplectic_to(nodes), found.energy_preserving_to(nodes))


def _remarks(order: int | None, nodes: int, failing: int | None) -> Iterator[Note]:
    if failing is None:
        yield Note(
            "order", f"no order condition fails up to {nodes} nodes; the next were not tried"
        )
    if order is not None and nodes < order:
        yield Note(
            "modified_equation", f"kept to {nodes} nodes: there are too many trees of {nodes + 1}"
        )


def read(program: Program, nodes: int, scaled: Sequence[str] = ()) -> Reading:
    """Return ``program`` as series of up to ``nodes`` nodes.

    Raises:   NoSeriesError, NoSmallStepLimitError.
    """
    reading, _ = _reading(_without_noise(program), scaled)
    while reading.nodes < nodes:
        reading.advance()
    return reading


def _reading(program: Program, scaled: Sequence[str]) -> tuple[Reading, tuple[str, ...]]:
    """Read the program; where it has no small-step limit, try one param as ``h`` times a constant."""
    if any(isinstance(s, Solve) and s.solver.method == "neumann" for s in program.statements):
        raise NoSeriesError(
            "a truncated Neumann series evaluates its drift near 0, so it follows no equation near"
            " u' = f unless f is linear",
            "W0406",
        )
    try:
        return _start(program, scaled), tuple(scaled)
    except (NoSmallStepLimitError, NoSeriesError):
        if scaled:
            raise
        for param in program.params:
            try:
                return _start(program, (param.name,)), (param.name,)
            except (NoSmallStepLimitError, NoSeriesError):
                continue
        raise


def _without_noise(program: Program) -> Program:
    try:
        return evaluated(program)
    except StillRandomError as error:
        raise NoSeriesError(f"{error}; see the modified SDE") from None


def _start(program: Program, scaled: Sequence[str]) -> Reading:
    coefficients = Coefficients(_coefficients(program), terms=MOST_NODES + 4, scaled=scaled)
    return Reading(program, skeleton(flatten(program), coefficients), coefficients)


def _coefficients(program: Program) -> Iterable[Exact]:
    for statement in walk(program.statements):
        yield from (term.coefficient for term in getattr(statement, "terms", ()))


def _advance(reading: Reading, order: int | None) -> int | None:
    """Read on until the first failing level is known and enough is kept; return that level."""
    failing = None
    needed = max(order or 4, 2)
    while reading.nodes < needed or failing is None:
        if reading.nodes >= 2 and (
            _next_level(reading) > MOST_TREES
            or (reading.nodes >= needed and reading.nodes >= MOST_NODES)
        ):
            break
        reading.advance()
        if failing is None and reading.nodes > 1 and fails_at(reading, reading.nodes):
            failing = reading.nodes
            needed = order or max(4, failing + 1)
    return failing


def _next_level(reading: Reading) -> int:
    """Return about how many trees the next number of nodes has: levels grow almost geometrically."""
    last, before = (len(reading.trees.level(reading.nodes - i)) for i in (0, 1))
    return last * (last + before) // before if before else 0


def _with_orders(
    result: Expansion, program: Program, reading: Reading, failing: int | None
) -> Expansion:
    nodes = failing or reading.nodes
    exact = exact_flow(reading, nodes)
    error, norm = local_error(reading, exact, nodes) if failing else ((), None)
    plain = not any(colour.identity for colour in reading.trees.colours)
    stages = stage_orders(reading, exact, nodes)
    one_step = program.history == 0 and not reading.skeleton.auxiliary
    order = failing - 1 if failing else reading.nodes
    return replace(
        result,
        order_conditions=conditions(reading, exact, nodes) if plain else (),
        failure=first_failure(reading, exact, nodes) if failing else None,
        principal_error=error,
        principal_error_norm=norm,
        stage_orders=stages,
        stage_order=min([order, *(q for _, q in stages)]) if one_step or stages else None,
        error_constant=_error_constant(program, reading, failing),
    )


def _with_embedded(result: Expansion, program: Program, reading: Reading) -> Expansion:
    """Add the order of the embedded solution, the lowest over the states that have one.

    It may lie beyond that of the solution itself, so that more trees have to be read.
    """
    found = [
        (reading.skeleton.principal.index(name), value)
        for name, value in program.embedded
        if name in reading.skeleton.principal and value in reading.values
    ]
    if not found:
        return result
    while True:
        nodes = reading.nodes
        exact = exact_flow(reading, nodes)
        orders = [
            series_order(reading, reading.values[value], exact[state], nodes)
            for state, value in found
        ]
        order = min(orders)
        if order < nodes or nodes >= MOST_NODES or _next_level(reading) > MOST_TREES:
            break
        reading.advance()
    failure = None
    if order < nodes:
        failure = first_failure(reading, exact, order + 1, "{}_hat[n+1]")
    return replace(result, embedded_order=order, embedded_failure=failure)


def _error_constant(program: Program, reading: Reading, failing: int | None) -> Exact | None:
    """Return C with ``f~ = f - C h^p x^(p+1) + ..``, for linear multistep methods.

    ``x^(n) = sum n!/(gamma sigma) F(t)``, so ``C = -b(t) gamma(t) / n!`` must agree for all t of n nodes
    (times the powers of the limit's coefficient that rescaling takes off).
    Source: Hairer, Norsett, Wanner (1993), III.2; Hairer, Lubich, Wanner (2006), XV.3.
    """
    if failing is None or program.history == 0 or len(reading.trees.colours) != 1:
        return None
    first = reading.field.coefficients[0][0]
    if not first:
        return None
    scale = reading.ring.inverse(first)
    constants = []
    for tree in reading.trees.level(failing):
        number = reading.field.coefficients[0][tree]
        number = number * reading.ring.rational(
            -reading.trees.density[tree], int(sympy.factorial(failing))
        )
        for _ in range(failing):
            number = number * scale
        constants.append(number)
    if any(c - constants[0] for c in constants):
        return None
    return reading.coefficients.expression(constants[0])


def _validity(program: Program, result: Expansion, sweeps: bool) -> tuple[str, ...]:
    valid = []
    if program.history or result.auxiliary:
        valid.append("principal root")
    used = {s.name for c in _coefficients(program) for s in c.free_symbols}
    if any(p.name in used and p.per != "network" for p in program.params) or any(
        schedule.name in used for schedule in program.schedules
    ):
        valid.append("frozen parameters")
    if result.noise_replaced:
        valid.append("eval mode")
    if not sweeps and any(isinstance(s, Solve) for s in program.statements):
        valid.append("exactly solved stages")
    valid.extend(f"{name}/h fixed as h tends to 0" for name in result.scaled)
    return tuple(valid)


def _solver_order(program: Program, result: Expansion) -> int | None:
    """Return the order that the declared number of fixed-point sweeps leaves."""
    solves = [s for s in program.statements if isinstance(s, Solve)]
    if not solves or any(s.solver.method != "fixed_point" for s in solves):
        return None
    truncated = expand(program, 2, scaled=result.scaled, sweeps=True)
    if truncated.limit != result.limit:
        return 0
    return truncated.order if truncated.order is not None else truncated.order_at_least
