"""Checkpoints: one safetensors file with the weights and the text they belong to, written atomically.

The metadata holds the scheme's and the network's text, so that a checkpoint can be compiled again without
the files it came from. Nothing is ever unpickled.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically
from schemegen.training.subject import Subject

__all__ = [
    "Checkpoint",
    "difference",
    "packed",
    "read_checkpoint",
    "restore",
    "texts_of",
    "write_checkpoint",
]

_FORMAT = "schemegen-checkpoint-1"
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read from a file.

    ``model`` is the network's state dict, ``extra`` whatever else a resumed run needs (momentum
    buffers, states of the random generators). ``progress`` and ``config`` are plain JSON values.
    """

    scheme_name: str
    scheme_text: str
    network_name: str
    network_text: str
    sha256: str
    progress: dict[str, Any]
    config: dict[str, Any]
    model: dict[str, Tensor] = field(repr=False)
    extra: dict[str, Tensor] = field(repr=False)


def texts_of(subject: Subject) -> dict[str, str]:
    """Return the texts that the subject's network was generated from."""
    return {
        "scheme_name": subject.scheme.name,
        "scheme_text": subject.scheme.source.text,
        "network_name": subject.network.name,
        "network_text": subject.network.source.text,
    }


def write_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    *,
    progress: Mapping[str, Any],
    config: Mapping[str, Any],
    extra: Mapping[str, Tensor],
) -> None:
    """Write a network's state and the ``texts`` it was generated from, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, packed(tensors, texts, progress=progress, config=config, extra=extra))


def packed(
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    *,
    progress: Mapping[str, Any],
    config: Mapping[str, Any],
    extra: Mapping[str, Tensor],
) -> bytes:
    """Return the content of a checkpoint; equal values give equal bytes."""
    save, _ = _safetensors()
    every = {f"model.{key}": value for key, value in tensors.items()}
    every |= {f"extra.{key}": value for key, value in extra.items()}
    metadata = {
        "format": _FORMAT,
        **texts,
        "sha256": hashlib.sha256(texts["scheme_text"].encode()).hexdigest(),
        "progress": json.dumps(progress, sort_keys=True),
        "config": json.dumps(config, sort_keys=True),
    }
    own = {key: value.detach().cpu().contiguous().clone() for key, value in every.items()}
    return _canonical(save(own, metadata))


def _canonical(content: bytes) -> bytes:
    """Return the same file with a sorted header: safetensors writes metadata in a random order."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises UsageError for a file that is missing, damaged or not a checkpoint."""
    _, load = _safetensors()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"no checkpoint `{path}`: {error.strerror}") from error
    metadata = _metadata(path, content)
    try:
        tensors: dict[str, Tensor] = load(content)
        return Checkpoint(
            scheme_name=metadata["scheme_name"],
            scheme_text=metadata["scheme_text"],
            network_name=metadata["network_name"],
            network_text=metadata["network_text"],
            sha256=hashlib.sha256(metadata["scheme_text"].encode()).hexdigest(),
            progress=json.loads(metadata["progress"]),
            config=json.loads(metadata["config"]),
            model=_part(tensors, "model."),
            extra=_part(tensors, "extra."),
        )
    except Exception as error:
        raise UsageError(f"`{path}` is a damaged checkpoint: {error}") from error


def restore(subject: Subject, checkpoint: Checkpoint, *, force: bool = False) -> tuple[str, ...]:
    """Load the weights of ``checkpoint`` into the subject's network.

    Returns: the names that did not match, which only ``force`` allows.
    Errors: E0801 where the checkpoint was made from another scheme or does not fit the network.
    """
    if checkpoint.sha256 != subject.sha256 and not force:
        raise UsageError(
            "the checkpoint was made from another scheme "
            f"(sha256 {checkpoint.sha256[:4]}.. and {subject.sha256[:4]}..)",
            "`--force` loads matching names; - is the checkpoint's text, + that of this scheme\n"
            + difference(checkpoint.scheme_text, subject.scheme.source.text),
            code="E0801",
        )
    own = subject.model.state_dict()
    fitting = {
        key: value
        for key, value in checkpoint.model.items()
        if key in own and own[key].shape == value.shape
    }
    left = tuple(sorted((own.keys() | checkpoint.model.keys()) - fitting.keys()))
    if left and not force:
        raise UsageError(
            f"the checkpoint does not fit the network: {len(left)} names differ, `{left[0]}` first",
            "use the network it was trained with; `--force` loads matching names",
            code="E0801",
        )
    _load(subject.model, fitting)
    return left


def difference(first: str, second: str) -> str:
    """Return the lines in which two texts differ, those of the first with -, of the second with +."""
    one, other = first.splitlines(), second.splitlines()
    lines = [
        f"     {line.rstrip()}"
        for line in list(difflib.unified_diff(one, other, n=0, lineterm=""))[2:]
        if not line.startswith("@@")
    ]
    more = [f"     and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    return "\n".join([*lines[:_SHOWN], *more])


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    model.load_state_dict(dict(weights), strict=False)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in sorted(tensors.items())
        if key.startswith(prefix)
    }


def _metadata(path: Path, content: bytes) -> dict[str, str]:
    """Return the header's metadata. Source: the safetensors format, 8 bytes of length, then JSON."""
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        known = metadata["format"] == _FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"`{path}` is not a checkpoint of schemegen") from error
    if not known:
        raise UsageError(f"`{path}` has the unknown checkpoint format `{metadata['format']}`")
    found: dict[str, str] = metadata
    return found


def _safetensors() -> tuple[Any, Any]:
    try:
        from safetensors.torch import load, save
    except ModuleNotFoundError as error:
        raise UsageError(
            "checkpoints need safetensors, which is not installed", "pip install 'schemegen[train]'"
        ) from error
    return save, load
