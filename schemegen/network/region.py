"""A part of a network that is compiled once and called for every step of its form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["Region"]

Results = tuple[Tensor, ...]


class Region(nn.Module):
    """Runs ``form``, a graph without parameters of its own, compiled by the first call that asks for it.

    A call hands it the values and then the modules and parameters it computes with, so that one compiled body
    serves all steps of a form. Inside of a compiled or exported network it is written into that graph. Copies
    and pickles compile anew.
    """

    def __init__(self, form: fx.GraphModule, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.form = form
        self.options = dict(options)
        self.compiled: Callable[..., Results] | None = None

    def forward(self, *arguments: Any) -> Results:
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            result: Results = self.form(*arguments)
            return result
        if self.compiled is None:
            self.compiled = torch.compile(self.form.forward, fullgraph=True, **self.options)
        return self.compiled(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "compiled": None}
