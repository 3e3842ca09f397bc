"""The steps of a graph folded into one chain, whose backward pass follows a plan."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, fx, nn

from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.picklable import PicklableGraph
from schemegen.backends.plan import StepPlan
from schemegen.backends.retracing import retraced
from schemegen.backends.written import heard
from schemegen.network.replay import Call, Chain, Plan
from schemegen.network.solvers import evaluate

__all__ = ["CHAIN", "Cut", "cuts", "described", "fold", "form_of", "kind", "targets_of"]

CHAIN = "chain"
Body = tuple[fx.GraphModule, list[str]]
LABEL = re.compile(r"^stage\d+_step\d+_|_\d+$")
"""What tells one step from another in the name of a node."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One step of a graph: its nodes, and the tensors that enter and leave it."""

    nodes: tuple[fx.Node, ...]
    before: tuple[fx.Node, ...]
    after: tuple[fx.Node, ...]


def cuts(module: SchemeNetwork, steps: Sequence[StepPlan]) -> tuple[Cut, ...]:
    """Return the steps of a graph; what is alive between two of them is the carry."""
    places = {(step.stage, step.index): step.position for step in steps}
    nodes = list(module.graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    count = len(places)
    owner: dict[fx.Node, int] = {}
    for node in nodes:
        if node.op not in ("get_attr", "placeholder", "output"):
            place = node.meta["custom"]
            owner[node] = places.get((place["stage"], place["step"]), -1)
            if place["stage"] == "head":
                owner[node] = count
    alive: list[list[fx.Node]] = [[] for _ in range(count + 1)]
    for node, made in owner.items():
        last = max((owner.get(user, count) for user in node.users), default=made)
        for position in range(max(made + 1, 0), min(last, count) + 1):
            alive[position].append(node)
    for carry in alive:
        carry.sort(key=order.__getitem__)
    inside: list[list[fx.Node]] = [[] for _ in range(count)]
    for node, made in owner.items():
        if 0 <= made < count:
            inside[made].append(node)
    return tuple(
        Cut(tuple(inside[index]), tuple(alive[index]), tuple(alive[index + 1]))
        for index in range(count)
    )


class _Owners:
    """The modules and parameters that steps are called with, each once."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    @property
    def targets(self) -> list[str]:
        return list(self.places)

    def index(self, target: str) -> int:
        return self.places.setdefault(target, len(self.places))


def fold(
    module: SchemeNetwork,
    found: Sequence[Cut],
    plan: Plan,
    inverses: Mapping[int, Cut],
    bound: float | None = None,
) -> SchemeNetwork:
    """Return the network with all its steps in one :class:`Chain` that is run by ``plan``.

    ``inverses`` are steps written backwards. Names of parameters and buffers stay the same; steps of one form
    share a function.
    """
    owners = _Owners()
    forms: dict[tuple[object, ...], fx.GraphModule] = {}
    joints: dict[tuple[object, ...], fx.GraphModule | None] = {}
    calls: list[Call] = []

    def placed(key: tuple[object, ...], form: fx.GraphModule) -> int:
        forms.setdefault(key, form)
        return list(forms).index(key)

    def called(body: Body, cut: Cut) -> tuple[int, tuple[int, ...]]:
        form, targets = body
        number = placed(kind(module, cut, form, targets), form)
        return number, tuple(owners.index(name) for name in targets)

    bodies = [form_of(cut) for cut in found]
    used = {name for _, targets in bodies for name in targets}
    # the order in which the graph names them is that of the parameters
    for node in module.graph.nodes:
        if node.op in ("get_attr", "call_module") and node.target in used:
            owners.index(str(node.target))
    for body, cut in zip(bodies, found, strict=True):
        custom = cut.nodes[0].meta["custom"]
        calls.append(Call(*called(body, cut), place=(custom["stage"], custom["step"])))
    for index, cut in inverses.items():
        body = form_of(cut)
        number, undo = called(body, cut)
        call = calls[index] = replace(calls[index], inverse=number, undo=undo)
        places = (call.owners.index(item) if item in call.owners else None for item in undo)
        key = (call.form, number, *places)
        if key not in joints:
            joints[key] = retraced(*bodies[index], *body)
        joint = joints[key]
        if joint is not None:
            calls[index] = replace(call, retrace=placed(key, joint))
    chain = Chain(list(forms.values()), calls, plan, bound)
    return replaced(module, found, owners.targets, chain)


def targets_of(cut: Cut) -> list[str]:
    """Return the names of what a step is called with, in the order of first use."""
    targets: list[str] = []
    for node in cut.nodes:
        names = [str(node.target)] if node.op == "call_module" else []
        names += [str(item.target) for item in node.all_input_nodes if item.op == "get_attr"]
        targets += [name for name in names if name not in targets]
    return targets


def form_of(cut: Cut) -> Body:
    """Return a step as a function of its carry and its owners, and the names of these."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    for index, node in enumerate(cut.before):
        made[node] = graph.placeholder(f"carry{index}")
        described(made[node], node)
    targets = targets_of(cut)
    handed = {name: graph.placeholder(f"owner{index}") for index, name in enumerate(targets)}

    def known(node: fx.Node) -> fx.Node:
        return handed[str(node.target)] if node.op == "get_attr" else made[node]

    for node in cut.nodes:
        op, target, arguments = node.op, node.target, fx.map_arg(node.args, known)
        if op == "call_module":
            op, target, arguments = "call_function", evaluate, (handed[str(target)], *arguments)
        name = LABEL.sub("", node.name)
        options = fx.map_arg(node.kwargs, known)
        made[node] = graph.create_node(op, target, arguments, options, name)
        described(made[node], node)
    graph.output(tuple(made[node] for node in cut.after))
    graph.lint()
    return PicklableGraph(nn.Module(), graph, "Form"), targets


def kind(
    module: nn.Module, cut: Cut, form: fx.GraphModule, targets: Sequence[str]
) -> tuple[object, ...]:
    """Return what steps have in common that one compiled body can serve.

    Those are the operations, the shapes they work on, and classes, layers and shapes of what the step is
    called with.
    """
    shapes = tuple(node.meta.get("shape") for node in (*cut.before, *cut.after))
    owners = (operator.attrgetter(name)(module) for name in targets)
    return (str(form.graph), shapes, *map(owner_kind, owners))


def owner_kind(owner: nn.Module | Tensor) -> tuple[object, ...]:
    if isinstance(owner, Tensor):
        return (tuple(owner.shape), owner.dtype, owner.requires_grad)
    tensors = [*owner.named_parameters(), *owner.named_buffers()]
    sizes = ((name, tuple(item.shape), item.dtype, item.requires_grad) for name, item in tensors)
    # a compiler does not look at hooks again for the next module that it meets in the same place
    alone = id(owner) if heard(owner) else None
    return (type(owner), repr(owner), alone, *sizes)


def described(node: fx.Node, origin: fx.Node) -> None:
    """Keep where a node comes from."""
    node.meta.update(origin.meta)
    node.stack_trace = origin.stack_trace


def replaced(
    module: SchemeNetwork, found: Sequence[Cut], targets: Sequence[str], chain: Chain
) -> SchemeNetwork:
    """Return the network with its steps replaced by one call of the chain."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    gone = {node for cut in found for node in cut.nodes}
    for node in module.graph.nodes:
        if node in gone or (node.op == "get_attr" and gone.issuperset(node.users)):
            continue
        if found[-1].after[0] not in made and gone.intersection(node.all_input_nodes):
            call_chain(graph, found, targets, made)
        made[node] = graph.node_copy(node, made.__getitem__)
    graph.lint()
    module.add_module(CHAIN, chain)
    result = SchemeNetwork(module, graph, type(module).__name__)
    result.meta.update(module.meta)
    return result


def call_chain(
    graph: fx.Graph,
    found: Sequence[Cut],
    targets: Sequence[str],
    made: dict[fx.Node, fx.Node],
) -> None:
    """Write the call of the chain and take its results apart."""
    handed = tuple(graph.get_attr(target) for target in targets)
    carry = tuple(made[node] for node in found[0].before)
    results = graph.call_module(CHAIN, (carry, handed))
    for node in (results, *handed):
        described(node, found[0].nodes[0])
    for index, node in enumerate(found[-1].after):
        made[node] = graph.call_function(operator.getitem, (results, index))
        described(made[node], node)
