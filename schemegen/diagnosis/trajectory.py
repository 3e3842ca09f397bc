"""A network run at data, step by step: states, fields and coefficients as its scheme names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from schemegen.backends.coefficients import scheduled
from schemegen.backends.graph import unrolled
from schemegen.backends.names import attribute, variable
from schemegen.network.blocks import StageBatchNorm
from schemegen.scheme.model import Scheme
from schemegen.scheme.network import NetworkSpec
from schemegen.step.arithmetic import real
from schemegen.step.lower import lower
from schemegen.training.coefficients import coefficients_at
from schemegen.training.lyapunov import Recorder

__all__ = ["Field", "StepAt", "trajectory"]

Field = Callable[..., Tensor]
States = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class StepAt:
    """One step of a network at a batch of inputs.

    ``before`` and ``after``: the states, as far as the graph has nodes for them. ``fields``: by drift, a function
    of its ``arguments``; ``several`` names the drifts that have weights of their own for each evaluation.
    ``symbols``: values of params and schedules. ``own``: a step of the scheme itself, no start and no change of
    shape.
    """

    stage: int
    step: int
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    fields: dict[str, Field]
    arguments: dict[str, tuple[str, ...]]
    modules: dict[str, nn.Module]
    several: tuple[str, ...]
    symbols: dict[str, Tensor]
    own: bool
    reshapes: bool

    def arguments_in(self, states: States) -> bool:
        """Say whether there is a value of every state that the fields take."""
        return all(name in states for names in self.arguments.values() for name in names)


def trajectory(
    model: fx.GraphModule, scheme: Scheme, spec: NetworkSpec, inputs: Tensor
) -> tuple[StepAt, ...]:
    """Run ``model`` in evaluation mode and return its steps in order."""
    recorder = Recorder(model)
    with torch.no_grad():
        recorder.run(inputs)
    plans = unrolled(lower(scheme), spec, {}).steps
    before = _stem(model, scheme, recorder)
    found = []
    for plan in plans:
        place = (plan.stage, plan.index)
        nodes = [node for node in model.graph.nodes if _place(node) == place]
        after = _states(nodes, scheme, recorder)
        modules = {drift.name: _blocks(nodes, model, drift.name) for drift in scheme.drifts}
        symbols = coefficients_at(model, scheme, place)
        for schedule in scheme.schedules:
            value = real(scheduled(schedule, plan.position, len(plans)))
            symbols[schedule.name] = torch.tensor(value, dtype=torch.float64)
        found.append(
            StepAt(
                stage=plan.stage,
                step=plan.index,
                before=before,
                after=after,
                fields={k: _field(v[0]) for k, v in modules.items() if v},
                arguments={drift.name: drift.arguments for drift in scheme.drifts},
                modules={k: v[0] for k, v in modules.items() if v},
                several=tuple(k for k, v in modules.items() if len(v) > 1),
                symbols=symbols,
                own=plan.kind == "step" and not plan.reshapes,
                reshapes=plan.reshapes,
            )
        )
        before = after
    return tuple(found)


def _place(node: fx.Node) -> tuple[Any, Any]:
    custom = node.meta.get("custom", {})
    return custom.get("stage"), custom.get("step")


def _stem(model: fx.GraphModule, scheme: Scheme, run: Recorder) -> dict[str, Tensor]:
    nodes = {node.name: node for node in model.graph.nodes if node.name.startswith("stem_")}
    zero = set(scheme.start.zero)
    principal = [state.name for state in scheme.states if state.name not in zero]
    found = {}
    for state in scheme.states:
        name = f"stem_{variable(state.name)}"
        alone = len(principal) == 1 and state.name == principal[0]
        node = nodes.get("stem_u") if alone else nodes.get(name)
        if node is not None:
            found[state.name] = run.found[node].detach()
    return found


def _states(nodes: list[fx.Node], scheme: Scheme, run: Recorder) -> dict[str, Tensor]:
    found = {}
    for state in scheme.states:
        value = f"{state.name}[n+1]"
        own = [node for node in nodes if node.meta["custom"]["value"] == value]
        own = [node for node in own if isinstance(run.found[node], Tensor)]
        if own:
            found[state.name] = run.found[own[-1]].detach()
    return found


def _blocks(nodes: list[fx.Node], model: fx.GraphModule, drift: str) -> list[nn.Module]:
    """Return the different modules by which a step evaluates a drift, in the order of their first use."""
    pattern = re.compile(rf"(shared_)?{re.escape(attribute(drift))}(_\d+)?")
    paths: dict[str, None] = {}
    for node in nodes:
        path = str(node.target)
        if node.op in ("call_module", "get_attr") and pattern.fullmatch(path.rpartition(".")[2]):
            paths.setdefault(path)
    found = []
    for path in paths:
        try:
            found.append(model.get_submodule(path))
        except AttributeError:
            continue  # a coefficient of the same name
    return found


def _field(block: nn.Module) -> Field:
    """Return a block as a function of states: with the statistics of the first evaluation of a step."""
    numbered = any(isinstance(item, StageBatchNorm) for item in block.modules())

    def field(*states: Tensor) -> Tensor:
        value: Tensor = block(*states, 0) if numbered else block(*states)
        return value

    return field
