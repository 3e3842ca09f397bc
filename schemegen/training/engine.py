"""Where a run computes: accelerate's processes and devices, the wrapped network, and sums over ranks.

One process, several of ``torchrun`` or ``accelerate launch`` on a CPU (gloo) or on GPUs (nccl), replicated
(DistributedDataParallel) or sharded (FSDP): the loop sees no difference.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from schemegen.backends import optimize
from schemegen.diagnostics import UsageError
from schemegen.network.layout import may_be_last
from schemegen.network.synced import synchronize
from schemegen.training.config import Config
from schemegen.training.devices import choose_device
from schemegen.training.images import Share

__all__ = ["Engine", "Figures"]

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(slots=True)
class Engine:
    """The processes of a run as this one sees them.

    ``single`` are parameters that sharding leaves whole, so that their gradients are averaged here.
    """

    config: Config
    accelerator: Any
    device: torch.device
    share: Share
    scaler: torch.amp.GradScaler
    sharded: bool
    single: tuple[nn.Parameter, ...] = ()

    @classmethod
    def start(cls, config: Config) -> Engine:
        """Join the processes that were launched, or be the only one.

        Errors: E0802; UsageError for a missing extra, and for settings that do not go together.
        """
        sharded = config.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
        if config.optimize and sharded:
            raise UsageError(
                "`--optimize` has no form for weights that are shared out over the processes",
                "leave out `--optimize`, or shard nothing",
            )
        device = choose_device(config.device)
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world > 1 and device.index is not None:
            raise UsageError(
                f"`--device {config.device}` is one device for {world} processes",
                f"`--device {device.type}` gives each its own",
            )
        accelerator = _accelerator(device, world)
        if world > 1:
            device = accelerator.device
        half = config.amp and config.amp_dtype == "float16"
        return cls(
            config=config,
            accelerator=accelerator,
            device=device,
            share=Share(accelerator.process_index, accelerator.num_processes),
            scaler=torch.amp.GradScaler(device.type, enabled=half),
            sharded=sharded and accelerator.num_processes > 1,
        )

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.share.rank == 0

    @property
    def several(self) -> bool:
        return self.share.world > 1

    def first(self) -> AbstractContextManager[None]:
        """Let the main process of each machine through first: what it fetches, the others find."""
        context: AbstractContextManager[None] = self.accelerator.local_main_process_first()
        return context

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move ``model`` to its device in place and return it as it is to be called in training.

        Errors: UsageError where the network cannot have what the settings ask for.
        """
        if self.config.channels_last and self.device.type == "cpu" and not may_be_last(model):
            raise UsageError(
                "with the channels last, torch's gradient of a 1x1 convolution with a stride writes past its "
                "memory for fewer channels than a processor takes at once, 8 or 16",
                "leave out `--channels-last`, or make the stages wider",
            )
        model.to(self.device)
        if self.config.channels_last:
            model.to(memory_format=torch.channels_last)
        if self.config.sync_bn and self.several:
            synchronize(model)
        if self.config.torchcompile:
            model.compile()
        if self.config.optimize:
            model = optimize(model)
        if self.sharded:
            self.single = _shard(model)
            return model
        wrapped: nn.Module = self.accelerator.prepare_model(model)
        return wrapped

    def autocast(self) -> torch.autocast:
        return autocast(self.device, self.config)

    def part(self, model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Hold gradients back from other ranks until the ``last`` part of a step."""
        if last or self.sharded or not self.several:
            return nullcontext()
        context: AbstractContextManager[None] = self.accelerator.no_sync(model)
        return context

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(self.scaler.scale(loss))

    def update(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        """Take a step along the gradients, which ``clip_grad`` bounds."""
        for parameter in self.single:
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.share.world
        if self.config.clip_grad is not None:
            self.scaler.unscale_(optimizer)
            _clip(parameters, self.config.clip_grad)
        self.scaler.step(optimizer)
        self.scaler.update()

    def total(self, values: Tensor) -> Figures:
        """Start to sum ``values`` over ranks and to fetch the sums; the device goes on meanwhile."""
        if self.several:
            torch.distributed.all_reduce(values)
        if values.device.type != "cuda":
            return Figures(values, None)
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        host.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return Figures(host, event)

    def agree(self, buffers: Iterable[Tensor]) -> None:
        """Give every rank the buffers of rank 0: running statistics are those of its batches."""
        if self.several:
            with torch.no_grad():
                for buffer in buffers:
                    torch.distributed.broadcast(buffer, 0)

    def gather(self, value: Tensor) -> list[Tensor]:
        """Return ``value``, of one shape everywhere, of each rank in order."""
        if not self.several:
            return [value]
        there = value.to(self.device)
        found = [torch.empty_like(there) for _ in range(self.share.world)]
        torch.distributed.all_gather(found, there)
        return [item.to(value.device) for item in found]

    def wait(self) -> None:
        """Return when every rank has come here."""
        self.accelerator.wait_for_everyone()


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers on their way from a device."""

    values: Tensor
    event: torch.cuda.Event | None

    def wait(self) -> list[float]:
        if self.event is not None:
            self.event.synchronize()
        found: list[float] = self.values.tolist()
        return found


def autocast(device: torch.device, config: Config) -> torch.autocast:
    """Return the context in which the network of a run computes."""
    return torch.autocast(device.type, dtype=PRECISIONS[config.amp_dtype], enabled=config.amp)


def _accelerator(device: torch.device, world: int) -> Any:
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ModuleNotFoundError as error:
        raise UsageError(
            f"training needs accelerate, and `{error.name}` is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    # The state of one run is not that of the next, which may be on another device.
    AcceleratorState._reset_state(reset_partial_state=world == 1)
    threads = torch.get_num_threads()
    if world > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with _device_named(device if world == 1 else None):
        made = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    if made.num_processes > 1:
        atexit.unregister(_leave)
        atexit.register(_leave)
    return made


@contextmanager
def _device_named(device: torch.device | None) -> Iterator[None]:
    """Tell accelerate which of several devices a single process is to take."""
    if device is None:
        yield
        return
    before = os.environ.get("ACCELERATE_TORCH_DEVICE")
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ACCELERATE_TORCH_DEVICE"]
        else:
            os.environ["ACCELERATE_TORCH_DEVICE"] = before


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _shard(model: nn.Module) -> tuple[nn.Parameter, ...]:
    """Share the parameters out over all ranks, in place; scalars, which have no parts, stay whole."""
    from torch.distributed.fsdp import fully_shard

    single = tuple(item for item in model.parameters() if item.dim() == 0)
    fully_shard(model, ignored_params=set(single))
    return single


def _clip(parameters: Sequence[nn.Parameter], norm: float) -> None:
    """Scale all gradients so that their norm is at most ``norm``, parts of other ranks included."""
    from torch.distributed.tensor import DTensor

    grads = [item.grad for item in parameters if item.grad is not None]
    norms = [torch.linalg.vector_norm(item) for item in grads]
    whole = [item.full_tensor() if isinstance(item, DTensor) else item for item in norms]
    total = torch.linalg.vector_norm(torch.stack(whole))
    factor = (norm / (total + 1e-6)).clamp(max=1.0)
    for grad in grads:
        own = grad.to_local() if isinstance(grad, DTensor) else grad
        own.mul_(factor)
