"""What the stored coefficients of a network are worth: ``via`` of the raw tensor, inside the declared range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from schemegen.backends.coefficients import bounds, inside
from schemegen.scheme.model import Constant, Param, Scheme
from schemegen.step.arithmetic import Arithmetic, functions_of, real

__all__ = ["belongs", "coefficients_at", "keys_of", "tensor_arithmetic", "value_of"]


def tensor_arithmetic(symbols: dict[str, Any]) -> Arithmetic:
    """Return the arithmetic of expressions in symbols that stand for tensors."""
    functions = {
        **functions_of(torch),
        "relu": torch.relu,
        "sqrt": torch.sqrt,
        "abs": torch.abs,
        "phi1": lambda z: torch.where(z == 0, 1.0, torch.expm1(z) / z),
    }
    return Arithmetic(real, symbols, functions)


def value_of(param: Param, raw: Tensor) -> Tensor:
    """Return the coefficient that a stored tensor stands for, as the network computes it."""
    value = raw.detach()
    if param.via is not None:
        value = torch.as_tensor(tensor_arithmetic({"raw": value}).coefficient(param.via))
    if param.range is None or inside(param.via, param.range):
        return value
    low, high = (float(end) for end in bounds(param.range))
    return value.clamp(low, high)


def coefficients_at(model: nn.Module, scheme: Scheme, place: tuple[Any, Any]) -> dict[str, Tensor]:
    """Return the value of every param in a step ``(stage, step)``.

    Zero where the step has none of its own: damping that is off there, history that is not there yet.
    """
    stored = dict(model.named_parameters())
    keys = {param.name: keys_of(model, param) for param in scheme.params}
    found: dict[str, Tensor] = {}
    for param in scheme.params:
        own = [key for key in keys[param.name] if belongs(key, param, place)]
        if own:
            found[param.name] = value_of(param, stored[own[0]])
        elif param.learnable:
            found[param.name] = torch.zeros(())
        elif isinstance(param.init, Constant):
            found[param.name] = torch.tensor(real(param.init.value))
    return found


def keys_of(model: nn.Module, param: Param) -> list[str]:
    """Return the state-dict keys under which a network stores a coefficient, in the order of its steps."""
    facts: dict[str, dict[str, Any]] = getattr(model, "meta", {}).get("coefficients", {})
    return [key for key, fact in facts.items() if fact["name"] == param.name]


def belongs(key: str, param: Param, place: tuple[Any, Any]) -> bool:
    """Say whether a step uses what is stored under a key."""
    match param.per:
        case "step":
            return key.startswith(f"stage{place[0]}.{place[1]}.")
        case "stage":
            return key.endswith(f"_stage{place[0]}")
        case _:
            return True
