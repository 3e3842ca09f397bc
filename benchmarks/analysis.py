"""Time exact analyses, each in a fresh process after its imports, beside packages that can do the task.

    python -m benchmarks analysis                     this package, and the peers that are installed beside it
    python -m benchmarks analysis --peers PYTHON      beside kauri and NodePy, as PYTHON can import them

The tasks: the modified equation of explicit midpoint (kauri computes it too; its time grows so fast that it is
asked for 7 nodes at most), the modified equation of the generic explicit tableau of 4 stages with 10
symbols, the order of Dormand-Prince 5(4) (NodePy decides it too), and the generator to h^2 of a two-stage step
of two fields with two noises, drawn once a step and for every component.
The garbage of the imports is collected before each measurement, so that it is charged to nobody.
The peers need an environment of their own: ``python -m venv peers``, ``peers/bin/pip install kauri nodepy six``.
"""

from __future__ import annotations

import sys

from benchmarks.harness import Options, Report, fresh_median, python, setting

SETUP = """
import gc
import time
import sympy
from sympy import Rational as Q
from schemegen.analysis.expansion import read
from schemegen.analysis.order import fails_at
from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import State
from schemegen.step.program import Combine, Evaluate, Field, Origin, Program, Term
h, one, origin = sympy.Symbol("h"), sympy.Integer(1), Origin(None, "step")

def program(a, b):
    statements = []
    for i, row in enumerate(a):
        terms = [Term(h * c, f"k{j}") for j, c in enumerate(row) if c]
        at = f"Y{i}" if terms else "u[n]"
        if terms:
            statements.append(Combine(at, (Term(one, "u[n]"), *terms), origin))
        statements.append(Evaluate(f"k{i}", "f", (at,), i, 0, origin))
    terms = [Term(h * c, f"k{j}") for j, c in enumerate(b) if c]
    statements.append(Combine("u[n+1]", (Term(one, "u[n]"), *terms), origin))
    state = State("u", Span(Source("benchmark", ""), 0, 0))
    field = Field("f", "drift", ("u",))
    return Program("benchmark", (state,), (field,), (), tuple(statements))
"""

MIDPOINT = """
p = program([[], [Q(1, 2)]], [0, 1])
gc.collect()
start = time.perf_counter()
read(p, {nodes})
print(time.perf_counter() - start)
"""

GENERIC = """
rows = [[sympy.Symbol(f"a{i}{j}") for j in range(i)] for i in range(4)]
p = program(rows, [sympy.Symbol(f"b{i}") for i in range(4)])
gc.collect()
start = time.perf_counter()
read(p, 6)
print(time.perf_counter() - start)
"""

ORDER = """
p = program(
    [
        [],
        [Q(1, 5)],
        [Q(3, 40), Q(9, 40)],
        [Q(44, 45), -Q(56, 15), Q(32, 9)],
        [Q(19372, 6561), -Q(25360, 2187), Q(64448, 6561), -Q(212, 729)],
        [Q(9017, 3168), -Q(355, 33), Q(46732, 5247), Q(49, 176), -Q(5103, 18656)],
    ],
    [Q(35, 384), 0, Q(500, 1113), Q(125, 192), -Q(2187, 6784), Q(11, 84)],
)
gc.collect()
start = time.perf_counter()
reading = read(p, 1)
while reading.nodes < 2 or not fails_at(reading, reading.nodes):
    reading.advance()
seconds = time.perf_counter() - start
assert reading.nodes == 6
print(seconds)
"""

NOISES = """
from schemegen.analysis.random_step import RandomStep
from schemegen.analysis.weak_operator import generator
from schemegen.scheme.builders import from_text
from schemegen.step import lower
p = lower(from_text('''scheme s {{
  state u
  drift f(u): block preact
  drift g(u): block preact
  noise dW: wiener, scope {scope}
  noise b: bernoulli(1/3), scope {scope}
  step {{
    k = f(u[n])
    y = u[n] + h*k + dW*g(u[n])
    u[n+1] = u[n] + h/2*(b*k + f(y)) + dW/2*(g(u[n]) + g(y))
  }}
}}'''))
gc.collect()
start = time.perf_counter()
generator(RandomStep(p, 3))
print(time.perf_counter() - start)
"""

KAURI = """
import gc
import time
from fractions import Fraction as Q
import kauri
method = kauri.RK([[0, 0], [Q(1, 2), 0]], [0, 1])
gc.collect()
start = time.perf_counter()
field = method.elementary_weights_map().modified_equation()
numbers = [field(tree) for tree in kauri.trees_up_to_order({nodes})]
print(time.perf_counter() - start)
"""

NODEPY = """
import gc
import time
from nodepy import rk
method = rk.loadRKM("DP5")
gc.collect()
start = time.perf_counter()
order = method.order()
seconds = time.perf_counter() - start
assert order == 5
print(seconds)
"""

# name, this package, peers, the time that is asked for in seconds
TASKS = (
    ("midpoint 7", MIDPOINT.format(nodes=7), {"kauri": KAURI.format(nodes=7)}, None),
    ("midpoint 9", MIDPOINT.format(nodes=9), {}, 0.03),
    ("midpoint 12", MIDPOINT.format(nodes=12), {}, 0.5),
    ("generic 4-stage 6", GENERIC, {}, 0.1),
    ("order of DP 5(4)", ORDER, {"nodepy": NODEPY}, 0.02),
    ("two noises to h^2", NOISES.format(scope="batch"), {}, 2.0),
    ("by component", NOISES.format(scope="element"), {}, 2.0),
)


QUESTION = "How long do exact analyses take, in fresh processes after their imports?"


def run(options: Options) -> Report:
    report = Report("analysis", QUESTION, setting(options, ("kauri", "nodepy")))
    table = report.table("Median seconds", "task", "asked for", "schemegen", "kauri", "nodepy")
    for name, code, peers, wanted in TASKS[:1] if options.quick else TASKS:
        row: list[object] = [name, wanted]
        row.append(fresh_median(sys.executable, SETUP + code, options.number(5)))
        for peer in ("kauri", "nodepy"):
            row.append(fresh_median(python(options), peers[peer], 1) if peer in peers else None)
        table.rows.append(row)
    return report
