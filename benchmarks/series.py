"""Time the modified equation of a Runge-Kutta method, exact, beside other B-series packages.

Every measurement is made in a fresh process, after its imports, trees included; the median is reported.

    python -m benchmarks series                       this package, and the peers that are installed beside it
    python -m benchmarks series --peers PYTHON        beside the packages that PYTHON can import

Peers, in an environment of their own (they pin other versions): ``python -m venv peers``, then
``peers/bin/pip install kauri pybs``. kauri computes the same coefficients by a substitution character; its
times grow too fast for order 9, so it is asked for less. The pybs 0.1 that pip finds lacks its modules and
is reported as it fails; its source tree on GitHub can be put on the path of PYTHON instead.
"""

from __future__ import annotations

import sys

from benchmarks.harness import Options, Report, fresh_median, python, setting

CASES = (
    ("midpoint", 5),
    ("midpoint", 7),
    ("midpoint", 9),
    ("rk4", 5),
    ("rk4", 7),
    ("rk4", 9),
    ("rk4", 12),
)
PEER_LIMIT = 7
TABLEAUS = {
    "midpoint": "([[0, 0], [Q(1, 2), 0]], [0, 1])",
    "rk4": "([[0, 0, 0, 0], [Q(1, 2), 0, 0, 0], [0, Q(1, 2), 0, 0], [0, 0, 1, 0]], "
    "[Q(1, 6), Q(1, 3), Q(1, 3), Q(1, 6)])",
}

SCHEMEGEN = """
import time
import sympy
from sympy import Rational as Q
from schemegen.analysis.expansion import read
from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import State
from schemegen.step.program import Combine, Evaluate, Field, Origin, Program, Term
a, b = {tableau}
h, one, origin, statements = sympy.Symbol("h"), sympy.Integer(1), Origin(None, "step"), []
for i, row in enumerate(a):
    terms = [Term(h * c, f"k{{j}}") for j, c in enumerate(row) if c]
    at = "u[n]"
    if terms:
        at = f"Y{{i}}"
        statements.append(Combine(at, (Term(one, "u[n]"), *terms), origin))
    statements.append(Evaluate(f"k{{i}}", "f", (at,), i, 0, origin))
terms = [Term(h * c, f"k{{j}}") for j, c in enumerate(b) if c]
statements.append(Combine("u[n+1]", (Term(one, "u[n]"), *terms), origin))
state = State("u", Span(Source("benchmark", ""), 0, 0))
program = Program("benchmark", (state,), (Field("f", "drift", ("u",)),), (), tuple(statements))
start = time.perf_counter()
numbers = read(program, {order}).field.coefficients[0]
print(time.perf_counter() - start, len(numbers), numbers[3])
"""

KAURI = """
import time
from fractions import Fraction as Q
import kauri
a, b = {tableau}
method = kauri.RK(a, b)
start = time.perf_counter()
field = method.elementary_weights_map().modified_equation()
numbers = [field(tree) for tree in kauri.trees_up_to_order({order})][1:]
print(time.perf_counter() - start, len(numbers), numbers[-1])
"""

PYBS = """
import time
from fractions import Fraction as Q
from pybs.rungekutta.methods import RKmidpoint, RK4
from pybs.series import modified_equation
from pybs.unordered_tree import trees_of_order
method = {{"midpoint": RKmidpoint, "rk4": RK4}}["{method}"]
start = time.perf_counter()
field = modified_equation(method.phi())
numbers = [field(tree) for n in range(1, {order} + 1) for tree in trees_of_order(n)]
print(time.perf_counter() - start, len(numbers), numbers[-1])
"""


QUESTION = "How long does the exact modified equation of a Runge-Kutta method take?"


def run(options: Options) -> Report:
    report = Report("series", QUESTION, setting(options, ("kauri", "pybs")))
    packages = (
        ("schemegen", sys.executable, SCHEMEGEN),
        ("kauri", python(options), KAURI),
        ("pybs", python(options), PYBS),
    )
    table = report.table("Median seconds", "method", "order", *(name for name, _, _ in packages))
    for method, order in CASES[:1] if options.quick else CASES:
        row: list[object] = [method, order]
        for name, interpreter, template in packages:
            own = name == "schemegen"
            code = template.format(tableau=TABLEAUS[method], order=order, method=method)
            wanted = own or order <= PEER_LIMIT
            rounds = options.number(5) if own else 1
            row.append(fresh_median(interpreter, code, rounds) if wanted else None)
        table.rows.append(row)
    return report
