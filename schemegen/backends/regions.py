"""A network whose steps are compiled, each form once: the first call does not grow with depth."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.costs import TYPICAL, cheapest, forms
from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.filtering import PortionedNetwork, filtered
from schemegen.backends.folding import CHAIN, Cut, cuts, described, form_of, kind, targets_of
from schemegen.backends.functional import functional
from schemegen.backends.rebuilt import finished, shallow
from schemegen.backends.written import heard
from schemegen.diagnostics import UsageError
from schemegen.network.functions import layer
from schemegen.network.loop import Loop, per_sample
from schemegen.network.region import Region
from schemegen.network.replay import Call, Chain
from schemegen.network.solvers import Solver
from schemegen.network.winograd import convolved

__all__ = ["REGIONS", "compile_network"]

REGIONS = "regions"
Composed = tuple[fx.GraphModule, list[str]]
"""Steps as one function of what they begin with and of weights, and the names of these."""
MOST = 400
"""Calls of a row of steps that is compiled as a whole; its first call takes longer with each."""
WHOLE, WRITTEN = 1200, 50
"""The same of a network for inference, and as how many calls a convolution by minimal filtering counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands in the network."""

    stage: int
    index: int
    position: int


def compile_network(network: fx.GraphModule, **options: Any) -> SchemeNetwork:
    """Return ``network`` with its stem, its head and each form of its steps compiled by themselves.

    Steps of one form, the same operations on the same shapes with other weights, share one compiled body, so
    that compiling takes as long for 110 layers as for 20. Steps that share their weights (``weights network``)
    and treat samples one by one run as a loop, whose graph does not grow with depth, or as one body where few
    small steps are less work with their layers composed. Steps that solve equations with ``gradient implicit``
    stay as they are. Parameters, buffers and their names are those of ``network``, which is left as it is. A
    network with a plan for its backward pass keeps it, and its steps, run again or backwards, are compiled too.

    A network of ``optimize(.., mode="inference")`` is compiled as a whole if it has no more than some 20 large
    convolutions and calls no modules. On a processor, those of 3 x 3 with 24 channels or more are computed by
    minimal filtering, whose rounding errors are some five times those of products, and large batches are taken
    in portions.

    Args:   options: of ``torch.compile``, for example ``mode="reduce-overhead"`` or ``dynamic=True``.
    Errors: UsageError where ``network`` was not built by schemegen or has been compiled before.
    """
    if not isinstance(network, SchemeNetwork):
        raise UsageError("only a network that schemegen.build returned has steps to compile")
    if any(isinstance(item, Region | Loop) for item in network.modules()):
        raise UsageError("the steps of this network are compiled already")
    if unknown := sorted({"fullgraph", "model"} & set(options)):
        raise UsageError(f"`{unknown[0]}` is not an option here: every region is one whole graph")
    if network.meta.get("mode") == "inference":
        return with_inference(network, options)
    chain = getattr(network, CHAIN, None)
    if isinstance(chain, Chain):
        return with_compiled_chain(network, chain, options)
    return with_regions(network, parts(network), options)


def with_inference(network: SchemeNetwork, options: Mapping[str, Any]) -> SchemeNetwork:
    """Return a network that ``optimize`` made for inference compiled, as a whole if it is no deep one."""
    ready = filtered(network)
    found = parts(ready)
    calls = sum(WRITTEN if node.target is convolved else 1 for node in ready.graph.nodes)
    if calls <= WHOLE and not ready.graph.find_nodes(op="call_module"):
        nodes = tuple(node for cut in found for node in cut.nodes)
        found = (Cut(nodes, found[0].before, found[-1].after),)
    return with_regions(ready, found, pooled(ready, options))


def with_compiled_chain(
    network: SchemeNetwork, chain: Chain, options: Mapping[str, Any]
) -> SchemeNetwork:
    """Return the network with the functions of its chain compiled."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(network.graph, {}))
    calls, forms = hearing(network, chain)
    regions = [region(form, owners, options) for form, owners in forms]
    root = shallow(network)
    root.add_module(CHAIN, Chain(regions, calls, chain.plan, chain.meter.bound))
    return finished(root, graph, network)


