"""A network as a ``torch.export`` program, compiled ahead of time, and as ONNX.

Evaluation mode, the batch a free first dimension.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from schemegen.diagnostics import UsageError

__all__ = ["exported_bytes", "exported_program", "onnx_bytes", "packaged_bytes"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode for a while."""
    training = network.training
    try:
        yield network.eval()
    finally:
        network.train(training)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to torch what it warns itself of: it looks at the gradient of what enters a loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
        yield


def exported_program(
    network: nn.Module, input_shape: tuple[int, ...]
) -> torch.export.ExportedProgram:
    """Return the network as an exported program that takes ``(batch, *input_shape)``, any batch."""
    batch = torch.export.Dim("batch")
    with evaluating(network), quiet():
        return torch.export.export(
            network, (example(network, input_shape),), dynamic_shapes=({0: batch},)
        )


def example(network: nn.Module, input_shape: tuple[int, ...]) -> torch.Tensor:
    parameter = next(network.parameters(), torch.zeros(()))
    return torch.zeros(2, *input_shape, dtype=parameter.dtype, device=parameter.device)


def exported_bytes(program: torch.export.ExportedProgram) -> bytes:
    """Return the file that ``torch.export.load`` reads; torch numbers its symbols anew in each run."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def packaged_bytes(program: torch.export.ExportedProgram) -> bytes:
    """Return an exported program as machine code, a file for ``torch._inductor.aoti_load_package``.

    It runs on the kind of device the program is for. Errors: UsageError where no compiler of C++ is found.
    """
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.exc import InvalidCxxCompiler

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt2"
        try:
            aoti_compile_and_package(program, package_path=str(file))
        except InvalidCxxCompiler:
            raise UsageError(
                "the form aoti needs a C++ compiler", "install g++ or clang++"
            ) from None
        return file.read_bytes()


def onnx_bytes(program: torch.export.ExportedProgram) -> bytes:
    """Return an exported program as an ONNX model. Errors: UsageError where torch cannot write it."""
    with quiet():
        found = torch.onnx.export(program, dynamo=True, verbose=False)
    if found is None:
        raise UsageError("torch could not write this network as ONNX")
    data: bytes = found.model_proto.SerializeToString(deterministic=True)
    return data
