"""LaTeX, Markdown and HTML: whole, valid, nothing of a user's text alive in them, the same facts in all."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sympy

from schemegen.pipeline import Unit, load, study
from schemegen.report import (
    document_latex,
    mathml,
    page_html,
    report_html,
    report_latex,
    report_markdown,
)
from schemegen.report.document import document
from schemegen.report.facts import facts
from schemegen.report.latex_text import prose
from schemegen.report.notation import Script
from schemegen.resources import resource_dir

ZOO = sorted(path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme"))
SOME = ("rk4", "dopri5", "gauss2", "bdf3", "lm_resnet", "in_resnet", "momentum_net", "exp_euler",
        "ars222", "stoermer_verlet", "euler_maruyama", "strang", "zerosnet_family", "tr_bdf2")  # fmt: skip

HOSTILE = (
    'scheme s_1 "<script>alert(1)</script> $x^2$ \\\\input{/etc/passwd} & % # ~ | 漢 é ζ *a* `b` [l](u)"'
    " { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }\n"
).replace("\\\\", "/")


def unit(name: str) -> Unit:
    return study(load(name))


@pytest.fixture(scope="module")
def hostile() -> Unit:
    return unit(HOSTILE)


# --- LaTeX ---------------------------------------------------------------------------------------------

COMMANDS = {
    *("section", "subsection", "par", "noindent", "emph", "texttt", "item", "begin", "end", "frac"),
    *("sqrt", "left", "right", "Bigl", "Bigr", "quad", "qquad", "hline", "mathrm", "infty", "le"),
    *("ge", "ne", "scriptsize", "setlength", "arraycolsep", "linewidth", "char", "zeta", "rho"),
    *("sigma", "gamma", "theta", "lambda", "alpha", "beta", "operatorname", "textless"),
    *("textgreater", "textbar", "textasciitilde", "textasciicircum", "textbackslash", "cdot"),
    *("phi", "eta", "tanh", "documentclass", "usepackage", "allowdisplaybreaks", "textwidth"),
    *(
        "renewcommand",
        "arraystretch",
        "oddsidemargin",
        "textheight",
        "topmargin",
        "emergencystretch",
    ),
}


def complaints(text: str) -> Iterator[str]:
    """Yield what is wrong with a LaTeX text: braces, environments, delimiters, unknown commands."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"\\\\|\\[{}$%&#_]", "", line)
        depth += bare.count("{") - bare.count("}")
        if depth < 0:
            yield f"line {number}: a brace too many"
        if bare.count("$") % 2:
            yield f"line {number}: an open $"
        if "%" in bare or "#" in bare:
            yield f"line {number}: a comment or argument sign"
    if depth:
        yield f"{depth} braces are open"
    stack: list[str] = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if verb == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            yield f"\\end{{{name}}} ends nothing"
    yield from stack
    for pair in (("left", "right"), ("Bigl", "Bigr"), ("[", "]")):
        opened, closed = (
            len(re.findall(rf"(?<!\\)\\{re.escape(word)}(?![a-zA-Z])", text)) for word in pair
        )
        if opened != closed:
            yield f"{pair}: {opened} and {closed}"
    yield from sorted(set(re.findall(r"(?<!\\)\\([A-Za-z]+)", text)) - COMMANDS)


@pytest.mark.parametrize("name", ZOO)
def test_latex_of_the_zoo_is_well_formed(name: str) -> None:
    it = unit(name)
    assert not list(complaints(report_latex(it.analysis, it.scheme)))


@pytest.mark.parametrize(
    "text", [r"\frac{1}{2", r"\begin{a}\end{b}", r"\left( x", r"50 % more", r"\input{x}", "$a"]
)
def test_the_check_of_latex_would_notice(text: str) -> None:
    assert list(complaints(text))


def test_latex_of_a_hostile_title(hostile: Unit) -> None:
    text = document_latex([(hostile.analysis, hostile.scheme)])
    assert not list(complaints(text))
    assert "[U+6F22]" in text
    assert r"é $\zeta$" in text
    assert all(ord(letter) < 0x180 for letter in text)


def test_facts_are_set_as_mathematics() -> None:
    assert prose("-1 < k <= 1") == r"$-$1 \textless{} k $\le$ 1"
    assert prose("sqrt(3)/6 h^2") == r"$\sqrt{3}$/6 h$^{2}$"
    assert prose("A-stable 50%") == r"A-stable 50\%"
    assert prose("z in (-inf, 0]") == r"z in ($-\infty$, 0]"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_compiles_the_document(hostile: Unit, tmp_path: Path) -> None:
    units = [*(unit(name) for name in SOME), hostile]
    text = document_latex([(it.analysis, it.scheme) for it in units])
    (tmp_path / "report.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            "pdflatex",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "-no-shell-escape",
            "report.tex",
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull \\hbox (1" not in log  # nothing sticks out by 10 points or more


# --- Markdown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOME)
def test_markdown_tables_and_fences(name: str) -> None:
    it = unit(name)
    lines = report_markdown(it.analysis, it.scheme).splitlines()
    assert lines.count("$$") % 2 == 0
    assert sum(line.startswith("```") for line in lines) % 2 == 0
    inside = False
    for before, line in zip([*lines, ""], lines[1:], strict=False):
        if line == "$$":
            inside = not inside
            assert before == "" or not inside  # a formula begins a paragraph of its own
        if inside:
            assert line  # an empty line would end it
        if line.startswith("|"):
            assert re.sub(r"\\.", "", line).count("|") == 3


def rendered(text: str) -> str:
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    return str(markdown.render(text))


def test_markdown_of_a_hostile_title_is_text(hostile: Unit) -> None:
    page = rendered(report_markdown(hostile.analysis, hostile.scheme))
    assert "<script" not in page
    assert "<a " not in page
    assert "<em>" not in page
    assert (
        hostile.scheme.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
    )


def test_markdown_shows_every_fact() -> None:
    it = unit("bdf3")
    page = rendered(report_markdown(it.analysis, it.scheme))
    for fact in facts(it.analysis, it.scheme, Script()):
        if fact.key != "stability.function":
            assert f"<td>{fact.label}</td>" in page


# --- HTML ----------------------------------------------------------------------------------------------

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(HTMLParser):
    """Collects tags that do not match, elements by name, ids, and everything that names another resource."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._read(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self._read(attrs)

    def _read(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href", "action", "data") and not str(
                value
            ).startswith("#"):
                self.links.append(str(value))
            if name.startswith("on"):
                self.wrong.append(name)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    return checker


@pytest.mark.parametrize("name", SOME)
def test_page_is_whole_and_fetches_nothing(name: str) -> None:
    it = unit(name)
    page = page_html([(it.analysis, it.scheme)], regions=False)
    found = checked(page)
    assert not found.open
    assert not found.wrong
    assert not found.links
    assert not found.seen & {"script", "link", "iframe", "img", "object"}
    assert "@import" not in page
    assert "url(" not in page
    words = " ".join(" ".join(found.words).split())
    for fact in facts(it.analysis, it.scheme, Script()):
        if fact.key != "stability.function":
            assert fact.label in words
    for note in it.analysis.notes:
        assert note.code is not None or note.key in words


def test_page_of_several_schemes_with_regions_keeps_names_apart() -> None:
    pytest.importorskip("matplotlib")
    units = [unit("rk2"), unit("rk2"), unit("lm_resnet")]
    page = page_html([(it.analysis, it.scheme) for it in units])
    found = checked(page)
    assert not found.wrong
    assert not found.links
    assert len(found.ids) == len(set(found.ids)) > 20
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= set(found.ids)
    assert page.count("Stability region") == 3
    assert "currentColor" in page
    assert "matplotlib.org" not in page
    assert page == page_html([(it.analysis, it.scheme) for it in units])


def test_page_of_a_scheme_without_a_region_has_the_rest() -> None:
    it = unit("ars222")
    page = page_html([(it.analysis, it.scheme)])
    assert "Stability region" not in page
    assert "Modified equation" in page


def test_page_of_a_hostile_title_is_text(hostile: Unit) -> None:
    page = page_html([(hostile.analysis, hostile.scheme)], regions=False)
    found = checked(page)
    assert "script" not in found.seen
    assert hostile.scheme.title in " ".join(found.words)


def test_every_section_with_formulas_names_its_source() -> None:
    it = unit("rk2")
    report = document(it.analysis, it.scheme, Script())
    by_key = {section.key: section for section in report.sections}
    for key in ("order", "stability", "modified_equation", "modifying_equation"):
        assert by_key[key].sources, key
    page = report_html(it.analysis, it.scheme, regions=False)
    assert "Source: Hairer, Lubich, Wanner (2006), IX.1 and IX.9.1" in page
    assert "E. Hairer, C. Lubich, G. Wanner" in page


def test_a_fact_that_no_section_claims_is_shown_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from schemegen.report import document as module
    from schemegen.report.lines import Fact

    it = unit("rk2")
    extra = Fact("brand_new.key", "brand new", "fact 17")
    usual = module.facts
    monkeypatch.setattr(module, "facts", lambda *given: (*usual(*given), extra))
    for write in (report_latex, report_markdown, report_html):
        text = write(it.analysis, it.scheme)
        assert "Further facts" in text
        assert "fact 17" in text


# --- MathML, read back ---------------------------------------------------------------------------------

k, lam = sympy.symbols("k lam")


def value_of(element: ET.Element) -> sympy.Expr:
    """Evaluate presentation MathML of numbers, names, sums, products, fractions, powers and roots."""
    children = list(element)
    match element.tag:
        case "mn":
            return sympy.Integer(int(element.text or ""))
        case "mi":
            return {"e": sympy.E}.get(element.text or "", sympy.Symbol(element.text or ""))
        case "mfrac":
            return value_of(children[0]) / value_of(children[1])
        case "msup":
            return value_of(children[0]) ** value_of(children[1])
        case "msqrt":
            return sympy.sqrt(value_of(children[0]))
        case "mrow":
            return row_value(children)
    raise AssertionError(element.tag)


def row_value(children: list[ET.Element]) -> sympy.Expr:
    total, product, sign = sympy.Integer(0), None, 1
    for child in children:
        if child.tag == "mo" and child.text in ("+", "−"):
            total += sign * product if product is not None else 0
            sign, product = (1 if child.text == "+" else -1), None
        elif child.tag == "mo" and child.text in ("(", ")"):
            continue
        else:
            factor = value_of(child)
            product = factor if product is None else product * factor
    return total + sign * (product if product is not None else 0)


def random_coefficient(source: random.Random) -> sympy.Expr:
    def polynomial() -> sympy.Expr:
        return sum(
            (source.randint(-5, 5) * k**j for j in range(3)), sympy.Integer(source.randint(-3, 3))
        )

    above, below = polynomial(), polynomial()
    below = below if below != 0 else 1 + k
    made = sympy.Rational(source.randint(-9, 9), source.randint(1, 9)) * above / below
    extra = source.choice([1, sympy.sqrt(3), k, sympy.exp(-lam), 1 / (1 + k) ** 3])
    return sympy.factor(made) * extra + source.choice([0, 0, sympy.Rational(-1, 3)])


def test_mathml_says_the_number_it_was_given() -> None:
    source = random.Random(20061)
    for _ in range(120):
        value = random_coefficient(source)
        read = value_of(ET.fromstring(mathml.exact(value)))
        assert sympy.simplify(read - value) == 0, value


def test_mathml_of_a_stability_function() -> None:
    z = sympy.Symbol("z")
    text = mathml.quotient("R", "z", [sympy.Integer(1), sympy.Rational(1, 2)],
                           [sympy.Integer(1), -sympy.Rational(1, 2)])  # fmt: skip
    right = list(ET.fromstring(text))[1]
    assert sympy.simplify(value_of(right) - (1 + z / 2) / (1 - z / 2)) == 0


def test_mathml_escapes_names() -> None:
    assert "<b>" not in mathml.name("<b>")
    ET.fromstring(mathml.exact(sympy.Symbol("a&b") ** 2 + sympy.Function("relu")(k)))
