"""Whether a shortcut can share the first BN-ReLU of a block, where scheme or network ask for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from schemegen.exact import is_zero
from schemegen.language.nodes import Binary, Call, Expression, Index, Name, Unary
from schemegen.scheme.blocks import BLOCKS
from schemegen.scheme.fit_blocks import chosen
from schemegen.scheme.model import Drift, Equations, Scheme
from schemegen.scheme.network import NetworkSpec, Shortcut
from schemegen.scheme.report import Report

__all__ = ["fit_shortcuts"]


def fit_shortcuts(report: Report, scheme: Scheme, spec: NetworkSpec, given: frozenset[str]) -> None:
    """Report shortcuts that have no BN-ReLU to share (E0605); ``given`` are blocks of the command line.

    A change of shape is a step of Euler's form, whose drifts are evaluated at their states. With
    ``transition: scheme on`` the states are projected before the step, by shortcuts of their own.
    """
    shortcut = spec.shortcut
    asked = scheme.transition.bn == "shared"
    by_network = shortcut is not None and shortcut.shared
    changes = list(_changes(spec))
    if not (asked or by_network) or scheme.transition.scheme == "on" or not changes:
        return
    zero = scheme.start.zero
    read = {state.name for state in scheme.states if zero or _passes(scheme, state.name)}
    several = max(Counter(changes).values()) > 1
    span, cure = scheme.transition.span or spec.span, "write `bn own`"
    if shortcut is not None and shortcut.shared:
        span, cure = shortcut.span, "write `bn, relu` in place of `shared`"
    for state in scheme.states:
        if state.name in zero or state.name not in read:
            continue
        drifts = [item for item in scheme.drifts if item.arguments == (state.name,)]
        reasons = [_obstacle(spec, drift, given, several) for drift in drifts]
        if not all(reasons):
            continue
        reason = reasons[0] if reasons else f"no drift is that of `{state.name}` alone"
        message = f"a shared BN-ReLU needs a block that starts with `bn, relu` at `{state.name}[n]`: {reason}"
        report.add("E0605", message, span, cure)
    if asked and shortcut is not None and not shortcut.shared and read:
        _shortened(report, scheme, shortcut)


def _shortened(report: Report, scheme: Scheme, shortcut: Shortcut) -> None:
    """Report a shortcut whose own first layers a scheme cannot take from the block."""
    if tuple(layer.name for layer in shortcut.layers[:2]) != ("bn", "relu"):
        message = f"`bn shared` of `{scheme.name}` needs a shortcut that starts with `bn, relu`"
        cure = "write `bn own`, or let the shortcut start with `bn, relu`"
        report.add("E0605", message, shortcut.span, cure)


def _changes(spec: NetworkSpec) -> Iterator[tuple[int, int, int]]:
    """Yield width before, width after and stride of every change of shape."""
    width = spec.stem_width
    for stage in spec.stages:
        if stage.width != width or stage.stride > 1:
            yield width, stage.width, stage.stride
        width = stage.width


def _obstacle(spec: NetworkSpec, drift: Drift, given: frozenset[str], several: bool) -> str:
    """Return why a shortcut cannot share with the block of a drift; empty where it can."""
    block = chosen(spec, drift)
    if drift.block in given:
        return f"block `{drift.block}` is written in Python"
    if block is None:
        return f"block `{drift.block}` is not known"
    first = tuple(layer.name for layer in block.layers[:2])
    if first != ("bn", "relu") and not (block.kind in BLOCKS and BLOCKS[block.kind].shares):
        return f"`{drift.block}` does not"
    if drift.timed:
        return f"`{drift.name}` takes the time"
    if drift.knots:
        return f"the weights of `{drift.name}` are smooth"
    if drift.weights == "network" and drift.norm_stats == "stage" and several:
        return f"`{drift.name}` has statistics of its own at each of several equal changes of shape"
    return ""


def _passes(scheme: Scheme, state: str) -> bool:
    """Return whether a step reads a state besides evaluating drifts at it; else it needs no shortcut."""
    update, damping = scheme.update, scheme.damping
    damped = damping if damping is not None and damping.transition else None
    if damped is not None and damped.mode == "explicit" and is_zero(1 - damped.rate):
        return False
    if not isinstance(update, Equations):
        return True
    if any(noise.scope in ("sample", "batch") for noise in scheme.noises):
        return True  # a draw has the shape of the state
    drifts = {item.name for item in scheme.drifts}
    values = {
        item.target.id: item.value for item in update.assignments if isinstance(item.target, Name)
    }
    maps = {item.name: item for item in update.maps}
    for item in update.maps:  # a map calls those above it
        names = {node.id for node in _outside_of(item.body, drifts) if isinstance(node, Name)}
        if not names & set(item.arguments):
            drifts.add(item.name)
    queue = [item.value for item in update.assignments if isinstance(item.target, Index)]
    seen: set[str] = set()
    while queue:
        for node in _outside_of(queue.pop(), drifts):
            if isinstance(node, Index) and node.name == state and node.offset < 1:
                return True
            name = node.id if isinstance(node, Name) else node.name
            if name in seen:
                continue
            seen.add(name)
            if isinstance(node, Name) and name in values:
                queue.append(values[name])
            elif isinstance(node, Call) and name in maps:
                queue.append(maps[name].body)
    return False


def _outside_of(root: Expression, drifts: set[str]) -> Iterator[Index | Name | Call]:
    """Yield the names, states and calls of an expression that stand in no argument of a drift."""
    stack = [root]
    while stack:
        match stack.pop():
            case Unary(operand=operand):
                stack.append(operand)
            case Binary(left=left, right=right):
                stack += [left, right]
            case Call(name=name, arguments=arguments) as call:
                yield call
                if name not in drifts:
                    stack += arguments
            case Index() | Name() as node:
                yield node
            case _:
                continue
