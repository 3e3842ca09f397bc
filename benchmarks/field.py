"""A small vector field under several schemes: by schemegen, by hand, and by the libraries for such fields.

The field is linear-tanh-linear of some width, one set of weights for all steps of size 1. Everybody starts from
the same weights; :func:`agree` checks that they end with the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import schemegen
from benchmarks.harness import missing

SCHEMES = {
    "euler": "step { u[n+1] = u[n] + h*f(u[n]) }",
    "midpoint": "tableau explicit { 0 | \n 1/2 | 1/2 \n ---- \n | 0 1 \n }",
    "rk4": "tableau explicit { 0 | \n 1/2 | 1/2 \n 1/2 | 0 1/2 \n 1 | 0 0 1 \n ---- \n "
    "| 1/6 1/3 1/3 1/6 \n }",
    "ab2": "step { u[n+1] = u[n] + h*(3/2*f(u[n]) - 1/2*f(u[n-1])) }",
    "lm": "step { u[n+1] = 3/2*u[n] - 1/2*u[n-1] + 1/2*h*f(u[n]) }",
}
NETWORK = """network n {{
  input: shape [{width}], classes {width}
  stem: identity, width {width}
  stage: width {width}, steps {steps}
  head: linear
}}"""
EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4, "ab2": 1, "lm": 1}


def network(scheme: str, steps: int, width: int) -> nn.Module:
    """Return the generated network, without its head; its field is ``shared_f``."""
    text = f"scheme s {{ state u\n drift f(u): block mlp, weights network\n {SCHEMES[scheme]} }}\n"
    found = schemegen.build(text + NETWORK.format(steps=steps, width=width), "n")
    found.set_submodule("head.0", nn.Identity())
    return found


def by_hand(scheme: str, f: nn.Module, steps: int) -> Callable[[Tensor], Tensor]:
    """Return the loop as one writes it."""

    def euler(u: Tensor) -> Tensor:
        for _ in range(steps):
            u = u + f(u)
        return u

    def midpoint(u: Tensor) -> Tensor:
        for _ in range(steps):
            k1 = f(u)
            u = u + f(u + 0.5 * k1)
        return u

    def rk4(u: Tensor) -> Tensor:
        for _ in range(steps):
            k1 = f(u)
            k2 = f(u + 0.5 * k1)
            k3 = f(u + 0.5 * k2)
            k4 = f(u + k3)
            u = u + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        return u

    def ab2(u: Tensor) -> Tensor:
        before = f(u)
        u = u + before
        for _ in range(steps - 1):
            k = f(u)
            u = u + 1.5 * k - 0.5 * before
            before = k
        return u

    def lm(u: Tensor) -> Tensor:
        before, u = u, u + f(u)
        for _ in range(steps - 1):
            before, u = u, 1.5 * u - 0.5 * before + 0.5 * f(u)
        return u

    return {"euler": euler, "midpoint": midpoint, "rk4": rk4, "ab2": ab2, "lm": lm}[scheme]


def alone(scheme: str, f: nn.Module, steps: int) -> Callable[[Tensor], Tensor]:
    """Return the field applied as often as the scheme does, and nothing else."""

    def run(u: Tensor) -> Tensor:
        for _ in range(EVALUATIONS[scheme] * steps):
            u = f(u)
        return u

    return run


def by_torchdiffeq(scheme: str, f: nn.Module, steps: int) -> Callable[[Tensor], Tensor] | str:
    if (absent := missing("torchdiffeq")) is not None:
        return absent
    if scheme not in ("euler", "midpoint", "rk4"):
        return "not in the library"
    from torchdiffeq import odeint

    ends = torch.tensor([0.0, float(steps)])

    def run(u: Tensor) -> Tensor:
        found: Tensor = odeint(
            lambda _, y: f(y), u, ends, method=scheme, options={"step_size": 1.0}
        )
        return found[-1]

    return run


def by_torchode(scheme: str, f: nn.Module, steps: int) -> Callable[[Tensor], Tensor] | str:
    if (absent := missing("torchode")) is not None:
        return absent
    if scheme != "euler":
        return "not in the library"
    import torchode

    term = torchode.ODETerm(lambda _, y: f(y))
    solver = torchode.AutoDiffAdjoint(
        torchode.Euler(term),
        torchode.FixedStepController(),
        backprop_through_step_size_control=False,
    )

    def run(u: Tensor) -> Tensor:
        batch = u.shape[0]
        problem = torchode.InitialValueProblem(
            u, torch.zeros(batch), torch.full((batch,), float(steps))
        )
        found: Tensor = solver.solve(problem, dt0=torch.ones(batch)).ys[:, -1]
        return found

    return run


# --- JAX ---------------------------------------------------------------------------------------------


def jax_field(f: nn.Module) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Return the weights of ``f`` as arrays of JAX, and the field of weights and state."""
    import jax.numpy as jnp

    names = ("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias")
    weights = tuple(jnp.asarray(f.get_parameter(name).detach().numpy()) for name in names)

    def field(w: Any, u: Any) -> Any:
        return jnp.tanh(u @ w[0].T + w[1]) @ w[2].T + w[3]

    return weights, field