def region(
    form: fx.GraphModule, owners: Sequence[nn.Module | Tensor], options: Mapping[str, Any]
) -> nn.Module:
    """Return a form compiled by itself, or as it is where it solves equations and is pulled back implicitly.

    A compiled solver takes all its iterations, and as many terms of a series in place of the inverse.
    """
    modules = (item for owner in owners if isinstance(owner, nn.Module) for item in owner.modules())
    solved = any(isinstance(item, Solver) and item.gradient == "implicit" for item in modules)
    return form if solved else Region(form, options)


def hearing(
    network: nn.Module, chain: Chain
) -> tuple[list[Call], list[tuple[fx.GraphModule, Sequence[nn.Module | Tensor]]]]:
    """Return the calls of a chain without graphs that no compiler writes, and the forms they number with owners.

    Steps with a module that somebody listens to have forms of their own, since a compiled body serves the module
    that it met first.
    """
    owners = [operator.attrgetter(name)(network) for name in chain.names]
    forms: dict[tuple[int, ...], tuple[fx.GraphModule, Sequence[nn.Module | Tensor]]] = {}

    def number(form: int, places: Sequence[int]) -> int:
        apart = (i for i in places if isinstance(owners[i], nn.Module) and heard(owners[i]))
        key = (form, *apart)
        if key not in forms:
            found: Any = chain.forms[form]
            found = found if len(key) == 1 else copy.deepcopy(found)
            forms[key] = found, [owners[i] for i in places]
        return list(forms).index(key)

    calls = []
    for call in chain.calls:
        inverse = None if call.inverse is None else number(call.inverse, call.undo)
        calls.append(
            replace(call, form=number(call.form, call.owners), inverse=inverse, retrace=None)
        )
    return calls, list(forms.values())


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
    """Return the network with each part a call of the region of its form, and equal steps as loops."""
    graph, root = fx.Graph(), shallow(network)
    root.add_module(REGIONS, nn.Module())
    places: dict[object, str] = {}
    made: dict[fx.Node, fx.Node] = {}
    (x,) = found[0].before
    made[x] = graph.node_copy(x)
    for stretch, whole in composed_stretches(network, found):
        if whole is not None:
            code, targets = whole
            place = f"{REGIONS}.{len(places)}"
            places[stretch[0]] = place
            root.set_submodule(place, Region(code, looped(network, options)))
            called(graph, joined(stretch), place, targets, made)
            continue
        for group in rows(network, stretch):
            form, targets = form_of(group[0])
            key = (len(group), *kind(network, group[0], form, targets))
            if key not in places:
                places[key] = f"{REGIONS}.{len(places)}"
                if len(group) > 1:
                    width = len(group[0].before)
                    body: nn.Module = Loop(form, width, len(group), looped(network, options))
                else:
                    owners = [operator.attrgetter(name)(network) for name in targets]
                    body = region(form, owners, options)
                root.set_submodule(places[key], body)
            called(graph, joined(group), places[key], targets, made)
    described(graph.output(made[found[-1].after[0]]), network.graph.output_node())
    portioned = isinstance(network, PortionedNetwork)
    return finished(root, graph, network, PortionedNetwork if portioned else SchemeNetwork)


def called(
    graph: fx.Graph, cut: Cut, place: str, targets: Sequence[str], made: dict[fx.Node, fx.Node]
) -> None:
    """Write the call of a region and take its results apart."""
    handed = [graph.get_attr(name) for name in targets]
    call = graph.call_module(place, (*(made[node] for node in cut.before), *handed))
    for node in (*handed, call):
        described(node, cut.nodes[0])
    for index, node in enumerate(cut.after):
        made[node] = graph.call_function(operator.getitem, (call, index))
        described(made[node], node)


def joined(steps: Sequence[Cut]) -> Cut:
    """Return steps in a row as one part."""
    return Cut(steps[0].nodes, steps[0].before, steps[-1].after)


def stretches(network: SchemeNetwork, found: Sequence[Cut]) -> Iterator[tuple[Cut, ...]]:
    """Yield the parts in stretches: steps per sample that use weights of the step before, the others alone.

    A multistep method starts and ends with steps of other forms, so that a stretch may hold several rows.
    """
    stretch: tuple[Cut, ...] = ()
    known: set[str] = set()
    for cut in found:
        targets = set(targets_of(cut)) if alone_per_sample(network, cut) else set()
        if stretch and not known & targets:
            yield stretch
            stretch = ()
        stretch, known = (*stretch, cut), targets
    yield stretch


