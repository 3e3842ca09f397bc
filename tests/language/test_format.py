"""The formatter and the printer: what they print parses back, comments stay, and a format is its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemegen.diagnostics import SchemeError, Source, Span
from schemegen.language import format_source, nodes, parse, print_file
from schemegen.resources import resource_dir

ZOO = sorted(resource_dir("zoo").glob("*/*.scheme"))
HERE = Span(Source("", ""), 0, 0)


def formatted(text: str) -> str:
    return format_source(Source("a.scheme", text))


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_the_zoo_prints_and_parses_back(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    file = parse(Source("a.scheme", text)).file
    assert formatted(text) == text
    assert parse(Source("a.scheme", print_file(file))).file == file


def test_bars_columns_and_comments() -> None:
    text = (
        "# above\nscheme a { state u;drift f(u) :block  x # behind\n\n\n  tableau explicit{ # open\n0|\n"
        "# inside\n1/2|1/2 # row\n---+--- # rule\n  |0 (1 - 1/2) -1/2\n# last\n}\n# end\n}\n# below"
    )
    assert formatted(text) == (
        "# above\n"
        "scheme a {\n"
        "  state u; drift f(u): block x  # behind\n"
        "\n"
        "  tableau explicit {  # open\n"
        "     0  |\n"
        "    # inside\n"
        "    1/2 | 1/2  # row\n"
        "    ----+----------------------  # rule\n"
        "        |  0   (1 - 1/2)  -1/2\n"
        "    # last\n"
        "  }\n"
        "  # end\n"
        "}\n"
        "# below\n"
    )


def test_a_wrong_text_is_not_formatted() -> None:
    with pytest.raises(SchemeError, match="E0104"):
        formatted("scheme a { const b = 2**3 }")


names = st.sampled_from(["u", "k", "alpha", "step", "x_1", "f2"])
numbers = st.sampled_from(["0", "3", "12", "0.5", "1e-3", "2.5E-2"]).map(
    lambda text: nodes.Number(text, HERE)
)
atoms = (
    numbers
    | names.map(lambda name: nodes.Name(name, HERE))
    | st.builds(lambda name, shift: nodes.Index(name, "n", shift, HERE), names, st.integers(-3, 1))
)


def _larger(inner: st.SearchStrategy[nodes.Expression]) -> st.SearchStrategy[nodes.Expression]:
    return (
        st.builds(lambda sign, item: nodes.Unary(sign, item, HERE), st.sampled_from("+-"), inner)
        | st.builds(
            lambda sign, left, right: nodes.Binary(sign, left, right, HERE),
            st.sampled_from("+-*/^"),
            inner,
            inner,
        )
        | st.builds(
            lambda name, items: nodes.Call(name, tuple(items), HERE, HERE),
            names,
            st.lists(inner, max_size=3),
        )
    )


expressions = st.recursive(atoms, _larger, max_leaves=12)
words = names.map(lambda name: nodes.Name(name, HERE))
rows = st.builds(
    lambda c, cells: nodes.TableauRow(c, tuple(cells), HERE),
    st.none() | expressions,
    st.lists(expressions, max_size=3),
)
weights = st.builds(
    lambda label, cells: nodes.WeightRow(label, tuple(cells), HERE),
    st.none() | words,
    st.lists(expressions, min_size=1, max_size=3),
)
tableaus = st.builds(
    lambda upper, lower: nodes.TableauBlock(
        nodes.Name("tableau", HERE), (), tuple(upper), tuple(lower), HERE
    ),
    st.lists(rows, max_size=3),
    st.lists(weights, min_size=1, max_size=2),
)
steps = st.builds(
    lambda pairs: nodes.StepBlock(
        nodes.Name("step", HERE),
        tuple(nodes.Assignment(name, value, HERE) for name, value in pairs),
        HERE,
    ),
    st.lists(st.tuples(words, expressions), max_size=3),
)
brackets = st.builds(
    lambda pair, items: nodes.Bracket(pair[0], tuple(items), pair[1], HERE),
    st.sampled_from(["[]", "[)", "(]", "()"]),
    st.lists(expressions, min_size=2, max_size=2),
)
values = expressions | brackets | st.just(nodes.String("a b", HERE))
attributes = st.builds(
    lambda name, items: nodes.Attribute(name, tuple(items), HERE),
    words.filter(lambda word: word.id != "step"),
    st.lists(values, max_size=3),
)
declarations = st.builds(
    lambda name, items: nodes.Declaration(
        nodes.Name("param", HERE), (nodes.Target(name, None, HERE),), tuple(items), HERE
    ),
    words,
    st.lists(attributes, max_size=3),
)
files = st.lists(tableaus | steps | declarations, max_size=4).map(
    lambda items: nodes.File(
        Source("", ""), (nodes.SchemeNode(nodes.Name("a", HERE), None, tuple(items), HERE),)
    )
)


@settings(max_examples=120, deadline=None)
@given(files)
def test_generated_trees_print_and_parse_back(file: nodes.File) -> None:
    text = print_file(file)
    parsed = parse(Source("a.scheme", text))
    assert not parsed.diagnostics, text
    assert parsed.file == file, text
    assert formatted(text) == formatted(formatted(text))
