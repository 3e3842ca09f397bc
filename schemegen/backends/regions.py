"""A network whose steps are compiled, each form once: the first call does not grow with depth."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.folding import CHAIN, Cut, cuts, described, form_of, kind
from schemegen.diagnostics import UsageError
from schemegen.network.region import Region
from schemegen.network.replay import Chain

__all__ = ["REGIONS", "compile_network"]

REGIONS = "regions"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands in the network."""

    stage: int
    index: int
    position: int


def compile_network(network: fx.GraphModule, **options: Any) -> SchemeNetwork:
    """Return ``network`` with its stem, its head and each form of its steps compiled by themselves.

    Steps of one form, the same operations on the same shapes with other weights, share one compiled body, so
    that compiling takes as long for 110 layers as for 20. Parameters, buffers and their names are those of
    ``network``, which is left as it is. A network with a plan for its backward pass keeps it, and its steps,
    run again or backwards, are compiled too.

    Args:   options: of ``torch.compile``, for example ``mode="reduce-overhead"`` or ``dynamic=True``.
    Errors: UsageError where ``network`` was not built by schemegen or has been compiled before.
    """
    if not isinstance(network, SchemeNetwork):
        raise UsageError("only a network that schemegen.build returned has steps to compile")
    if any(isinstance(item, Region) for item in network.modules()):
        raise UsageError("the steps of this network are compiled already")
    if unknown := sorted({"fullgraph", "model"} & set(options)):
        raise UsageError(f"`{unknown[0]}` is not an option here: every region is one whole graph")
    chain = getattr(network, CHAIN, None)
    if isinstance(chain, Chain):
        return with_compiled_chain(network, chain, options)
    return with_regions(network, parts(network), options)


def with_compiled_chain(
    network: SchemeNetwork, chain: Chain, options: Mapping[str, Any]
) -> SchemeNetwork:
    """Return the network with the functions of its chain compiled."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(network.graph, {}))
    forms = [Region(form, options) for form in chain.forms]  # type: ignore[arg-type]
    root = shallow(network)
    root.add_module(CHAIN, Chain(forms, chain.calls, chain.plan, chain.meter.bound))
    return finished(root, graph, network)


def shallow(network: nn.Module) -> nn.Module:
    """Return a module with the modules and parameters of ``network``, to which more can be added."""
    root = nn.Module()
    for name, module in network.named_children():
        root.add_module(name, module)
    for name, parameter in network.named_parameters(recurse=False):
        root.register_parameter(name, parameter)
    return root


def finished(root: nn.Module, graph: fx.Graph, network: SchemeNetwork) -> SchemeNetwork:
    graph.lint()
    result = SchemeNetwork(root, graph, type(network).__name__)
    result.meta.update(network.meta)
    return result.train(network.training)


def parts(network: SchemeNetwork) -> tuple[Cut, ...]:
    """Return the network in a row of parts: the stem, every step, the head."""
    places: dict[tuple[int, int], Place] = {}
    for node in network.graph.nodes:
        custom = node.meta.get("custom", {})
        if node.op not in ("get_attr", "placeholder", "output") and custom.get("step") is not None:
            key = (custom["stage"], custom["step"])
            places.setdefault(key, Place(*key, len(places)))
    steps = cuts(network, tuple(places.values()))  # type: ignore[arg-type]
    inside = {node for cut in steps for node in cut.nodes}
    x, *_ = network.graph.find_nodes(op="placeholder")
    (out,) = network.graph.output_node().all_input_nodes
    rest = [
        node
        for node in network.graph.nodes
        if node.op not in ("get_attr", "placeholder", "output") and node not in inside
    ]
    stem = tuple(node for node in rest if node.meta["custom"]["stage"] != "head")
    head = tuple(node for node in rest if node.meta["custom"]["stage"] == "head")
    first = steps[0].before if steps else tuple(stem[-1:])
    last = steps[-1].after if steps else first
    return (Cut(stem, (x,), first), *steps, Cut(head, last, (out,)))


def with_regions(
    network: SchemeNetwork, found: Sequence[Cut], options: Mapping[str, Any]
) -> SchemeNetwork:
    """Return the network with each part a call of the region of its form."""
    graph = fx.Graph()
    places: dict[object, str] = {}
    handed: dict[str, fx.Node] = {}
    made: dict[fx.Node, fx.Node] = {}
    (x,) = found[0].before
    made[x] = graph.node_copy(x)
    root = shallow(network)
    root.add_module(REGIONS, nn.Module())
    for cut in map(trimmed, found):
        form, targets = form_of(cut)
        key = kind(network, cut, form, targets)
        if key not in places:
            places[key] = f"{REGIONS}.{len(places)}"
            root.set_submodule(places[key], Region(form, options))
        for name in targets:
            if name not in handed:
                handed[name] = graph.get_attr(name)
                described(handed[name], cut.nodes[0])
        arguments = (*(made[node] for node in cut.before), *(handed[name] for name in targets))
        call = graph.call_module(places[key], arguments)
        described(call, cut.nodes[0])
        for index, node in enumerate(cut.after):
            made[node] = graph.call_function(operator.getitem, (call, index))
            described(made[node], node)
    described(graph.output(made[found[-1].after[0]]), network.graph.output_node())
    return finished(root, graph, network)


def trimmed(cut: Cut) -> Cut:
    """Return a part that takes only what it computes with and returns only what it computed."""
    used = {item for node in cut.nodes for item in node.all_input_nodes}
    made = set(cut.nodes)
    before = tuple(node for node in cut.before if node in used)
    return Cut(cut.nodes, before, tuple(node for node in cut.after if node in made))
