"""The registered blocks: which there are and what a file may say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BLOCKS", "MAY_BE_ZERO", "BlockKind", "divided"]


@dataclass(frozen=True, slots=True)
class BlockKind:
    """What is known of a block by its name.

    ``options`` are whole numbers that a network may set. ``normed`` blocks keep batch-norm statistics; those that
    ``share`` start with a BN-ReLU that a shortcut may use too. ``maps`` is ``image`` or ``vector`` where a block
    takes only these. A ``timed`` block takes the time; ``inner``: it has a place for noise before its last kernel;
    ``paths``: unless its option ``drop`` is 0 it takes the draw of drop-path, one for the whole network.
    """

    options: tuple[str, ...] = ()
    normed: bool = False
    shares: bool = False
    maps: str = "image"
    timed: bool = False
    inner: bool = False
    paths: bool = False


BLOCKS: dict[str, BlockKind] = {
    "preact": BlockKind(("width", "groups"), normed=True, shares=True, inner=True),
    "bottleneck": BlockKind(
        ("expansion", "widen", "width", "groups"), normed=True, shares=True, inner=True
    ),
    "postact": BlockKind(("width", "groups"), normed=True),
    "postact_bottleneck": BlockKind(("expansion", "widen", "width", "groups"), normed=True),
    "mlp": BlockKind(("expansion", "width"), maps="vector"),
    "conv1x1": BlockKind(("groups",)),
    "attention": BlockKind(("heads",)),
    "feedforward": BlockKind(("expansion",), maps=""),
    "encoder": BlockKind(("heads", "expansion")),
    "shake": BlockKind(("width", "groups"), normed=True),
    "fractal": BlockKind(("columns", "drop"), paths=True),
    "tied": BlockKind(("width",)),
    "antisymmetric": BlockKind(),
    "damped_antisymmetric": BlockKind(("per_mille",)),
    "lipschitz": BlockKind(("width", "per_cent")),
    "ode": BlockKind(timed=True),
}
"""Every registered block; ``network/blocks.py`` holds the module of each."""

MAY_BE_ZERO = ("drop", "per_mille")


def divided(
    name: str, options: Mapping[str, int], into: int, out: int
) -> tuple[str, tuple[int, ...]]:
    """Return the option of a block that must divide channels, and these; none of them where it is not set."""
    kind = BLOCKS[name]
    if "heads" in kind.options:
        return "heads", (out,)
    if "groups" not in options:
        return "groups", ()
    inner = options.get("width")
    if "expansion" in kind.options:
        return "groups", (inner or out * options.get("widen", 1) // options.get("expansion", 4),)
    return "groups", (into, inner or out, out)
