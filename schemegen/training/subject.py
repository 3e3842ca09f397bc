"""What is trained: a network and the texts it was generated from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from torch import nn

from schemegen.scheme.model import Scheme
from schemegen.scheme.network import NetworkSpec

__all__ = ["Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A generated network with its scheme and its network section."""

    model: nn.Module
    scheme: Scheme
    network: NetworkSpec

    @property
    def sha256(self) -> str:
        """The hash of the file that declares the scheme."""
        return hashlib.sha256(self.scheme.source.text.encode()).hexdigest()
