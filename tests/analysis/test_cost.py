"""What a step costs: counted by hand, and by running it."""

from __future__ import annotations

from collections import Counter

import pytest

from schemegen.analysis.cost import cost
from schemegen.pipeline import load
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_names
from schemegen.step import lower
from schemegen.step.arithmetic import floating
from schemegen.step.interpret import run
from schemegen.step.program import Solve

# evaluations, terms of the sums, values that live at once (the one being formed with those it is formed of)
COUNTED = {
    "euler": (1, 2, 3),  # u, k1, u[n+1]
    "rk4": (4, 11, 6),  # 3 stages of 2 terms and 5; u, k1..k4, u[n+1]
    "leapfrog": (1, 2, 4),  # u[n], u[n-1], k1, u[n+1]
    "ab2": (1, 3, 4),  # u[n], f(u[n]), f(u[n-1]), u[n+1]
    "gauss2": (14, 39, 5),  # 2 evaluations in 6 sweeps and once more; 6 terms a sweep and 3
}


@pytest.mark.parametrize("name", COUNTED)
def test_costs_counted_by_hand(name: str) -> None:
    found = cost(lower(load(name)))
    evaluations, terms, registers = COUNTED[name]
    assert found.evaluations == (("f", evaluations),)
    assert (found.combination_flops, found.storage) == (terms, registers)


def explicit(name: str) -> bool:
    program = lower(load(name))
    plain = not program.noises and not any(isinstance(s, Solve) for s in program.statements)
    return plain and all(field.kind == "drift" for field in program.fields)


@pytest.mark.parametrize("name", [name for name in zoo_names() if explicit(name)])
def test_a_run_of_the_step_evaluates_as_often(name: str) -> None:
    program = lower(load(name))
    called: Counter[str] = Counter()

    def counting(field: str):
        def slope(*arguments: float) -> float:
            called[field] += 1
            return -sum(arguments)

        return slope

    names = [f"{state.name}[n]" for state in program.states] + [i.name for i in program.inputs]
    symbols = {item.name: 0.25 for item in (*program.params, *program.schedules)} | {"h": 0.1}
    fields = {field.name: counting(field.name) for field in program.fields}
    run(program, dict.fromkeys(names, 0.5), fields, floating(symbols))
    assert dict(cost(program).evaluations) == {
        field.name: called[field.name] for field in program.fields
    }


@pytest.mark.parametrize(
    ("update", "registers"),
    [
        ("u[n+1] = u[n] + h*f(b)", 4),  # b is formed of a and its slope, beside u
        ("u[n+1] = u[n] + h*f(u[n]) + h*f(b)", 5),  # and the first slope waits
    ],
)
def test_a_slope_that_is_used_again_is_kept(update: str, registers: int) -> None:
    text = f"state u; drift f(u); step {{ a = u[n] + h*f(u[n]); b = a + h*f(a); {update} }}"
    found = cost(lower(from_text(f"scheme s {{ {text} }}")))
    assert found.evaluations == (("f", 3),)
    assert found.storage == registers
