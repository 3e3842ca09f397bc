"""``map F(x) = ..``: named sub-maps, each of which may call only earlier ones."""

from __future__ import annotations

from schemegen.language.nodes import (
    Call,
)
from schemegen.language.nodes import (
    MapDefinition as MapNode,
)
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Drift, MapDefinition
from schemegen.scheme.names import Names
from schemegen.scheme.scopes import (
    Scope,
    check_coefficients,
    check_names,
    warn_nonlinear,
)
from schemegen.scheme.times import check_times

__all__ = ["CALLS", "MAPS", "maps"]

CALLS = 4096
MAPS = 32


def maps(
    names: Names, nodes: list[MapNode], drifts: tuple[Drift, ...]
) -> tuple[MapDefinition, ...]:
    """Return the maps of a scheme; one may call only earlier ones, so that it ends (E0310)."""
    report = names.report
    arity = {drift.name: len(drift.arguments) + drift.timed for drift in drifts}
    calls: dict[str, int] = dict.fromkeys(arity, 1)
    found: list[MapDefinition] = []
    if len(nodes) > MAPS:
        report.add(
            "E0118",
            f"the scheme has {len(nodes)} maps, the limit is {MAPS}",
            nodes[MAPS].name.span,
            "limits are listed in `explain E0118`",
        )
        return ()
    for node in nodes:
        if names.spans.get(node.name.id) != node.name.span:
            continue
        arguments = tuple(item.id for item in node.arguments)
        scope = Scope(names, arity, set(arguments), set(), in_map=True)
        sound = check_names(scope, node.body)
        for part in parts(node.body):
            if (
                isinstance(part, Call)
                and names.kinds.get(part.name) == "map"
                and part.name not in arity
            ):
                itself = "itself" if part.name == node.name.id else f"the later map `{part.name}`"
                report.add(
                    "E0310",
                    f"map `{node.name.id}` calls {itself}",
                    part.name_span,
                    "a map may call only earlier maps",
                )
                sound = False
        if not sound:
            report.poisoned |= {node.name.id}
            continue
        check_coefficients(scope, node.body)
        check_times(names, node.body, drifts)
        warn_nonlinear(scope, node.body)
        total = sum(calls.get(part.name, 0) for part in parts(node.body) if isinstance(part, Call))
        if total > CALLS:
            report.add(
                "E0118",
                f"map `{node.name.id}` makes {total} drift calls, the limit is {CALLS}",
                node.name.span,
                "limits are listed in `explain E0118`",
            )
            report.poisoned |= {node.name.id}
            continue
        calls[node.name.id] = total
        arity[node.name.id] = len(arguments)
        found.append(MapDefinition(node.name.id, arguments, node.body, node.span))
    return tuple(found)
