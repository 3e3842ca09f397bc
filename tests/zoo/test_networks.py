"""Every scheme of the zoo as a network: it is what the interpreter says, and model.py is the same."""

from __future__ import annotations

import copy
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import sympy
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "backends"))

from reference import compare, network

from schemegen.backends import emit_graph, emit_source
from schemegen.diagnostics import Source
from schemegen.language import parse
from schemegen.resources import resource_dir
from schemegen.scheme import check
from schemegen.scheme.model import Scheme
from schemegen.step import lower
from schemegen.step.program import Combine, Program, Solve, Term

SCHEMES = sorted((resource_dir("zoo") / "schemes").glob("*.scheme"))
TYPICAL = ("rk2", "lm_resnet", "shake_shake", "revnet", "ars222", "polynet", "momentum_net", "ab2")


def schemes(path: Path) -> tuple[Scheme, ...]:
    checked = check(parse(Source(path.name, path.read_text(encoding="utf-8"))))
    return checked.schemes


def exactly_solved(scheme: Scheme) -> Scheme:
    """Let accelerated solvers go on to the solution, which the interpreter stands for."""
    solver = scheme.solver
    if solver is None or solver.method not in ("anderson", "newton_krylov"):
        return scheme
    return replace(
        scheme, solver=replace(solver, tolerance=sympy.Rational(1, 10**14), iterations=80)
    )


def silenced(scheme: Scheme) -> Scheme:
    """Let noise that is drawn in evaluation too be its mean there, as the interpreter takes it."""
    noises = (replace(n, active="train", evaluation="mean") for n in scheme.noises)
    return replace(scheme, noises=tuple(noises))


def spec_for(program: Program, steps: int = 2):
    return network((4, program.history + steps, 1), (8, 2, 2))


def model_of(source: str) -> torch.nn.Module:
    module = types.ModuleType("model")
    exec(compile(source, "model.py", "exec"), module.__dict__)  # noqa: S102  our own text
    return module.Model()


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_network_is_the_interpreter(path: Path) -> None:
    for scheme in schemes(path):
        program = lower(silenced(exactly_solved(scheme)))
        spec = spec_for(program)
        assert compare(program, spec, emit_graph(program, spec)) < 1e-12


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_source_is_the_graph(path: Path) -> None:
    """model.py loads the graph's state and gives the same bits, in both modes; so does a deep copy."""
    for scheme in schemes(path):
        program = lower(scheme)
        spec = spec_for(program, 1)
        graph = emit_graph(program, spec)
        source = emit_source(program, spec)
        assert source == emit_source(program, spec)
        model = model_of(source)
        model.load_state_dict(graph.state_dict())
        twin = copy.deepcopy(graph)
        x = torch.randn(2, *spec.input_shape, generator=torch.Generator().manual_seed(0))
        for mode in (True, False):
            results = []
            for module in (graph, model, twin):
                torch.manual_seed(1)
                with torch.no_grad():
                    results.append(module.train(mode)(x))
            assert torch.equal(results[0], results[1])
            assert torch.equal(results[0], results[2])
        for key, value in graph.state_dict().items():
            assert torch.equal(value, model.state_dict()[key]), key


def compiled_equals_eager(path: Path, backend: str) -> None:
    for scheme in schemes(path):
        solver = scheme.solver and replace(scheme.solver, iterations=2, memory=2)
        program = lower(replace(scheme, solver=solver))
        spec = network((4, program.history + 1, 1))
        graph = emit_graph(program, spec).eval()
        torch._dynamo.reset()
        compiled = torch.compile(graph, fullgraph=True, backend=backend)
        x = torch.randn(2, *spec.input_shape)
        found = []
        for module in (compiled, graph):
            torch.manual_seed(1)  # for noise that is drawn in evaluation too
            with torch.no_grad():
                found.append(module(x))
        torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-3)
        graph.train()
        compiled(x).sum().backward()
        assert all(p.grad is not None for p in graph.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", TYPICAL)
def test_compiles_without_a_break(name: str) -> None:
    compiled_equals_eager(next(path for path in SCHEMES if path.stem == name), "eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_every_scheme_compiles_without_a_break(path: Path) -> None:
    compiled_equals_eager(path, "eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rk2", "lm_resnet"])
def test_inductor(name: str) -> None:
    compiled_equals_eager(next(path for path in SCHEMES if path.stem == name), "inductor")


def mutated(program: Program) -> list[Program]:
    """Return programs with one coefficient off in the fifth digit, and with two terms' values swapped."""
    found = []
    for index, statement in enumerate(program.statements):
        if not isinstance(statement, Combine):
            continue
        for place, term in enumerate(statement.terms):
            terms = list(statement.terms)
            terms[place] = Term(term.coefficient * (1 + sympy.Rational(1, 10**5)), term.value)
            changed = replace(statement, terms=tuple(terms))
            parts = (*program.statements[:index], changed, *program.statements[index + 1 :])
            found.append(replace(program, statements=parts))
        if (
            len(statement.terms) > 1
            and statement.terms[0].coefficient != statement.terms[1].coefficient
        ):
            first, second, *rest = statement.terms
            swapped = (Term(first.coefficient, second.value), Term(second.coefficient, first.value))
            changed = replace(statement, terms=(*swapped, *rest))
            parts = (*program.statements[:index], changed, *program.statements[index + 1 :])
            found.append(replace(program, statements=parts))
    return found


@pytest.mark.parametrize("name", ["rk4", "lm_resnet", "ab2", "revnet"])
def test_a_mutation_is_noticed(name: str) -> None:
    (scheme,) = schemes(next(path for path in SCHEMES if path.stem == name))
    program = replace(lower(scheme), step_size=sympy.Rational(1, 2))
    assert not any(isinstance(item, Solve) for item in program.statements)
    spec = network((4, program.history + 2, 1))
    variants = mutated(program)
    assert variants
    for variant in variants:
        assert compare(program, spec, emit_graph(variant, spec)) > 1e-9
