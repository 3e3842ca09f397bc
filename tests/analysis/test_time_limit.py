"""A question that takes too long is left open with its reason, and every other one is answered."""

from __future__ import annotations

import importlib
import json
import signal
import threading
import time
from typing import Any, NoReturn

import pytest

from schemegen.analysis.time_limit import TimeLimitError, time_limit
from schemegen.diagnostics import Source
from schemegen.pipeline import diagnose, load, study
from schemegen.report import analysis_data, report_schema, report_text
from schemegen.sources import zoo_file

TINY = 0.05
QUESTIONS = importlib.import_module("schemegen.analysis.questions")
EXPANSION = importlib.import_module("schemegen.analysis.expansion")
CLAIMS = importlib.import_module("schemegen.analysis.claims")


def forever(*_: Any, **__: Any) -> NoReturn:
    while True:
        time.sleep(0.001)


def data_of(name: str) -> dict[str, Any]:
    unit = study(load(name))
    return json.loads(json.dumps(analysis_data(unit.analysis, unit.scheme)))


def endless(*_: Any, **__: Any) -> NoReturn:
    """Never answer, and let the limit that is running end soon: the questions before had the usual one."""
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    signal.setitimer(signal.ITIMER_REAL, TINY)
    forever()


# --- the limit itself ---------------------------------------------------------------------------------


def test_a_loop_without_end_is_stopped() -> None:
    begin = time.monotonic()
    with pytest.raises(TimeLimitError), time_limit(TINY):
        forever()
    assert time.monotonic() - begin < 5


def test_nothing_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before
    with pytest.raises(ValueError, match="kept"), time_limit(60):
        raise ValueError("kept")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_an_outer_limit_stays_in_charge() -> None:
    with pytest.raises(TimeLimitError), time_limit(TINY), time_limit(60):
        forever()


def test_another_thread_has_no_limit() -> None:
    done: list[bool] = []

    def work() -> None:
        with time_limit(0.001):
            time.sleep(0.02)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


# --- one question of the analysis ---------------------------------------------------------------------

LATE = {
    "linear_analysis": {"stability", "dispersion", "dissipation", "geometry"},
    "dispersion_and_dissipation": {"dispersion", "dissipation"},
    "monotonicity": {"stability"},
    "geometry": {"geometry"},
    "with_conservation": {"geometry"},
    "near_order": {"order_nearly"},
    "depth_term": {"depth_term"},
    "limits": {"limits"},
    "contraction": {"contraction"},
}


@pytest.mark.parametrize("question", LATE)
@pytest.mark.parametrize("name", ["rk4", "in_resnet"])
def test_a_question_that_is_cut_off_costs_no_other(
    question: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = data_of(name)
    monkeypatch.setattr(QUESTIONS, question, endless)
    found = data_of(name)
    # The sets of values stand on the linear test.
    free = (
        LATE[question]
        | {"notes"}
        | ({"admissible", "params"} if question == "linear_analysis" else set())
    )
    assert {k: v for k, v in found.items() if k not in free} == {
        k: v for k, v in whole.items() if k not in free
    }
    late = {note["key"] for note in found["notes"] if note["text"].startswith("not decided within")}
    assert late
    assert {key.partition(".")[0] for key in late} <= free


LATER = {
    "field_terms": {"modified_equation", "modifying_equation"},
    "modifying_terms": {"modifying_equation"},
    "conserved": set(),
    "special_orders": set(),
}


@pytest.mark.parametrize("part", LATER)
def test_an_expansion_that_is_cut_off_keeps_what_it_has(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = data_of("leapfrog")
    monkeypatch.setattr(EXPANSION, part, endless)
    found = data_of("leapfrog")
    changed = {key for key in whole if whole[key] != found[key]} - {"notes", "geometry"}
    assert changed == LATER[part]
    assert all(found[key] is None for key in changed)
    reasons = {note["key"]: note["text"] for note in found["notes"]}
    assert reasons["order_special"].startswith("not decided within")
    for key in ("symplectic_to", "energy_preserving_to"):
        late = f"geometry.{key}" in reasons and "within" in reasons[f"geometry.{key}"]
        assert late == (part != "special_orders")
    assert "Hamiltonian shape" not in str(reasons) or part == "special_orders"


@pytest.mark.parametrize("question", [*LATE, "expand"])
def test_what_is_left_is_a_report(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    monkeypatch.setattr(QUESTIONS, question, endless)
    unit = study(load("lm_resnet"))
    data = json.loads(json.dumps(analysis_data(unit.analysis, unit.scheme)))
    jsonschema.Draft202012Validator(report_schema()).validate(data)
    text = report_text(unit.analysis, unit.scheme, width=100, color=False, unicode=True, full=True)
    assert "lm_resnet" in text


# --- claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "claim"),
    [
        ("expand", "order = 4"),
        ("expand", "consistent"),
        ("linear_analysis", "A_stable = false"),
        ("linear_analysis", "zero_stable"),
        ("geometry", "symmetric = false"),
        ("geometry", "algebraically_stable = false"),
    ],
)
def test_a_claim_that_is_not_decided_in_time_is_not_taken_as_true(
    question: str, claim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = zoo_file("rk4").read_text(encoding="utf-8")
    lines = [line for line in plain.split("\n") if "expect" not in line]
    end = max(i for i, line in enumerate(lines) if line.strip() == "}")
    source = Source("c.scheme", "\n".join([*lines[:end], f"  expect {claim}", *lines[end:]]))
    assert not diagnose(source)
    monkeypatch.setattr(QUESTIONS, question, endless)
    (found,) = diagnose(source)
    assert found.code == "W0410"
    assert "not decided within 20 s" in found.message
    assert found.span is not None
    assert found.span.text == f"expect {claim}"


def test_a_refusal_waits_for_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    text = zoo_file("rk4").read_text(encoding="utf-8").replace("order = 4", "order = 5")
    monkeypatch.setattr(CLAIMS, "misprint", endless)
    assert [item.code for item in diagnose(Source("c.scheme", text))] == ["E0401"]


# --- orders beyond the limit ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rk4", "stoermer_verlet"])
def test_an_order_beyond_the_limit_is_kept_to_the_limit(name: str) -> None:
    most = study(load(name), order=EXPANSION.MOST_NODES).analysis
    beyond = study(load(name), order=50).analysis
    assert beyond.modified_equation == most.modified_equation
    assert beyond.order == most.order
    reasons = {note.key: note.text for note in beyond.notes}
    assert "kept to 10 nodes" in reasons["modified_equation"]
    assert "kept to" not in {n.key: n.text for n in most.notes}.get("modified_equation", "")