def composed_stretches(
    network: SchemeNetwork, found: Sequence[Cut]
) -> list[tuple[tuple[Cut, ...], Composed | None]]:
    """Return the stretches, each with what it is composed to.

    Where all steps are one, stem and head are composed with them if they are the same in every mode: a call then
    enters compiled code once.
    """
    each: list[tuple[tuple[Cut, ...], Composed | None]] = [
        (stretch, composed_row(network, stretch) if len(stretch) > 1 else None)
        for stretch in stretches(network, found)
    ]
    if [whole is not None for _, whole in each] == [False, True, False]:
        every = tuple(found)
        alike = all(cut.nodes and mapping_samples(network, cut) for cut in every)
        if alike and (whole := composed_row(network, every)) is not None:
            return [(every, whole)]
    return each


def rows(network: SchemeNetwork, found: Sequence[Cut]) -> Iterator[tuple[Cut, ...]]:
    """Yield the parts in rows: those that run one after the other with the same weights, the others alone."""
    for key, group in groupby(found, partial(row, network)):
        cuts_ = tuple(group)
        if key is None or len(cuts_) < 2:
            yield from ((trimmed(cut),) for cut in cuts_)
        else:
            yield cuts_


def composed_row(network: SchemeNetwork, steps: Sequence[Cut]) -> Composed | None:
    """Return steps as one function of what they begin with and of weights, with their layers composed.

    None where that is no less work, or where there are so many calls that compiling them would take long.
    """
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    for node in steps[0].before:
        made[node] = graph.placeholder(node.name)
        made[node].meta.update(node.meta)
    for cut in steps:
        for node in cut.nodes:
            for needed in node.all_input_nodes:
                if needed.op == "get_attr" and needed not in made:
                    made[needed] = graph.node_copy(needed)
            made[node] = graph.node_copy(node, made.__getitem__)
    graph.output(tuple(made[node] for node in steps[-1].after))
    written = functional(fx.GraphModule(network, graph).train(network.training))
    every = forms(written.graph)
    best = every[cheapest(every, TYPICAL)]
    calls = sum(node.op.startswith("call") for node in best.nodes)
    if best is every[0] or calls > MOST:
        return None
    for node in best.nodes:
        if node.target is F.linear and len(node.meta.get("shape", ())) == 1:
            node.target = layer
    return fx.GraphModule(nn.Module(), best), list(written.values)


def alone_per_sample(network: SchemeNetwork, cut: Cut) -> bool:
    """Return whether a part is a step that maps each sample by itself."""
    return cut.nodes[0].meta["custom"]["step"] is not None and mapping_samples(network, cut)


def mapping_samples(network: SchemeNetwork, cut: Cut) -> bool:
    """Return whether a part maps each sample by itself, changes and draws nothing."""
    return all(per_sample(operator.attrgetter(name)(network)) for name in targets_of(cut))


def row(network: SchemeNetwork, cut: Cut) -> object:
    """Return what the steps of a loop have in common, None where a step cannot be in one."""
    if len(cut.before) != len(cut.after) or not alone_per_sample(network, cut):
        return None
    form, targets = form_of(cut)
    return (kind(network, cut, form, targets), tuple(targets))


def looped(network: nn.Module, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of loops: on a processor their small kernels are called from C++."""
    return with_defaults(network, options, cpp_wrapper=True)


def pooled(network: nn.Module, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for inference: on a processor called from C++, with one piece of memory for a region.

    Transformed images are large: freed one by one, they go back to the system and are paged in anew in every call.
    """
    return with_defaults(network, options, cpp_wrapper=True, memory_planning=True)


def with_defaults(network: nn.Module, options: Mapping[str, Any], **usual: Any) -> dict[str, Any]:
    """Return options with inductor's ``usual`` ones for processors, where none of another kind are given."""
    tensors = (*network.parameters(), *network.buffers())
    on_cpu = all(item.device.type == "cpu" for item in tensors)
    plain = options.get("backend", "inductor") == "inductor" and "mode" not in options
    if not (on_cpu and plain):
        return dict(options)
    return {**options, "options": {**usual, **options.get("options", {})}}


def trimmed(cut: Cut) -> Cut:
    """Return a part that takes only what it computes with and returns only what it computed."""
    used = {item for node in cut.nodes for item in node.all_input_nodes}
    made = set(cut.nodes)
    before = tuple(node for node in cut.before if node in used)
    return Cut(cut.nodes, before, tuple(node for node in cut.after if node in made))
