"""The step in evaluation mode: every coefficient at the mean of its noises, or without them."""

from __future__ import annotations

from dataclasses import replace

import sympy

from schemegen.scheme.model import Coefficient, Noise
from schemegen.scheme.moments import mean, moment, moments_of, off
from schemegen.step import passes
from schemegen.step.program import Combine, Program, Solve, Statement, Term

__all__ = ["StillRandomError", "at_means", "averaged", "evaluated"]


class StillRandomError(Exception):
    """A noise is drawn in evaluation too; the text says which."""


def evaluated(program: Program) -> Program:
    """Return the program without noises, and without what they alone needed; see :func:`at_means`.

    Raises StillRandomError for ``active always`` and ``eval sample``.
    """
    if not program.noises:
        return program
    for noise in program.noises:
        if noise.active == "always" or noise.evaluation == "sample":
            raise StillRandomError(f"noise `{noise.name}` stays on in evaluation")
    mean_step = at_means(program)
    return passes.tidy(
        replace(
            mean_step,
            noises=(),
            starter=None if program.starter is None else evaluated(program.starter),
            first=None if program.first is None else evaluated(program.first),
            opening=None if program.opening is None else evaluated(program.opening),
        )
    )


def at_means(program: Program) -> Program:
    """Return the program with ``E c(xi)`` for each coefficient c, with ``eval off`` c(1) or c(0).

    Noises are independent, so ``dW^2 - h`` becomes 0. A coefficient that is no polynomial in a noise is taken
    at its mean.
    """
    return replace(
        program,
        statements=tuple(_statement(item, program.noises) for item in program.statements),
        starter=None if program.starter is None else at_means(program.starter),
        first=None if program.first is None else at_means(program.first),
        opening=None if program.opening is None else at_means(program.opening),
    )


def averaged(coefficient: Coefficient, noise: Noise) -> Coefficient:
    """Return ``E c(xi)`` over one noise, or ``c(E xi)`` where c is no polynomial in it."""
    powers = moments_of(coefficient, noise)
    if powers is None:
        return coefficient.xreplace({noise.symbol: mean(noise)})
    return sympy.Add(*(c * moment(noise, power) for power, c in powers.items()))


def _statement(statement: Statement, noises: tuple[Noise, ...]) -> Statement:
    match statement:
        case Combine():
            return replace(statement, terms=_terms(statement.terms, noises))
        case Solve():
            inner = tuple(_statement(item, noises) for item in statement.statements)
            guess = tuple(_terms(terms, noises) for terms in statement.guess)
            return replace(statement, statements=inner, guess=guess)  # type: ignore[arg-type]
        case _:
            return statement


def _terms(terms: tuple[Term, ...], noises: tuple[Noise, ...]) -> tuple[Term, ...]:
    found = []
    for term in terms:
        coefficient = term.coefficient
        for noise in noises:
            if noise.symbol in coefficient.free_symbols:
                if noise.evaluation == "off":
                    coefficient = coefficient.xreplace({noise.symbol: off(noise)})
                else:
                    coefficient = averaged(coefficient, noise)
        found.append(Term(coefficient, term.value))
    return tuple(found)
