"""What the tests of generated networks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Begin with nothing compiled and nothing counted, and leave nothing compiled."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
