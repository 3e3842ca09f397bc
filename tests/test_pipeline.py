"""The row of stages: what is said when, and what each stage gets."""

from __future__ import annotations

import pytest

from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.pipeline import diagnose, emit, examine, finish, prepare, study
from schemegen.selection import import_blocks, source_of
from schemegen.sources import read_file, zoo_file, zoo_names
from schemegen.values import exact_number, with_values

EULER = "scheme one { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }\n"


def codes(text: str, **options: object) -> list[str]:
    return [item.code for item in diagnose(Source("a.scheme", text), **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", zoo_names())
def test_no_scheme_of_the_zoo_has_a_mistake(name: str) -> None:
    errors = [item for item in diagnose(read_file(zoo_file(name))) if item.is_error]
    assert errors == []


def test_diagnose_joins_all_stages_in_order_of_place() -> None:
    text = (
        "scheme one {\n  state u\n  drift f(u)\n  param beta: fixed, init 1\n"
        "  tableau explicit { 0 | ; --+-- ; | 1 }\n  expect order = 2\n}\n"
        "scheme two {\n  state u\n  drift f(u)\n  tableau explicit { 0 | ; --+-- ; | 2 }\n}\n"
    )
    assert codes(text) == ["W0304", "E0401", "E0204"]


def test_diagnose_fits_networks_of_the_file_only() -> None:
    network = (
        "network small {{ input: shape [1, 8, 8], classes 3; stem: conv(3), width {width}\n"
        "stage: width {width}, steps 2; head: bn, relu, avgpool, linear }}\n"
    )
    two_states = (
        "scheme two { state x, v; drift f(v); drift g(x)\n"
        "step { x[n+1] = x[n] + h*f(v[n]); v[n+1] = v[n] + h*g(x[n+1]) } }\n"
    )
    odd = network.format(width=15)
    assert codes(two_states) == []
    assert codes(two_states + odd) == ["E0602", "E0602"]  # the stem and the stage
    even = network.format(width=16).replace("small", "even")
    assert codes(two_states + odd + even, network="even") == []


def test_pedantic_is_asked_for() -> None:
    text = "scheme a { state u; drift f(u); step { u[n+1] = u[n] + f(u[n]) } }"
    assert "W0313" not in codes(text)
    assert "W0313" in codes(text, pedantic=True)


def test_prepare_raises_all_mistakes_at_once() -> None:
    text = EULER + EULER.replace("one", "two").replace("| 1", "| 2")
    text += EULER.replace("one", "three").replace("} }", "}; expect order = 3 }")
    with pytest.raises(SchemeError) as caught:
        prepare(Source("a.scheme", text))
    found = [item.code for item in caught.value.diagnostics if item.is_error]
    assert sorted(found) == ["E0204", "E0401"]


def test_prepare_says_that_the_built_in_network_is_used() -> None:
    (unit,) = prepare(Source("a.scheme", EULER))
    assert [item.code for item in unit.diagnostics] == ["W0607"]
    span = unit.diagnostics[0].span
    assert span is not None
    assert span.text == "one"
    (silent,) = prepare(Source("a.scheme", EULER), network="tiny")
    assert silent.diagnostics == ()
    assert silent.network is not None
    assert silent.network.name == "tiny"


def test_the_stages_pass_on_what_they_made() -> None:
    checked, found = examine(source_of("rk2"))
    assert found == ()
    unit = study(checked.schemes[0], order=3)
    assert unit.program.name == "rk2"
    assert max(item.nodes for item in unit.analysis.order_conditions) <= 4
    (unit,) = prepare(source_of("rk2"), network="tiny")
    build = finish(unit)
    assert str(build.graph.graph) == str(emit(unit).graph)


def test_values_are_set_where_they_are_declared() -> None:
    text = "scheme a {\n  param k, m: fixed, init 1 # two\n  param q: fixed\n}\n"
    source = with_values(Source("a", text), {"m": "1/2", "q": "-sqrt(2)"})
    assert source.text == (
        "scheme a {\n  const m = 1/2; param k: fixed, init 1 # two\n  const q = -sqrt(2)\n}\n"
    )
    with pytest.raises(UsageError, match="declares no param 'z'"):
        with_values(source, {"z": "1"})


@pytest.mark.parametrize(
    "text", ["0.1", "-1/3", "sqrt(2)/2", " 1e-3 ", "(1 + sqrt(5))/2", "2^3", "exp(-1)"]
)
def test_exact_numbers(text: str) -> None:
    assert exact_number(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "k",
        "1\n",
        "1;",
        "1}",
        "1 }; scheme b {",
        "1 # x",
        "f(1)",
        "1 2",
        "u[n]",
        "inf",
        "é",
    ],
)
def test_what_is_no_exact_number(text: str) -> None:
    with pytest.raises(UsageError, match="is no exact number"):
        exact_number(text)


def test_blocks_are_imported_from_the_command_line_only() -> None:
    import_blocks({"mine": "torch.nn:Identity"})
    for text in ("torch.nn:Nothing", "no_such_module:A", "torch.nn:functional"):
        with pytest.raises(UsageError, match="block mine"):
            import_blocks({"mine": text})
    text = EULER.replace("drift f(u)", "drift f(u): block mine")
    with pytest.raises(SchemeError):
        prepare(Source("a", text), network="tiny")
    (unit,) = prepare(Source("a", text), network="tiny", blocks={"mine": "torch.nn:Identity"})
    assert unit.blocks == (("mine", "torch.nn:Identity"),)
