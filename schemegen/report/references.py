"""Where the formulas of a report come from: a book or paper and the place in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Reference", "bibliography", "cited"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a work: ``Hairer, Wanner (1996), IV.3``."""

    work: str
    place: str

    def __str__(self) -> str:
        return f"{self.work}, {self.place}" if self.place else self.work


WORKS = {
    "Hairer, Norsett, Wanner (1993)": "E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential"
    " Equations I: Nonstiff Problems, 2nd edition, Springer, 1993",
    "Hairer, Wanner (1996)": "E. Hairer, G. Wanner, Solving Ordinary Differential Equations II: Stiff and"
    " Differential-Algebraic Problems, 2nd edition, Springer, 1996",
    "Hairer, Lubich, Wanner (2006)": "E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration:"
    " Structure-Preserving Algorithms for Ordinary Differential Equations, 2nd edition, Springer, 2006",
    "Chartier, Hairer, Vilmart (2007)": "P. Chartier, E. Hairer, G. Vilmart, Numerical integrators based on"
    " modified differential equations, Mathematics of Computation 76 (2007), 1941-1953",
    "Gottlieb, Ketcheson, Shu (2011)": "S. Gottlieb, D. Ketcheson, C.-W. Shu, Strong Stability Preserving"
    " Runge-Kutta and Multistep Time Discretizations, World Scientific, 2011",
    "Hochbruck, Ostermann (2010)": "M. Hochbruck, A. Ostermann, Exponential integrators, Acta Numerica 19"
    " (2010), 209-286",
    "Kloeden, Platen (1992)": "P. E. Kloeden, E. Platen, Numerical Solution of Stochastic Differential"
    " Equations, Springer, 1992",
}

HNW, HW, GNI = list(WORKS)[:3]

ORDER = {
    "multistep": Reference(HNW, "III.2, theorem 2.4"),
    "partitioned": Reference(GNI, "III.2"),
    "additive": Reference(HNW, "II.15"),
    "exponential": Reference("Hochbruck, Ostermann (2010)", "section 2"),
    "stochastic": Reference("Kloeden, Platen (1992)", "chapters 9 and 10"),
}
RUNGE_KUTTA_ORDER = Reference(HNW, "II.2, theorem 2.13")


def cited(key: str, kind: str, *, steps: bool = False, ssp: bool = False) -> tuple[Reference, ...]:
    """Return the references of a section; ``steps`` where the method has several, ``ssp`` where decided."""
    match key:
        case "order":
            return (ORDER.get(kind, RUNGE_KUTTA_ORDER),)
        case "stability":
            places = [Reference(HW, "V.1" if steps else "IV.2 and IV.3"), Reference(HNW, "III.3")]
            return (*places, *([Reference("Gottlieb, Ketcheson, Shu (2011)", "chapter 3")] * ssp))
        case "geometry":
            return (Reference(GNI, "IV.2, V.2 and VI.4"), Reference(HW, "IV.12"))
        case "modified_equation":
            many = kind == "multistep"
            return (Reference(GNI, "IX.9.1 and XV.3.1" if many else "IX.1 and IX.9.1"),)
        case "modifying_equation":
            return (Reference("Chartier, Hairer, Vilmart (2007)", ""),)
        case _:
            return ()


def bibliography(references: Iterable[Reference]) -> Sequence[str]:
    """Return the works cited in full, in the order of the table."""
    used = {item.work for item in references}
    return [text for work, text in WORKS.items() if work in used]
