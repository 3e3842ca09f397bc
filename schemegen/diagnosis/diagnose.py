"""A trained network under the lenses of its scheme: everything put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor, fx

from schemegen.analysis.expansion import expand
from schemegen.analysis.membership import value_sets
from schemegen.diagnosis.correction import Unmeasured, corrections, equation_of, moved_by
from schemegen.diagnosis.learned import frozen, learned_coefficients
from schemegen.diagnosis.model import Diagnosis, Spectrum
from schemegen.diagnosis.smoothness import smoothness
from schemegen.diagnosis.spectrum import eigenvalues
from schemegen.diagnosis.trajectory import StepAt, trajectory
from schemegen.diagnostics import UsageError
from schemegen.pipeline import Unit, study
from schemegen.saving import put, recompiled
from schemegen.scheme.model import Scheme
from schemegen.trained import weights_file
from schemegen.training.checkpoint import difference, read_checkpoint
from schemegen.training.data import load_data
from schemegen.training.lyapunov import lyapunov, step_size

__all__ = ["diagnose", "diagnose_run"]

SPECTRA = 2  # inputs at which spectra are computed
ON_CIRCLE = 1e-9


def diagnose_run(
    run: Path,
    *,
    wanted: Sequence[Scheme] = (),
    data: str | None = None,
    data_dir: Path = Path("data"),
    samples: int = 8,
    seed: int = 0,
    blocks: Mapping[str, str] | None = None,
) -> tuple[Unit, Diagnosis]:
    """Compile a checkpoint again from its texts and measure it.

    Args:   wanted: schemes one of which the run must be of.  data: instead of what the run was trained on.
            samples: images of the test set.
    Errors: UsageError: no checkpoint, a damaged one, one of another scheme (E0801); no data (E0803).
    """
    path = weights_file(run)
    checkpoint = read_checkpoint(path)
    network, parsed, spec = recompiled(checkpoint, str(path), blocks)
    put(network, checkpoint)
    if wanted:
        _expect(wanted, parsed, path)
    name = data or str(checkpoint.config.get("data", "fake"))
    known = load_data(name, data_dir, spec)
    images, _ = next(iter(known.test_batches(samples)))
    inputs = known.normalised(images, spec.input_shape)
    initial = None
    if "seed" in checkpoint.config:
        initial, _, _ = recompiled(
            checkpoint, str(path), blocks, seed=int(checkpoint.config["seed"])
        )
    unit = replace(study(parsed), network=spec)
    found = diagnose(network, unit, inputs, initial=initial, seed=seed)
    history = checkpoint.progress.get("history")
    return unit, replace(
        found,
        epochs=len(history) if history is not None else None,
        sha256=checkpoint.sha256,
        data=name,
    )


def _expect(wanted: Sequence[Scheme], found: Scheme, path: Path) -> None:
    """Raise E0801 where a checkpoint is of none of the schemes that it should be of."""
    if found in wanted:
        return
    text = next((item for item in wanted if item.name == found.name), wanted[0]).source.text
    raise UsageError(
        "the checkpoint was made from another scheme",
        f"- is the text in `{path.name}`, + that of the file\n"
        + difference(found.source.text, text),
        code="E0801",
    )


def diagnose(
    network: fx.GraphModule,
    unit: Unit,
    inputs: Tensor,
    *,
    initial: fx.GraphModule | None = None,
    iterations: int = 60,
    seed: int = 0,
) -> Diagnosis:
    """Measure a generated network at ``inputs``, in double precision and evaluation mode; both are left so.

    Args:
        unit:       its scheme, analysed, with its network section.
        initial:    the network before training.
        iterations: of the power methods behind the distances.
    """
    assert unit.network is not None
    scheme, analysis = unit.scheme, unit.analysis
    network.double().eval()
    inputs = inputs.double()
    steps = trajectory(network, scheme, unit.network, inputs)
    first = None
    if initial is not None:
        first = trajectory(initial.double().eval(), scheme, unit.network, inputs)
    places = [(step.stage, step.step) for step in steps]
    learned = learned_coefficients(
        network, scheme, places, value_sets(scheme, unit.program), analysis.stability, initial
    )
    scaled = expand(unit.program, 2).scaled
    corrected, reason = corrections(steps, scheme, analysis, scaled)
    spectra, no_spectrum = _spectra(steps, unit, seed)
    notes = [("spectrum", no_spectrum), ("correction", reason)]
    return Diagnosis(
        scheme=scheme.name,
        network=unit.network.name,
        epochs=None,
        sha256="",
        data="",
        samples=len(inputs),
        learned=tuple(learned),
        spectrum=spectra,
        smoothness=smoothness(steps, first, seed=seed),
        distances=lyapunov(network, scheme, inputs, iterations=iterations, seed=seed),
        correction=corrected,
        notes=tuple((key, text) for key, text in notes if text is not None),
    )


def _maps_to_itself(unit: Unit) -> bool:
    """Say whether there is one field, and it moves the one state that it depends on."""
    scheme = unit.scheme
    if len(scheme.drifts) != 1 or len(scheme.drifts[0].arguments) != 1:
        return False
    if len(scheme.states) == 1:
        return True
    [drift] = scheme.drifts
    try:
        moves = moved_by(equation_of(unit.analysis, ()))
    except Unmeasured:
        return False
    return moves.get(drift.name) == drift.arguments[0]


def _spectra(
    steps: Sequence[StepAt], unit: Unit, seed: int
) -> tuple[tuple[Spectrum, ...], str | None]:
    """Return the spectra of the steps whose field maps one state to itself, or why there are none."""
    if not _maps_to_itself(unit):
        return (
            (),
            "no single field that moves the state it depends on: z = h lambda is not one number",
        )
    [drift] = unit.scheme.drifts
    h = step_size(unit.scheme)
    found = []
    for step in steps:
        x = step.before.get(drift.arguments[0])
        field = step.fields.get(drift.name)
        if x is None or field is None or step.reshapes:
            continue
        parts = [eigenvalues(field, x[i : i + 1], seed=seed) for i in range(min(len(x), SPECTRA))]
        z = np.asarray(h * np.concatenate([values for values, _ in parts]), dtype=complex)
        growth = inside = None
        numbers = {k: float(v) for k, v in step.symbols.items() if v.numel() == 1}
        polynomial = frozen(unit.analysis.stability, numbers) if step.own else None
        if polynomial is not None:
            rates = polynomial.growth(z)
            growth, inside = float(rates.max()), int((rates <= 1 + ON_CIRCLE).sum())
        complete = all(whole for _, whole in parts)
        values = tuple(complex(item) for item in z)
        symbols = tuple(sorted(numbers.items())) if step.own else ()
        found.append(Spectrum(step.stage, step.step, symbols, values, complete, growth, inside))
    return tuple(found), None if found else "the network holds no values of the state between steps"
