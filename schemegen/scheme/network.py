"""What a ``network`` section declares, checked but still without tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import Noise

__all__ = ["Block", "Layer", "NetworkSpec", "Shortcut", "Stage"]


@dataclass(frozen=True, slots=True)
class Layer:
    """``conv(3)``, ``bn``, ``drop(b)``: a layer's name and its arguments as exact text.

    ``noise`` is what ``drop(b)`` multiplies by, once the network is bound to a scheme that declares ``b``.
    """

    name: str
    arguments: tuple[str, ...]
    span: Span = field(compare=False, repr=False)
    noise: Noise | None = None

    @property
    def text(self) -> str:
        """The layer as it is written."""
        return f"{self.name}({', '.join(self.arguments)})" if self.arguments else self.name

    @property
    def draws(self) -> str | None:
        """The name of the noise of ``drop(b)``; None for ``drop(1/2)`` and other layers."""
        if self.name != "drop" or not self.arguments or not self.arguments[0].isidentifier():
            return None
        return self.arguments[0]


@dataclass(frozen=True, slots=True)
class Block:
    """A drift's branch: a registered block with options, or ``seq [..]`` with its layers.

    A ``module:Class`` named on the command line has kind ``python`` and that text in ``name``.
    """

    name: str
    kind: str
    layers: tuple[Layer, ...]
    options: tuple[tuple[str, str], ...]
    span: Span | None = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """``steps`` steps at ``width`` channels; the first of them strides by ``stride``."""

    width: int
    steps: int
    stride: int
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What maps the states at a change of shape; ``shared`` where the block's first BN-ReLU comes before it."""

    layers: tuple[Layer, ...]
    shared: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Input shape without the batch (``(3, 32, 32)``), classes, blocks, stem, stages and head.

    ``shortcut`` is None for BN-ReLU-conv1x1; ``after`` is the activation that projects the states after each step.
    """

    name: str
    title: str
    source: Source = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)
    input_shape: tuple[int, ...] = ()
    classes: int = 10
    blocks: tuple[Block, ...] = ()
    stem: tuple[Layer, ...] = ()
    stem_width: int = 16
    stages: tuple[Stage, ...] = ()
    head: tuple[Layer, ...] = ()
    shortcut: Shortcut | None = None
    after: Layer | None = None
