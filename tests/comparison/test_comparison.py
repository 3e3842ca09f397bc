"""Plans, sizes, runs that are known again, and the table, on random images and a tiny network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from schemegen.comparison import (
    Group,
    Measures,
    Request,
    RunResult,
    Worker,
    arm_of,
    comparison_data,
    comparison_html,
    comparison_of,
    comparison_text,
    execute,
    finished,
    pictures,
    planned,
    runs_csv,
)
from schemegen.comparison.sizes import matched, resized, size_of
from schemegen.diagnostics import SchemeError, UsageError
from schemegen.pipeline import prepare
from schemegen.selection import source_of

SMALL = {"epochs": 1, "batch_size": 64}


def request(*schemes: str, **more: object) -> Request:
    arms = tuple(arm_of(text) for text in schemes)
    base = Request(arms, networks=("tiny",), data=("fake",), seeds=(0, 1), settings=SMALL)
    return replace(base, **more)  # type: ignore[arg-type]


# --- what is asked for -----------------------------------------------------------------------------------


def test_arms_are_read() -> None:
    assert (arm_of("rk2").label, arm_of("rk2").depth) == ("rk2", None)
    assert (arm_of("rk2@4").label, arm_of("rk2@4").scheme, arm_of("rk2@4").depth) == (
        "rk2@4",
        "rk2",
        4,
    )
    own = arm_of("half=a/b.scheme@3")
    assert (own.label, own.scheme, own.depth) == ("half", "a/b.scheme", 3)
    assert arm_of("a@b.scheme").scheme == "a@b.scheme"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (request(), "name the schemes"),
        (request("resnet", seeds=()), "at least one seed"),
        (request("resnet", "resnet"), "the label `resnet` is named twice"),
        (request("resnet", networks=("tiny", "tiny")), "the network `tiny` is named twice"),
        (request("resnet", reference="rk2"), "no arm is called `rk2`"),
        (request("resnet", match="time"), "unknown match"),
        (request("resnet", networks=("none",)), "no network 'none'"),
        (request("nosuch"), "no file nosuch|no scheme|nosuch"),
        (request("resnet", data=("cifra",)), "unknown data set"),
        (request("resnet", data=("cifar10",)), "no CIFAR-10|takes"),
        (request("resnet", settings={"epochz": 1}), "unknown setting"),
        (request("resnet", measures=Measures(attacks=("pgd",))), "an attack needs a bound"),
        (request("resnet", measures=Measures(attacks=("pgd",), eps=("x",))), "no bound"),
        (request("resnet", measures=Measures(attacks=("gpd",), eps=("0.1",))), "unknown attack"),
        (request("resnet", measures=Measures(corruptions=("fog",))), "unknown corruption"),
    ],
)
def test_mistakes_are_told_before_anything_runs(wrong: Request, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        planned(wrong)


def test_all_schemes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    """A width of 5 has no two halves, and one step a stage has no room for a history."""
    with pytest.raises(SchemeError) as caught:
        planned(request("revnet", "ab2", "resnet", depths=(1,), networks=(odd(tmp_path),)))
    assert {item.code for item in caught.value.diagnostics} == {"E0602", "E0604"}


def odd(folder: Path) -> str:
    path = folder / "odd.scheme"
    path.write_text(
        "network odd {\n  input: shape [1, 8, 8], classes 10\n  stem: conv(3), width 5\n"
        "  stage: width 5, steps 1\n  head: bn, relu, avgpool, linear\n}\n"
    )
    return str(path)


# --- sizes -------------------------------------------------------------------------------------------------


def test_sizes_are_counted() -> None:
    [unit] = prepare(source_of("rk2"), network="tiny")
    size = size_of(unit)
    assert size.evaluations == 11  # 2 a step, 1 at the change of shape
    assert (size.steps, size.widths) == ((3, 3), (4, 8))
    stem, head = 2 * 64 * 9 * 4, 2 * 8 * 10
    first = 6 * 2 * (2 * 64 * 9 * 16)
    change = 2 * 16 * (9 * 32 + 9 * 64 + 32)
    second = 4 * 2 * (2 * 16 * 9 * 64)
    assert size.flops == stem + first + change + second + head


def test_networks_are_resized_in_their_text() -> None:
    [unit] = prepare(source_of("resnet"), network="tiny")
    assert unit.network is not None
    text = resized(unit.network, steps=(5, 2), widths=(6, 12))
    assert "stem: conv(3), width 6" in text
    assert "stage: width 6, steps 5" in text
    assert "stage: width 12, steps 2, stride 2" in text
    assert resized(unit.network) == unit.network.source.text


@pytest.mark.parametrize("adjust", ["width", "depth"])
def test_the_nearest_size_is_found(adjust: str) -> None:
    [unit] = prepare(source_of("revnet"), network="tiny")
    what = "parameters" if adjust == "width" else "flops"
    target = 3 * getattr(size_of(unit), what)
    changed, size = matched(unit, target, what, adjust)
    assert changed.network is not None
    reached = getattr(size, what)
    assert reached == pytest.approx(target, rel=0.3)
    assert all(width % 2 == 0 for width in size.widths)
    for other in (-1, 1):  # no neighbour is nearer
        if adjust == "depth":
            steps = tuple(n + other for n in size.steps)
            text = resized(changed.network, steps=steps)
        else:
            widths = (size.widths[0] + 2 * other, size.widths[1] + 4 * other)
            text = resized(changed.network, widths=widths)
        from schemegen.comparison.sizes import with_network

        beside = size_of(with_network(changed, text, changed.network.name))
        assert abs(getattr(beside, what) - target) >= abs(reached - target)


def test_equal_compute_makes_higher_orders_shallower() -> None:
    plan = planned(request("euler=resnet@8", "rk4", match="compute", seeds=(0,)))
    [group] = plan.groups
    euler, rk4 = plan.sizes["euler", group], plan.sizes["rk4", group]
    assert rk4.flops == pytest.approx(euler.flops, rel=0.2)
    assert sum(rk4.steps) < sum(euler.steps) / 2


# --- runs ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


MEASURES = Measures(attacks=("fgsm",), eps=("8/255",), corruptions=("gaussian_noise",), images=32)
ASKED = request("resnet", "lm_resnet", "again=resnet", measures=MEASURES)


def test_runs_are_known_again(output: Path) -> None:
    plan = planned(ASKED)
    worker = Worker(output, Path("data"))
    told: list[RunResult] = []
    results = execute(worker, plan.runs, 1, told.append)
    assert len(plan.runs) == 6
    assert len(told) == 4  # `again` is resnet under another name
    assert execute(worker, plan.runs, 1, told.append) == results
    assert len(told) == 4
    assert finished(worker, plan.runs) == results
    other = planned(replace(ASKED, settings={"epochs": 2}))
    assert not finished(worker, other.runs)
    first = told[0].measures
    assert set(first) == {
        "accuracy",
        "fgsm 8/255",
        "gaussian_noise",
        *(f"gaussian_noise {level}" for level in range(1, 6)),
    }
    assert all(0 <= value <= 1 for value in first.values())
    assert list(comparison_of(plan, results).measures)[:3] == [
        "accuracy",
        "fgsm 8/255",
        "gaussian_noise",
    ]


def test_an_unfinished_run_goes_on(output: Path, tmp_path: Path) -> None:
    """A run without its result takes up the last checkpoint and ends with the same figures."""
    plan = planned(ASKED)
    run = plan.runs[0]
    whole = finished(Worker(output, Path("data")), [run])[run.key]
    worker = Worker(tmp_path, Path("data"))
    worker(run)
    (worker.folder(run) / "result.json").unlink()
    again = worker(run)
    assert (again.measures, again.history) == (whole.measures, whole.history)


def test_a_damaged_result_is_told(output: Path, tmp_path: Path) -> None:
    run = planned(ASKED).runs[0]
    worker = Worker(tmp_path, Path("data"))
    worker.folder(run).mkdir(parents=True)
    (worker.folder(run) / "result.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        finished(worker, [run])


# --- results -------------------------------------------------------------------------------------------------


def made(
    values: dict[str, tuple[float | None, ...]], **more: object
) -> tuple[object, dict[str, RunResult]]:
    """Return a plan and results with the given accuracies by arm and seed; None is a run that diverged."""
    seeds = tuple(range(max(map(len, values.values()))))
    plan = planned(request(*values, seeds=seeds, **more))
    results = {}
    for run in plan.runs:
        value = values[run.arm][run.seed]
        history = ({"epoch": 1, "test_accuracy": value or 0.0},)
        failed = None if value is not None else "loss is not finite at step 3"
        measures = {} if value is None else {"accuracy": value + (run.group.depth or 0) / 1000}
        results[run.key] = RunResult(
            run.arm, run.group, run.seed, run.key, measures, history, failed=failed
        )
    return plan, results


def test_the_table_pairs_seeds_and_leaves_diverged_runs_out() -> None:
    values = {
        "resnet": (0.90, 0.91, 0.93),
        "rk2": (0.92, 0.935, 0.952),
        "rk4": (0.5, None, 0.54),
    }
    plan, results = made(values)  # type: ignore[arg-type]
    found = comparison_of(plan, results)  # type: ignore[arg-type]
    reference, second, third = found.cells
    assert reference.against is None
    assert second.against is not None
    assert second.against.mean == pytest.approx((0.02 + 0.025 + 0.022) / 3)
    assert third.spread is not None
    assert (third.spread.n, third.failed) == (2, 1)
    assert third.against is not None
    assert third.against.mean == pytest.approx(-0.395)  # seeds 0 and 2
    assert second.against.p_t is not None
    assert second.against.p_holm == pytest.approx(2 * second.against.p_t)
    text = comparison_text(found)
    assert "rk4: 1 of 3 runs diverged and are left out" in text
    assert max(map(len, text.splitlines())) <= 110
    assert "failed,loss is not finite at step 3" in runs_csv(found)


def test_forms_and_pictures_are_equal_from_time_to_time() -> None:
    pytest.importorskip("matplotlib")
    values = {"resnet": (0.9, 0.91), "rk2": (0.8, 0.85)}
    plan, results = made(values, depths=(2, 3))  # type: ignore[arg-type]
    found = comparison_of(plan, results)  # type: ignore[arg-type]
    drawn = pictures(found)
    assert set(drawn) == {"learning.svg", "depth.svg"}
    page = comparison_html(found)
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    again = comparison_of(*made(values, depths=(2, 3)))  # type: ignore[arg-type]
    assert pictures(again) == drawn
    assert comparison_html(again) == page
    data = json.dumps(comparison_data(found), allow_nan=False)
    assert data == json.dumps(comparison_data(again), allow_nan=False)
    groups = {(cell.arm, cell.group.depth) for cell in found.cells}
    assert groups == {(arm, depth) for arm in values for depth in (2, 3)}
    assert Group("fake", "tiny", 2) in found.plan.groups


def test_a_comparison_may_be_unfinished() -> None:
    plan, results = made({"resnet": (0.9, 0.91), "rk2": (0.8, 0.85)})
    some = dict(list(results.items())[:3])
    found = comparison_of(plan, some)  # type: ignore[arg-type]
    assert found.missing == 1
    assert "1 of 4 runs are missing" in comparison_text(found)
    with pytest.raises(UsageError, match="no run is finished"):
        comparison_of(plan, {})  # type: ignore[arg-type]