def jax_scan(
    scheme: str, steps: int, field: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """Return the scheme as ``jax.lax.scan``, of weights and state."""
    import jax

    def step(w: Any, carry: Any) -> Any:
        u, before = carry
        match scheme:
            case "euler":
                return u + field(w, u), before
            case "midpoint":
                return u + field(w, u + 0.5 * field(w, u)), before
            case "rk4":
                k1 = field(w, u)
                k2 = field(w, u + 0.5 * k1)
                k3 = field(w, u + 0.5 * k2)
                k4 = field(w, u + k3)
                return u + (k1 + 2 * k2 + 2 * k3 + k4) / 6, before
            case "ab2":
                k = field(w, u)
                return u + 1.5 * k - 0.5 * before, k
            case _:
                return 1.5 * u - 0.5 * before + 0.5 * field(w, u), u

    def run(w: Any, u: Any) -> Any:
        carry, count = (u, u), steps
        if scheme == "ab2":
            k = field(w, u)
            carry, count = (u + k, k), steps - 1
        elif scheme == "lm":
            carry, count = (u + field(w, u), u), steps - 1
        (u, _), _ = jax.lax.scan(lambda c, _: (step(w, c), None), carry, None, length=count)
        return u

    return run


def diffrax_solve(
    scheme: str, steps: int, field: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any] | str:
    if (absent := missing("diffrax", "jax")) is not None:
        return absent
    if scheme not in ("euler", "midpoint"):
        return "not in the library"
    import diffrax

    solver = {"euler": diffrax.Euler, "midpoint": diffrax.Midpoint}[scheme]()
    term = diffrax.ODETerm(lambda _, y, w: field(w, y))

    def run(w: Any, u: Any) -> Any:
        found = diffrax.diffeqsolve(
            term, solver, 0.0, float(steps), 1.0, u, args=w,
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=steps + 1,
        )  # fmt: skip
        return found.ys[-1]

    return run


def jax_runs(
    make: Callable[[Any, Any], Any] | str, weights: Any, x: Tensor, backward: bool
) -> Callable[[], object] | str:
    """Return a compiled run of a function of weights and state, or of its gradient."""
    if isinstance(make, str):
        return make
    import jax

    value = jax.numpy.asarray(x.detach().numpy())
    if backward:
        function = jax.jit(jax.grad(lambda w, u: (make(w, u) ** 2).sum(), argnums=(0, 1)))
    else:
        function = jax.jit(make)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax.block_until_ready(function(weights, value))
    return lambda: jax.block_until_ready(function(weights, value))


def torch_runs(
    call: Callable[[Tensor], Tensor] | str, parameters: list[Tensor], x: Tensor, backward: bool
) -> Callable[[], object] | str:
    """Return a run of ``call``, or of the gradients of its square sum by parameters and start."""
    if isinstance(call, str):
        return call
    if not backward:

        def forward() -> None:
            with torch.no_grad():
                call(x)

        return forward
    start = x.clone().requires_grad_()
    return lambda: torch.autograd.grad(call(start).square().sum(), [*parameters, start])


def agree(found: Tensor, wanted: Tensor, name: str) -> None:
    """Raise where a contestant computed something else."""
    error = float((found - wanted).norm() / wanted.norm())
    if not error < 1e-3:
        raise SystemExit(f"{name} computes something else: relative distance {error:.1e}")
