"""State dicts of torchvision's ResNets under the names that generated networks give their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from schemegen.backends.names import attribute
from schemegen.diagnostics import UsageError

__all__ = ["from_torchvision", "to_torchvision"]

OURS = (
    (r"conv1\.(.+)", r"stem.0.\1"),
    (r"bn1\.(.+)", r"stem.1.\1"),
    (r"layer(\d+)\.(\d+)\.downsample\.(.+)", r"stage\1.\2.projection.\3"),
    (r"layer(\d+)\.(\d+)\.(.+)", r"stage\1.\2.DRIFT.\3"),
    (r"fc\.(.+)", r"head.1.\1"),
)
TORCHVISION = (
    (r"stem\.0\.(.+)", r"conv1.\1"),
    (r"stem\.1\.(.+)", r"bn1.\1"),
    (r"stage(\d+)\.(\d+)\.projection\.(.+)", r"layer\1.\2.downsample.\3"),
    (r"stage(\d+)\.(\d+)\.DRIFT\.(.+)", r"layer\1.\2.\3"),
    (r"head\.1\.(.+)", r"fc.\1"),
)
"""What a key is renamed to, by the first rule that matches it; the layers of a block have the same names."""


def from_torchvision(state: Mapping[str, Tensor], *, drift: str = "f") -> dict[str, Tensor]:
    """Return a state dict of torchvision's ``resnet*``, ``wide_resnet*`` or ``resnext*`` for the network of the
    same shape, as ``schemegen.build("resnet", network="imagenet_resnet50")`` makes it::

        network.load_state_dict(schemegen.from_torchvision(resnet50(weights=..).state_dict()))

    Args:   drift: the name of the scheme's drift. Schemes with coefficients have more keys than the result.
    Errors: :class:`UsageError` for a key that such a network does not have.
    """
    return _renamed(state, OURS, drift)


def to_torchvision(state: Mapping[str, Tensor], *, drift: str = "f") -> dict[str, Tensor]:
    """Return the state dict of a generated network for torchvision, the inverse of :func:`from_torchvision`."""
    return _renamed(state, TORCHVISION, drift)


def _renamed(
    state: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...], drift: str
) -> dict[str, Tensor]:
    place = attribute(drift)
    known = [
        (re.compile(old.replace("DRIFT", place)), new.replace("DRIFT", place)) for old, new in rules
    ]
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        found = next(
            (match.expand(new) for old, new in known if (match := old.fullmatch(key))), None
        )
        if found is None:
            raise UsageError(f"no ResNet of torchvision's shape has the key {key!r}")
        result[found] = value
    return result
