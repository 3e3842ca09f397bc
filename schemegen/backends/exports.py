"""A network as a ``torch.export`` program and as ONNX: evaluation mode, the batch a free first dimension."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from schemegen.diagnostics import UsageError
from schemegen.network.solvers import Solver

__all__ = ["exported_bytes", "exported_program", "onnx_bytes"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode for a while."""
    training = network.training
    try:
        yield network.eval()
    finally:
        network.train(training)


def exported_program(
    network: nn.Module, input_shape: tuple[int, ...]
) -> torch.export.ExportedProgram:
    """Return the network as an exported program that takes ``(batch, *input_shape)``, any batch."""
    batch = torch.export.Dim("batch")
    with evaluating(network):
        return torch.export.export(
            network, (example(network, input_shape),), dynamic_shapes=({0: batch},)
        )


def example(network: nn.Module, input_shape: tuple[int, ...]) -> torch.Tensor:
    parameter = next(network.parameters(), torch.zeros(()))
    return torch.zeros(2, *input_shape, dtype=parameter.dtype, device=parameter.device)


def exported_bytes(network: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """Return the file that ``torch.export.load`` reads; torch numbers its symbols anew in each run."""
    buffer = io.BytesIO()
    torch.export.save(exported_program(network, input_shape), buffer)
    return buffer.getvalue()


def onnx_bytes(network: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """Return the network as an ONNX model. Errors: UsageError where a solver needs what ONNX lacks."""
    for name, item in network.named_modules():
        if isinstance(item, Solver) and item.method in ("anderson", "newton_krylov"):
            raise UsageError(
                f"{name} uses {item.method}, which solves linear systems; ONNX has no operator for that",
                "`solve: fixed_point` can be written, and so can the form `export`",
            )
    batch = torch.export.Dim("batch")
    with evaluating(network):
        program = torch.onnx.export(
            network,
            (example(network, input_shape),),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    if program is None:
        raise UsageError("torch could not write this network as ONNX")
    data: bytes = program.model_proto.SerializeToString(deterministic=True)
    return data
