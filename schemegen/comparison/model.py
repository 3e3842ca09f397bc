"""What is compared and what came of it: plain values, all of them JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Arm", "Group", "Measures", "Run", "RunResult", "Size"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the schemes that are compared: its label, where its text is, and a depth of its own if it has one."""

    label: str
    scheme: str
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """What a network costs: trainable parameters, and of one image the evaluations of drifts and operations.

    ``flops``: floating-point operations of convolutions and products of matrices, as torch's FlopCounterMode has.
    """

    parameters: int
    evaluations: int
    flops: int
    steps: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of a trained network beside its accuracy on the test images."""

    attacks: tuple[str, ...] = ()
    eps: tuple[str, ...] = ()
    steps: int | None = None
    norm: str = "Linf"
    corruptions: tuple[str, ...] = ()
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that stand side by side: a data set, a network and a depth (None: that of the network as written)."""

    data: str
    network: str
    depth: int | None

    def __str__(self) -> str:
        depth = "" if self.depth is None else f", {self.depth} steps a stage"
        return f"{self.data}, {self.network}{depth}"


@dataclass(frozen=True, slots=True)
class Run:
    """One training run from its texts; ``settings`` are those of :func:`schemegen.training.recipe`."""

    arm: str
    group: Group
    seed: int
    scheme_name: str
    scheme_text: str
    network_name: str
    network_text: str
    settings: tuple[tuple[str, Any], ...]
    measures: Measures

    @property
    def key(self) -> str:
        """The hash of everything that decides the outcome; labels do not."""
        content = asdict(self)
        del content["arm"]
        content["group"] = content["group"]["data"]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder(self) -> str:
        """The name of its folder: readable, another one for every other setting, the same under every label."""
        return f"{self.scheme_name}-{self.network_name}-s{self.seed}-{self.key[:10]}"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run reached. ``measures``: by name a share of images; ``failed``: why there are none."""

    arm: str
    group: Group
    seed: int
    key: str
    measures: dict[str, float] = field(default_factory=dict)
    history: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failed: str | None = None
