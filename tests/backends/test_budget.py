"""Plans for a memory budget: the best of all plans, and peaks that are measured as expected."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch

import schemegen
from schemegen.backends.binomial import advances, fewest
from schemegen.backends.budget import Costs, options, plan_of, splits
from schemegen.diagnostics import SchemeError, UsageError
from schemegen.network.memory import MIB, Bytes, size_of, training_step
from schemegen.network.replay import Plan, Rerun
from schemegen.scheme.builders import from_text


def plans(start: int, stop: int) -> Iterator[Plan]:
    """Yield every plan for some steps."""
    if stop - start == 1:
        yield (start,)
        return
    for rest in plans(start + 1, stop):
        yield (start, *rest)
    for middle in range(start + 1, stop):
        for inner in plans(start, middle):
            for rest in plans(middle, stop):
                yield (Rerun(start, middle, inner), *rest)


def needed(plan: Plan, steps: list[Costs]) -> int:
    """Return the peak of a plan by walking through it: forwards, then back from the end."""
    held = peak = 0
    for item in plan:
        if isinstance(item, int):
            peak = max(peak, held + steps[item].tape)
            held += steps[item].held
            continue
        for index in range(item.start, item.stop):
            before = 0 if index == item.start else steps[index - 1].carry
            peak = max(peak, held + before + steps[index].run)
        held += steps[item.stop - 1].carry
    for item in reversed(plan):
        if isinstance(item, int):
            held -= steps[item].held
            peak = max(peak, held + steps[item].back)
        else:
            held -= steps[item.stop - 1].carry
            peak = max(peak, held + needed(item.inner, steps))
    return peak


@pytest.mark.parametrize("seed", range(8))
def test_no_plan_beats_those_that_are_found(seed: int) -> None:
    draws = random.Random(seed)
    steps = []
    for _ in range(6):
        carry, more = draws.randint(1, 9), draws.randint(5, 40)
        tape = carry + more + draws.randint(0, 9)
        run = carry + draws.randint(0, 5)
        steps.append(Costs(carry, carry + more, run, tape, tape + draws.randint(0, 9)))
    found = options(steps)
    for option in found:
        plan = plan_of(option, 0, len(steps))
        assert needed(plan, steps) == option.memory
        assert advances(plan) == option.again
    every = [(needed(plan, steps), advances(plan)) for plan in plans(0, len(steps))]
    for memory, again in every:
        assert any(o.memory <= memory and o.again <= again for o in found)


def test_equal_steps_without_room_for_activations_are_binomial() -> None:
    found = options([Costs(10, 1000, 10, 1000, 1000)] * 12)
    for kept in range(1, 8):
        [option] = [o for o in found if o.memory == 1000 + 10 * kept]
        assert option.again == fewest(12, kept)


def test_long_rows_keep_their_ends_and_a_few_places_between() -> None:
    places = [middle for middle in range(1, 400) if splits(middle, 400)]
    assert places[:3] == [1, 2, 3]
    assert places[-1] == 399
    assert len(places) < 60


def test_bytes_are_those_of_living_storages() -> None:
    x = torch.ones(1000)
    with Bytes([x]) as bytes_:
        y = x + 1
        z = y.view(10, 100)
        assert bytes_.now == 4000
        y = y * 2
        assert (bytes_.now, bytes_.peak) == (8000, 8000)
        del z
        assert bytes_.now == 4000
        x.add_(1)
        assert bytes_.now == 4000
        del y
    assert (bytes_.now, bytes_.peak) == (0, 8000)


@pytest.mark.parametrize(
    ("scheme", "budget"),
    [("resnet", 9.0), ("resnet", 11.0), ("rk2", 12.0), ("revnet", 7.0), ("lm_resnet", 12.0),
     ("stochastic_depth", 10.0)],
)  # fmt: skip
def test_the_peak_is_within_the_budget_and_as_expected(scheme: str, budget: float) -> None:
    how = f"memory={budget},batch=8"
    module = schemegen.build(scheme, network="cifar_resnet20", backprop=how)
    facts = module.meta["backprop"]
    torch.manual_seed(0)
    # A branch that a draw removes takes no memory: the peak is that of several draws.
    measured = max(training_step(module, torch.randn(8, 3, 32, 32)) for _ in range(6)) / MIB
    assert facts["expected_peak"] <= budget
    assert abs(facts["expected_peak"] - measured) <= 0.1 * measured
    assert facts["run_again"] > 0


def test_more_memory_is_less_work_down_to_none() -> None:
    work = [
        schemegen.build("resnet", network="cifar_resnet20", backprop=f"memory={size},batch=8").meta[
            "backprop"
        ]["run_again"]
        for size in (8.6, 9, 11, 12.5, 100)
    ]
    assert work == sorted(work, reverse=True)
    assert work[0] > work[1] > work[-1] == 0


def test_too_little_memory_and_a_missing_batch() -> None:
    with pytest.raises(SchemeError) as refused:
        schemegen.build("resnet", network="tiny", backprop="memory=0.05,batch=64")
    [found] = refused.value.diagnostics
    assert found.code == "E0808"
    assert "the least is" in found.help
    least = found.help.split()[3]
    assert float(least) > 0.05
    with pytest.raises(UsageError, match="batch size"):
        schemegen.build("resnet", network="tiny", backprop="memory=1")
    for text in ("memory=0,batch=1", "memory=1,batch=0", "memory=x,batch=1", "memory=1e3,batch=2"):
        with pytest.raises(UsageError, match="unknown backpropagation"):
            schemegen.build("resnet", network="tiny", backprop=text)


def test_memory_is_flat_in_depth_where_steps_run_backwards() -> None:
    text = """scheme s {{ state x, v; drift f(v): block preact; drift g(x): block preact
      step {{ x[n+1] = x[n] + h*f(v[n]); v[n+1] = v[n] + h*g(x[n+1]) }} }}
    network n {{ input: shape [3, 16, 16], classes 10; stem: conv(3), width 8
      stage: width 8, steps {steps}
      head: bn, relu, avgpool, linear }}"""
    peaks = []
    for steps in (10, 200):
        module = schemegen.build(from_text(text.format(steps=steps)), backprop="reversible=1/2")
        own = 2 * size_of(module.parameters()) + size_of(module.buffers())
        with torch.device("meta"):
            peaks.append(training_step(module.to("meta"), torch.empty(16, 3, 16, 16)) - own)
    assert peaks[1] <= 1.05 * peaks[0]
