"""What the user asks to compare, and the runs that this means: everything is checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemegen.comparison.measures import check_measures
from schemegen.comparison.model import Arm, Group, Measures, Run, Size
from schemegen.comparison.sizes import matched, resized, size_of, with_network
from schemegen.diagnostics import Diagnostic, SchemeError, UsageError
from schemegen.pipeline import Unit, prepare
from schemegen.selection import source_of
from schemegen.training.config import NETWORKS, Config, recipe
from schemegen.training.data import load_data

__all__ = ["Plan", "Request", "arm_of", "planned"]

MATCHES = {"params": "parameters", "compute": "flops"}
LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,40}")


@dataclass(frozen=True, slots=True)
class Request:
    """Schemes, networks, depths, data and seeds that are crossed, and how they are trained and measured.

    ``match``: None, ``params`` or ``compute``: other schemes get the width or depth (``adjust``) at which they are
    as large or as expensive as the reference. ``settings`` go to :func:`schemegen.training.recipe`.
    """

    arms: tuple[Arm, ...]
    networks: tuple[str, ...] = ()
    depths: tuple[int, ...] = ()
    data: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    reference: str | None = None
    match: str | None = None
    adjust: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)
    data_dir: Path = Path("data")
    download: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of a request in their order, and the size of each arm's network in each group."""

    request: Request
    reference: str
    groups: tuple[Group, ...]
    sizes: dict[tuple[str, Group], Size]
    runs: tuple[Run, ...]
    remarks: tuple[Diagnostic, ...] = ()


def arm_of(text: str) -> Arm:
    """Read ``[LABEL=]SCHEME[@STEPS]``: a scheme of the zoo or a file, with as many steps a stage."""
    label, equals, rest = text.partition("=")
    what = rest if equals else text
    scheme, at, depth = what.rpartition("@")
    if not at or not depth.isdigit():
        scheme, depth = what, ""
    if depth and int(depth) < 1:
        raise UsageError(f"`{text}` asks for a stage without steps")
    name = label if equals else Path(scheme).stem + (f"@{depth}" if depth else "")
    if equals and not LABEL.fullmatch(label):
        raise UsageError(f"`{label}` is no label", "letters, digits and _ . + -")
    return Arm(name, scheme, int(depth) if depth else None)


def planned(request: Request) -> Plan:
    """Compile every scheme with every network, look for the data, and return the runs.

    Errors: UsageError for what is unknown, missing or named twice; SchemeError with the mistakes of all schemes.
    """
    _check(request)
    reference = request.reference or request.arms[0].label
    config = recipe(_first(request.data), **request.settings)
    names = request.data or (config.data,)
    groups: list[Group] = []
    sizes: dict[tuple[str, Group], Size] = {}
    runs: list[Run] = []
    wrong: list[Diagnostic] = []
    remarks: list[Diagnostic] = []
    for data in names:
        own = recipe(data, **request.settings)
        for network in request.networks or (NETWORKS.get(data),):
            units = dict(_prepared(request.arms, network, wrong))
            remarks += [item for unit in units.values() for item in unit.diagnostics]
            for depth in request.depths or (None,):
                made = _sized(request, units, reference, depth, wrong)
                if wrong or not made:
                    continue
                spec = next(iter(made.values()))[0].network
                assert spec is not None
                group = Group(data, spec.name, depth)
                groups.append(group)
                for label, (unit, size) in made.items():
                    assert unit.network is not None
                    load_data(data, request.data_dir, unit.network, download=request.download)
                    sizes[label, group] = size
                    runs += _runs(request, label, group, unit, own)
    if wrong:
        raise SchemeError(dict.fromkeys(wrong))
    return Plan(
        request, reference, tuple(groups), sizes, tuple(runs), tuple(dict.fromkeys(remarks))
    )


def _first(names: Sequence[str]) -> str | None:
    return names[0] if names else None


def _check(request: Request) -> None:
    labels = [arm.label for arm in request.arms]
    if not labels:
        raise UsageError("name the schemes to compare", "schemegen compare resnet lm_resnet")
    if not request.seeds:
        raise UsageError("a comparison needs at least one seed", "`--seeds 5` takes 0, 1, 2, 3, 4")
    for what, items in (
        ("label", labels),
        ("network", request.networks),
        ("depth", request.depths),
        ("data set", request.data),
        ("seed", request.seeds),
    ):
        twice = sorted({str(item) for item in items if list(items).count(item) > 1})
        if twice:
            names = ", ".join(f"`{item}`" for item in twice)
            advice = "write LABEL=SCHEME to tell them apart" if what == "label" else None
            raise UsageError(f"the {what} {names} is named twice", advice)
    if request.reference is not None and request.reference not in labels:
        raise UsageError(f"no arm is called `{request.reference}`", f"arms: {', '.join(labels)}")
    if request.match is not None and request.match not in MATCHES:
        raise UsageError(f"unknown match `{request.match}`", "match: params, compute")
    if request.adjust is not None and request.adjust not in ("width", "depth"):
        raise UsageError(f"unknown adjustment `{request.adjust}`", "adjust: width, depth")
    if any(depth < 1 for depth in request.depths):
        raise UsageError("a stage takes at least one step")
    check_measures(request.measures)


def _prepared(
    arms: Sequence[Arm], network: str | None, wrong: list[Diagnostic]
) -> Iterator[tuple[str, Unit]]:
    for arm in arms:
        try:
            units = prepare(source_of(arm.scheme), network=network)
        except SchemeError as error:
            wrong += error.diagnostics
            continue
        if len(units) != 1:
            names = ", ".join(unit.scheme.name for unit in units)
            raise UsageError(
                f"{arm.scheme} declares {len(units)} schemes: {names}", "keep one in a file"
            )
        yield arm.label, units[0]


def _sized(
    request: Request,
    units: Mapping[str, Unit],
    reference: str,
    depth: int | None,
    wrong: list[Diagnostic],
) -> dict[str, tuple[Unit, Size]]:
    """Return each arm with its network at a depth, made as large as the reference where that is asked for."""
    own = {arm.label: arm.depth for arm in request.arms}
    made: dict[str, tuple[Unit, Size]] = {}
    for label, unit in units.items():
        steps = own[label] or depth
        try:
            changed = unit if steps is None else _deeper(unit, steps)
            made[label] = (changed, size_of(changed))
        except SchemeError as error:
            wrong += error.diagnostics
    if wrong or request.match is None:
        return made
    what = MATCHES[request.match]
    adjust = request.adjust or ("width" if request.match == "params" else "depth")
    target = getattr(made[reference][1], what)
    return {
        label: (unit, size)
        if getattr(size, what) == target or own[label] is not None
        else matched(unit, target, what, adjust)
        for label, (unit, size) in made.items()
    }


def _deeper(unit: Unit, steps: int) -> Unit:
    spec = unit.network
    assert spec is not None
    return with_network(unit, resized(spec, steps=(steps,) * len(spec.stages)), spec.name)


def _runs(request: Request, label: str, group: Group, unit: Unit, config: Config) -> Iterator[Run]:
    assert unit.network is not None
    recorded = {k: v for k, v in config.recorded().items() if k not in ("seed", "data")}
    for seed in request.seeds:
        yield Run(
            arm=label,
            group=group,
            seed=seed,
            scheme_name=unit.scheme.name,
            scheme_text=unit.scheme.source.text,
            network_name=unit.network.name,
            network_text=unit.network.source.text,
            settings=tuple(sorted(recorded.items())),
            measures=request.measures,
        )
