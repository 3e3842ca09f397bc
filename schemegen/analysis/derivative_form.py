"""The modified equation in derivative form: ``c_1 u' + c_2 h u'' + c_3 h^2 u''' + .. = f(u)``.

Where every slope of a step is taken at the state itself, now or at other steps, the step is linear in the
shift ``zeta = exp(h D)``: ``P(zeta) u = Q(zeta) f(u)``, and ``P/Q`` expanded in ``D`` is the left side.
Source: Lu, Zhong, Li, Dong (2018), sec. 2; for ``rho(e^z)/sigma(e^z)`` Hairer, Norsett, Wanner (1993), III.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import sympy

from schemegen.analysis.coefficients import H, expression
from schemegen.analysis.linear_algebra import inverse
from schemegen.analysis.model import DerivativeTerm, Exact
from schemegen.analysis.operations import Slope
from schemegen.analysis.reading import Reading
from schemegen.series import Number
from schemegen.series.rational_functions import Quotient, RationalFunctions

__all__ = ["derivative_form"]


class NotLinearError(Exception):
    """The step has no derivative form."""


def derivative_form(reading: Reading, nodes: int) -> tuple[DerivativeTerm, ...] | None:
    """Return the terms up to ``h^(nodes - 1)``, None where the form does not apply."""
    skeleton = reading.skeleton
    drifts = {step.field for step in skeleton.operations.steps if isinstance(step, Slope)}
    if len(skeleton.principal) != 1 or len(drifts) != 1:
        return None
    try:
        operator = _Shifts(reading).operator()
        return operator.expanded(nodes)
    except (NotLinearError, ZeroDivisionError):
        return None


class _Shifts:
    """The step over the field ``QQ(params, zeta, h)``: a value is ``A u + B f(u) + sum W w``."""

    def __init__(self, reading: Reading) -> None:
        self.skeleton = reading.skeleton
        self.state = reading.skeleton.principal[0]
        self.symbols = [g for g in reading.coefficients.generators if g.is_Symbol]
        names = [f"g{i}" for i in range(len(self.symbols))]
        self.ring = RationalFunctions([*names, "zeta", "h"])
        count = len(self.symbols)
        self.zeta, self.h = self.ring.generator(count), self.ring.generator(count + 1)
        self.images = {s: self.ring.generator(i) for i, s in enumerate(self.symbols)}
        self.images[H] = self.h
        self.hidden = [f"{name}[n]" for name in self.skeleton.auxiliary]

    def operator(self) -> _Operator:
        """Return ``P/Q`` after the auxiliary states are eliminated."""
        operations = self.skeleton.operations
        known = self._slopes_and_states()
        equation = f"{self.state}[n+1]"
        for step in operations.steps:
            if isinstance(step, Slope):
                continue
            row = self._zero()
            for c, value in step.terms:
                if value not in known:
                    raise NotLinearError
                number = self._number(c)
                row = [a + number * b for a, b in zip(row, known[value], strict=True)]
            if step.unknown == equation:
                equation = step.name
            elif step.unknown:
                raise NotLinearError
            known[step.name] = row
        row = self._eliminated(known, known[equation])
        ratio = (self.zeta - row[0]) * self.ring.inverse(row[1])
        return _Operator(ratio, self.symbols)

    def _zero(self) -> list[Number]:
        return [self.ring.zero] * (2 + len(self.hidden))

    def _unit(self, index: int, factor: Number) -> list[Number]:
        row = self._zero()
        row[index] = factor
        return row

    def _shift(self, steps: int) -> Number:
        result = self.ring.one
        factor = self.zeta if steps > 0 else self.ring.inverse(self.zeta)
        for _ in range(abs(steps)):
            result = result * factor
        return result

    def _slopes_and_states(self) -> dict[str, list[Number]]:
        """Return the states and the slopes; a slope must be at a state of some step."""
        operations = self.skeleton.operations
        times = {f"{self.state}[n]": 0}
        times |= {name: -lag for name, of, lag in operations.lags if of == f"{self.state}[n]"}
        known = {name: self._unit(0, self._shift(time)) for name, time in times.items()}
        times[f"{self.state}[n+1]"] = 1
        if f"{self.state}[n+1]" in operations.targets:
            known[f"{self.state}[n+1]"] = self._unit(0, self.zeta)
        for index, name in enumerate(self.hidden):
            known[name] = self._unit(2 + index, self.ring.one)
        for step in operations.steps:
            if isinstance(step, Slope):
                if len(step.at) != 1 or step.at[0] not in times:
                    raise NotLinearError
                known[step.name] = self._unit(1, self._shift(times[step.at[0]]))
        for name, of, lag in operations.lags:
            if name not in known:
                if of not in known:
                    raise NotLinearError
                back = self._shift(-lag)
                known[name] = [back * entry for entry in known[of]]
        return known

    def _eliminated(self, known: dict[str, list[Number]], row: list[Number]) -> list[Number]:
        """Solve ``zeta w = A u + B k + W w`` for the auxiliary states and put them in."""
        if not self.hidden:
            return row
        updates = [known[name.replace("[n]", "[n+1]")] for name in self.hidden]
        matrix = []
        for index, update in enumerate(updates):
            left = self._unit(2 + index, self.zeta)
            matrix.append([a - b for a, b in zip(left[2:], update[2:], strict=True)])
        solved = inverse(self.ring, matrix)
        if solved is None:
            raise NotLinearError
        result = row[:2]
        for factor, weights in zip(row[2:], solved, strict=True):
            for weight, update in zip(weights, updates, strict=True):
                product = factor * weight
                result = [a + product * b for a, b in zip(result, update[:2], strict=True)]
        return result

    def _number(self, e: Exact) -> Number:
        if e in self.images:
            return self.images[e]
        if e.is_Rational:
            return self.ring.rational(int(e.p), int(e.q))
        if e.is_Add:
            return sum((self._number(arg) for arg in e.args), self.ring.zero)
        if e.is_Mul:
            result = self.ring.one
            for arg in e.args:
                result = result * self._number(arg)
            return result
        if e.is_Pow and e.exp.is_Integer:
            base = self._number(e.base)
            base = self.ring.inverse(base) if e.exp < 0 else base
            result = self.ring.one
            for _ in range(abs(int(e.exp))):
                result = result * base
            return result
        raise NotLinearError


class _Operator:
    """``ratio(zeta, h)`` with ``zeta = exp(h D)``, applied to u."""

    def __init__(self, ratio: Quotient, symbols: Sequence[sympy.Symbol]) -> None:
        self.ratio = ratio
        self.symbols = [*symbols, H]
        self.ring = RationalFunctions([f"g{i}" for i in range(len(self.symbols))])

    def expanded(self, nodes: int) -> tuple[DerivativeTerm, ...]:
        """Divide the series of numerator and denominator in ``hD``; the coefficients may hold h."""
        extra = 6  # zeros of the denominator at zeta = 1 cost as many terms
        top = self._series(self.ratio.numerator, nodes + extra)
        bottom = self._series(self.ratio.denominator, nodes + extra)
        first = next((i for i, c in enumerate(bottom) if c), None)
        if first is None or any(top[:first]):
            raise NotLinearError
        top, bottom = top[first:], bottom[first:]
        scale = self.ring.inverse(bottom[0])
        quotient: list[Number] = []
        for n in range(nodes + 1):
            total = top[n]
            for i in range(1, n + 1):
                total = total - bottom[i] * quotient[n - i]
            quotient.append(total * scale)
        terms = []
        for derivative, number in enumerate(quotient):
            terms.extend(self._terms(derivative, number))
        return tuple(term for term in terms if term.h_power < nodes)

    def _series(self, polynomial: Number, count: int) -> list[Number]:
        """Return ``p(exp(X))`` up to ``X^(count - 1)``; ``zeta`` is the last generator but one."""
        generators = [self.ring.generator(i) for i in range(len(self.symbols))]
        result = [self.ring.zero] * count
        for exponents, c in polynomial.to_dict().items():
            *powers, zeta_power, h_power = map(int, exponents)
            number = self.ring.rational(int(c.p), int(c.q))
            for generator, power in zip(generators, [*powers, h_power], strict=True):
                for _ in range(power):
                    number = number * generator
            for n in range(count):
                factor = self.ring.rational(zeta_power**n, factorial(n))
                result[n] = result[n] + number * factor
        return result

    def _terms(self, derivative: int, number: Quotient) -> list[DerivativeTerm]:
        """Split ``c(h) (hD)^j`` into powers of h; the denominator may hold h as a factor only."""
        if not number:
            return []
        powers = {exponents[-1] for exponents in number.denominator.to_dict()}
        if len(powers) != 1:
            raise NotLinearError
        low = derivative - int(powers.pop())
        without_h = expression(
            self.ring,
            [*self.symbols[:-1], sympy.Integer(1)],
            Quotient(self.ring.one.numerator, number.denominator),
        )
        found: dict[int, Exact] = {}
        for exponents, c in number.numerator.to_dict().items():
            monomial = [s ** int(e) for s, e in zip(self.symbols[:-1], exponents[:-1], strict=True)]
            part = sympy.Mul(sympy.Rational(int(c.p), int(c.q)), *monomial)
            found[int(exponents[-1])] = found.get(int(exponents[-1]), sympy.Integer(0)) + part
        return [
            DerivativeTerm(derivative, low + power, sympy.factor(part * without_h))
            for power, part in sorted(found.items())
        ]
