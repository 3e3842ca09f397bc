"""How mathematics is written on a terminal: trees, exact numbers, powers, polynomials.

A :class:`Script` says which characters there are: with Unicode ``h²`` and ``α``, without it ``h^2`` and
``alpha``. Everything else here is built on it, so one report has one hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sympy

from schemegen.diagnostics import InternalError
from schemegen.scheme.expressions import format_exact

__all__ = ["Script", "Tree", "number", "parse_tree", "signed_sum", "split", "times"]

SUPERSCRIPTS = str.maketrans("0123456789()-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾⁻")

GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ"},
    **{"eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ"},
    **{"pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ"},
    **{"omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ"},
    **{"Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω"},
}

LONG = 20  # digits of a denominator

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
POWER = re.compile(r"\^(\d+)")
# A drift, or one evaluated at other states than it is declared for: `f`, `f(w)`, `f(x,w)`.
FIELD = re.compile(rf"{WORD.pattern}(\({WORD.pattern}(,{WORD.pattern})*\))?")


class Tree(NamedTuple):
    """A rooted tree: the field at its root and the branches on it."""

    field: str
    branches: tuple[Tree, ...]


def parse_tree(text: str) -> Tree:
    """Read ``f[f[f],g(w)]``, the form of trees in the analysis."""
    tree, rest = _parse_tree(text)
    if rest:
        raise InternalError(f"not a tree: {text!r}")
    return tree


def _parse_tree(text: str) -> tuple[Tree, str]:
    match = FIELD.match(text)
    if match is None:
        raise InternalError(f"a tree begins with a field, not {text!r}")
    rest, branches = text[match.end() :], []
    if rest.startswith("["):
        while rest[:1] in ("[", ","):
            branch, rest = _parse_tree(rest[1:])
            branches.append(branch)
        if not rest.startswith("]"):
            raise InternalError(f"a tree lacks its ] before {rest!r}")
        rest = rest[1:]
    return Tree(match.group(), tuple(branches)), rest


@dataclass(frozen=True, slots=True)
class Script:
    """The characters a report may use."""

    unicode: bool = True

    @property
    def rule(self) -> str:
        return "─" if self.unicode else "-"

    @property
    def bar(self) -> str:
        return "│" if self.unicode else "|"

    @property
    def cross(self) -> str:
        return "┼" if self.unicode else "+"

    def power(self, base: str, exponent: int) -> str:
        """Return ``h``, ``h²``; nothing for exponent 0."""
        if exponent in (0, 1):
            return base * exponent
        if self.unicode:
            return base + str(exponent).translate(SUPERSCRIPTS)
        return f"{base}^{exponent}"

    def name(self, text: str) -> str:
        """Return a declared name, or a field at other states; greek letters are spelled in files, drawn here."""
        return WORD.sub(lambda match: GREEK.get(match[0], match[0]), text) if self.unicode else text

    def pretty(self, text: str) -> str:
        """Return an expression of the language as a reader writes it: ``2 k``, ``(1 + k)²``."""
        text = text.replace("*", " ")
        if self.unicode:
            text = POWER.sub(lambda match: match.group(1).translate(SUPERSCRIPTS), text)
            text = WORD.sub(lambda match: GREEK.get(match.group(), match.group()), text)
        return text

    def exact(self, value: sympy.Expr) -> str:
        """Return an exact number or coefficient; one of very many digits as a decimal."""
        long = [item for item in value.atoms(sympy.Rational) if len(str(item.q)) > LONG]
        if long:
            value = value.xreplace({item: sympy.Symbol(f"{float(item):.15g}") for item in long})
        return self.pretty(format_exact(value))

    def differential(self, tree: Tree) -> str:
        """Return the elementary differential: ``f'f'f``, ``f''(f,f)``."""
        name = self.name(tree.field)
        if not tree.branches:
            return name
        inner = [self.differential(branch) for branch in tree.branches]
        if len(inner) == 1:
            return f"{name}'{inner[0]}" if len(name) == 1 else f"{name}' {inner[0]}"
        return f"{name}{self.primes(len(inner))}({','.join(inner)})"

    def primes(self, count: int) -> str:
        if count <= 4:
            return "'" * count
        return f"({count})".translate(SUPERSCRIPTS) if self.unicode else f"^({count})"

    def scaled(self, coefficient: sympy.Expr, power: str, what: str) -> tuple[bool, str]:
        """Return whether ``coefficient * power * what`` has a minus sign, and the rest of it.

        Without a ``power``: ``1/6 f'f'f``. With it: ``h²/24 f''(f,f)``, ``(1 - k) h/2 u''``.
        """
        if not power and not what and coefficient.is_Add:
            return False, self.exact(coefficient)
        rational, rest = split(coefficient)
        if len(str(rational.q)) > LONG:  # rounded decimals, multiplied out; JSON keeps them exactly
            lead = f"{float(abs(rational)):.6g}"
            factor = "" if rest == 1 else self.factor(rest)
            parts = [lead if lead != "1" else "", factor, power, what]
            return bool(rational < 0), " ".join(part for part in parts if part) or "1"
        negative = bool(rational < 0)
        p, q = abs(int(rational.p)), int(rational.q)
        above, below = sympy.fraction(rest)
        if above == 1 and below != 1:
            return negative, self._over(p, q, below, power, what)
        factor = "" if rest == 1 else self.factor(rest)
        if not power:
            lead = str(p) if q == 1 else f"{p}/{q}"
            parts = [lead if lead != "1" else "", factor, what]
        else:
            parts = [str(p) if p != 1 else "", factor, power + (f"/{q}" if q != 1 else ""), what]
        return negative, " ".join(part for part in parts if part) or "1"

    def _over(self, p: int, q: int, below: sympy.Expr, power: str, what: str) -> str:
        """Return ``f/(1 + k)``, ``1/(6 (1 + k)²) f'f``, ``h²/(6 (1 + k)²) f'f``."""
        lower = self.factor(below)
        if q != 1:
            lower = f"({q} {lower})"
        elif below.is_Mul:
            lower = f"({lower})"
        if not power and p == 1 and q == 1 and what:
            return f"{what}/{lower}"
        lead = [str(p), power] if power and p != 1 else [power or str(p)]
        return " ".join([*lead[:-1], f"{lead[-1]}/{lower}", what]).rstrip()

    def factor(self, value: sympy.Expr) -> str:
        """Return ``value`` so that it may stand before another factor."""
        text = self.exact(value)
        return f"({text})" if _is_sum(text) else text

    def polynomial(
        self, coefficients: Sequence[sympy.Expr], variable: str, *, descending: bool = False
    ) -> str:
        """Return ``1 + z + z²/2`` from ascending coefficients."""
        terms = [
            self.scaled(value, self.power(variable, exponent), "")
            for exponent, value in enumerate(coefficients)
            if value != 0
        ]
        return signed_sum(terms[::-1] if descending else terms) or "0"

    def quotient(
        self, numerator: Sequence[sympy.Expr], denominator: Sequence[sympy.Expr], variable: str
    ) -> str:
        """Return a rational function; a denominator 1 is not written."""
        above = self.polynomial(numerator, variable)
        below = self.polynomial(denominator, variable)
        if below == "1":
            return above
        return f"{_grouped(above)} / {_grouped(below)}"


def split(coefficient: sympy.Expr) -> tuple[sympy.Rational, sympy.Expr]:
    """Return the rational content and the rest, its sign such that the constant term is positive.

    ``(k - 1)/(2 (1 + k))`` is ``-1/2`` times ``(1 - k)/(1 + k)``, as papers write it.
    """
    rational, rest = sympy.factor_terms(coefficient).as_coeff_Mul()
    if not rational.is_Rational:
        return sympy.Integer(1), coefficient
    above, below = sympy.fraction(rest)
    factors = list(sympy.Mul.make_args(above))
    for position, factor in enumerate(factors):
        if factor.is_Add and factor.as_coeff_Add()[0].is_negative:
            factors[position] = sympy.expand(-factor)
            rational = -rational
    lower = list(sympy.Mul.make_args(below))
    for position, factor in enumerate(lower):
        base, exponent = factor.as_base_exp()
        if base.is_Add and exponent.is_Integer and base.as_coeff_Add()[0].is_negative:
            lower[position] = sympy.expand(-base) ** exponent
            rational = -rational if exponent % 2 else rational
    return rational, sympy.Mul(*factors) / sympy.Mul(*lower)


def times(number: int, value: sympy.Expr) -> sympy.Expr:
    """Return the product as it is to be written: ``2 (1 + k)`` is not multiplied out."""
    if number == 1 or not value.is_Add:
        return number * value
    return sympy.Mul(number, value, evaluate=False)


def number(value: sympy.Expr | float, script: Script) -> str:
    """Return an exact number as itself and a float to six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return script.exact(value)


def signed_sum(terms: Sequence[tuple[bool, str]]) -> str:
    """Join ``(negative, text)`` pairs: ``a - b + c``."""
    return " ".join(_signed(terms))


def _signed(terms: Sequence[tuple[bool, str]]) -> Iterator[str]:
    for position, (negative, text) in enumerate(terms):
        if position == 0:
            yield f"-{text}" if negative else text
        else:
            yield f"{'-' if negative else '+'} {text}"


def _grouped(text: str) -> str:
    return f"({text})" if " " in text else text


def _is_sum(text: str) -> bool:
    """Whether a ``+`` or ``-`` stands outside every bracket."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-" and (position == 0 or text[position - 1] == " "):
            return True
    return False
