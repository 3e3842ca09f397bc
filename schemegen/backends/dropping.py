"""Which evaluations a Bernoulli draw makes superfluous: read off the coefficients of their slopes."""

from __future__ import annotations

from dataclasses import dataclass

from schemegen.exact import is_zero
from schemegen.scheme.model import Noise
from schemegen.step.program import Combine, Evaluate, Program, Solve, Statement, Term

__all__ = ["Dropped", "dropped"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A slope that ``noise`` removes; ``once``: one combination alone has it, and can add it where it is kept."""

    noise: Noise
    once: bool


def dropped(
    program: Program, statements: tuple[Statement, ...], kept: frozenset[str]
) -> dict[str, Dropped]:
    """Return, by the name of a slope, which noise's draw of 0 removes it from every combination.

    The noise is a Bernoulli one with a draw for each sample or batch, forwards and backwards the same. A slope
    that a later step remembers (``kept``), or that is not only combined, is always evaluated.
    """
    noises = [
        noise
        for noise in program.noises
        if (noise.kind, noise.backward, noise.compute) == ("bernoulli", "same", "kept")
        and noise.scope in ("sample", "batch")
    ]
    uses: dict[str, list[Term]] = {}
    elsewhere = set(kept)
    for statement in statements:
        match statement:
            case Combine():
                for term in statement.terms:
                    uses.setdefault(term.value, []).append(term)
            case Evaluate():
                elsewhere |= set(statement.at)
            case Solve():
                elsewhere |= read(statement)
    result: dict[str, Dropped] = {}
    for statement in statements:
        if not isinstance(statement, Evaluate) or statement.target in elsewhere:
            continue
        terms = uses.get(statement.target, [])
        for noise in noises:
            if terms and all(vanishes(term, noise) for term in terms):
                result.setdefault(statement.target, Dropped(noise, len(terms) == 1))
    return result


def vanishes(term: Term, noise: Noise) -> bool:
    """Return whether a draw of 0 makes the coefficient of a term 0."""
    symbol = noise.symbol
    return symbol in term.coefficient.free_symbols and is_zero(
        term.coefficient.xreplace({symbol: symbol * 0})
    )


def read(solve: Solve) -> set[str]:
    """Return the values that a group of implicit stages reads."""
    values = {term.value for terms in solve.guess for term in terms}
    for statement in solve.statements:
        if isinstance(statement, Combine):
            values |= {term.value for term in statement.terms}
        else:
            values |= set(statement.at)
    return values
