"""AutoAttack, the authors' four attacks without settings, where the package pyautoattack is installed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from schemegen.diagnostics import UsageError
from schemegen.training.robustness.gradients import Attack

__all__ = ["autoattacked", "require_autoattack", "version_of"]

_CLASSES = 9


def require_autoattack() -> None:
    """Raise :class:`UsageError` where the package is not installed."""
    try:
        import pyautoattack  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"AutoAttack needs `{error.name}`, which is not installed",
            "pip install 'schemegen[robust]'",
        ) from error


def version_of(attack: Attack) -> str:
    """Return ``rand`` where passes are averaged, else ``standard``."""
    return "rand" if attack.eot > 1 else "standard"


def autoattacked(
    model: nn.Module, x: Tensor, y: Tensor, attack: Attack, batch_size: int
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the images that AutoAttack found, and what it warned of.

    ``standard`` is APGD on the cross-entropy, APGD and FAB towards nine other classes, and Square; ``rand`` is
    APGD on two losses with ``eot`` passes a gradient. Source: Croce, Hein (2020), arXiv 2003.01690. Errors:
    :class:`UsageError` without the package, or for a network of fewer than four classes, on which its losses
    are not defined.
    """
    require_autoattack()
    from pyautoattack import AutoAttack

    classes = model(x[:1]).shape[1]
    if classes < 4:
        raise UsageError(
            f"AutoAttack tells 4 or more classes apart, the network has {classes}",
            "use `--attack pgd`",
        )
    version = version_of(attack)
    with torch.random.fork_rng(), _listening() as said:
        found = AutoAttack(
            model,
            norm=attack.norm,
            eps=float(attack.eps),
            version=version,
            seed=attack.seed,
            device=x.device,
        )
        towards = min(_CLASSES, classes - 1)
        found.apgd_targeted.n_target_classes = towards
        found.fab.n_target_classes = towards
        if version == "rand":
            found.apgd.eot_iter = attack.eot
        moved, _ = found.run_standard_evaluation(x, y, batch_size=batch_size)
    return moved.detach(), tuple(said)


class _Warned(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what the package logs instead of letting it print, and put a debugger's trace function back."""
    logger, handler, trace = logging.getLogger("auto-attack"), _Warned(), sys.gettrace()
    spread = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)
        logger.propagate = spread
        sys.settrace(trace)
