"""Networks in one file: weights as safetensors with the texts they belong to. Loading compiles the texts again.

Nothing in such a file is code: what runs is generated from the scheme by the compiler that loads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.pipeline import emit_network, examine, raise_errors
from schemegen.selection import choose_scheme, import_blocks, read_network

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import GraphModule

    from schemegen.scheme.model import Scheme
    from schemegen.scheme.network import NetworkSpec
    from schemegen.training.checkpoint import Checkpoint

TEXTS = ("scheme_name", "scheme_text", "network_name", "network_text")

__all__ = ["restore", "save"]


def save(network: GraphModule, path: str | Path) -> Path:
    """Write the weights of a network of :func:`schemegen.build` and its texts; byte-equal for equal weights.

    Errors: :class:`UsageError` where the network is not one of ours, or its scheme needs other files.
    """
    from schemegen.training.checkpoint import write_checkpoint

    origin = origin_of(network)
    try:
        read(origin, "text")
    except (SchemeError, UsageError) as error:
        raise UsageError(
            f"the text of `{origin['scheme_name']}` cannot be read by itself: {error}",
            "write what it imports into its own file",
        ) from error
    config = {"backprop": origin["backprop"], "blocks": origin["blocks"]}
    state = network.state_dict()
    write_checkpoint(Path(path), state, texts(origin), progress={}, config=config, extra={})
    return Path(path)


def restore(
    path: str | Path,
    into: GraphModule | None = None,
    *,
    blocks: Mapping[str, str] | None = None,
) -> GraphModule:
    """Return the network of a file of :func:`save` or of a training run's checkpoint, compiled again.

    Args:   into: a network that takes the weights instead, if it is of the same scheme and network.
            blocks: ``module:Class`` of the blocks written in Python, which a file can only name.
    Errors: :class:`UsageError`: E0801 where ``into`` is of another scheme or network, with the lines that
            differ; a file that is no checkpoint, or a block that is not given.
    """
    from schemegen.training.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(Path(path))
    if into is not None:
        belongs(into, checkpoint, str(path))
        put(into, checkpoint)
        return into
    backprop = str(checkpoint.config.get("backprop", "store"))
    network, _, _ = recompiled(checkpoint, str(path), blocks, backprop=backprop)
    put(network, checkpoint)
    return network


def recompiled(
    checkpoint: Checkpoint,
    path: str,
    blocks: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
    backprop: str = "store",
) -> tuple[GraphModule, Scheme, NetworkSpec]:
    """Compile the texts of a checkpoint; the network has the initial weights of ``seed``, not the checkpoint's.

    Errors: :class:`UsageError` where a block written in Python is not given.
    """
    from schemegen.scheme import bind, fit
    from schemegen.step import lower

    named, given = checkpoint.config.get("blocks", {}), dict(blocks or {})
    missing = sorted(named.keys() - given.keys())
    if missing:
        raise UsageError(
            f"`{path}` uses the block `{missing[0]}`, which was written in Python",
            f'blocks={{"{missing[0]}": "module:Class"}}; it was {named[missing[0]]}',
        )
    import_blocks(given)
    scheme, spec = read(vars_of(checkpoint), Path(path).name)
    raise_errors(fit(scheme, spec, python_blocks=given))
    bound = bind(scheme, spec)
    network = emit_network(scheme, lower(scheme), bound, given, seed=seed, backprop=backprop)
    return network, scheme, bound


def origin_of(network: nn.Module) -> dict[str, Any]:
    """Return what a network was compiled from."""
    found: dict[str, Any] | None = getattr(network, "meta", {}).get("origin")
    if found is None:
        raise UsageError(
            "this network does not know its scheme", "schemegen.build returns one that does"
        )
    return found


def texts(origin: Mapping[str, Any]) -> dict[str, str]:
    return {name: origin[name] for name in TEXTS}


def vars_of(checkpoint: Checkpoint) -> dict[str, str]:
    return {name: getattr(checkpoint, name) for name in TEXTS}


def read(origin: Mapping[str, Any], where: str) -> tuple[Scheme, NetworkSpec]:
    """Return the scheme and the network of the texts; ``where`` is the file that holds them."""
    source = Source(f"{where}:{origin['scheme_name']}", origin["scheme_text"])
    checked, found = examine(source)
    raise_errors(found)
    other = Source(f"{where}:{origin['network_name']}", origin["network_text"])
    scheme = choose_scheme(checked.schemes, origin["scheme_name"], source.name)
    return scheme, read_network(other, origin["network_name"])


def belongs(network: nn.Module, checkpoint: Checkpoint, path: str) -> None:
    """Raise E0801 where the weights are those of another scheme or network; comments make no difference."""
    from schemegen.training.checkpoint import difference

    own, other = texts(origin_of(network)), vars_of(checkpoint)
    for what, first, second in zip(
        ("scheme", "network"), read(other, path), read(own, "here"), strict=True
    ):
        if first != second:
            raise UsageError(
                f"the checkpoint was made from another {what}",
                "- is the checkpoint's text, + that of this network\n"
                + difference(other[f"{what}_text"], own[f"{what}_text"]),
                code="E0801",
            )


def put(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Give a network the weights of a checkpoint, in their own precision. Errors: E0801."""
    own = network.state_dict(keep_vars=True)
    wrong = sorted(own.keys() ^ checkpoint.model.keys())
    wrong += [
        key
        for key, value in checkpoint.model.items()
        if key in own and own[key].shape != value.shape
    ]
    if wrong:
        raise UsageError(
            f"the checkpoint does not fit the network: {len(wrong)} names differ, `{wrong[0]}` first",
            "use the network it was trained with",
            code="E0801",
        )
    for key, value in checkpoint.model.items():
        # In place, so that weights which are known under several names stay one.
        own[key].data = value.to(own[key].device).clone()
