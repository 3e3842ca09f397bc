"""A small network by hand, so that these tests are about training alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import Scheme
from schemegen.scheme.network import NetworkSpec
from schemegen.training import Subject

MakeSubject = Callable[..., Subject]


class Coefficients(nn.Module):
    """``(1 - k) x``, with one coefficient as a generated network holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.ParameterList([nn.Parameter(torch.tensor(0.1))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (1 - self.k[0]) * x


@pytest.fixture
def make_subject() -> MakeSubject:
    """Return a builder of small image classifiers with a scheme text, seeded."""

    def make(
        text: str = "scheme s { }\n",
        shape: tuple[int, ...] = (1, 8, 8),
        classes: int = 10,
        decay: bool = True,
        seed: int = 0,
    ) -> Subject:
        torch.manual_seed(seed)
        source = Source("s.scheme", text)
        span = Span(source, 0, 1)
        features = 1
        for size in shape:
            features *= size
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, 32),
            nn.BatchNorm1d(32),
            Coefficients(),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, classes),
        )
        model.meta = {"coefficients": {"3.k.0": {"decay": decay}}}  # type: ignore[assignment]
        return Subject(
            model=model,
            scheme=Scheme("s", "", source, span),
            network=NetworkSpec("n", "", source, span, input_shape=shape, classes=classes),
        )

    return make
