"""Draws the gallery: ``python docs/gallery.py FOLDER`` writes the pictures and the page that shows them.

Sphinx calls :func:`write` before it reads the pages, so no picture is kept in the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from schemegen.pipeline import load, study
from schemegen.report.plots import picture

GALLERY = (
    (
        "Stability regions",
        "region",
        "`schemegen analyze zoo/rk4 --plot rk4.svg`. The area holds every z = hλ for which no root of the step is "
        "larger than 1, so for one-step methods |R(z)| <= 1; circles and crosses are zeros and poles of R. A "
        "scheme with a learnable coefficient is drawn for several of its values.",
        ("euler", "rk4", "dopri5", "gauss2", "radau_iia2", "bdf4", "leapfrog", "lm_resnet", "momentum_net"),
    ),
    (
        "Order stars",
        "order-star",
        "`--plot-kind order-star`: where |R(z)| exceeds |exp z|. A method of order p has p + 1 "
        "sectors at the origin.",
        ("rk4", "gauss2", "radau_iia2"),
    ),
    (
        "Boundary loci",
        "locus",
        "`--plot-kind locus`: all z with a root on the unit circle, and how many roots are outside of it beside "
        "the curve.",
        ("ab5", "bdf6", "am4"),
    ),
    (
        "Root loci",
        "root-locus",
        "`--plot-kind root-locus`: the roots at z = 0 while a learnable coefficient goes through its range; "
        "without one, while z goes down the real axis.",
        ("lm_resnet", "momentum_net", "ab2"),
    ),
    (
        "Trees",
        "trees",
        "`--plot-kind trees`: the terms of the modified equation. A vertex has the colour of its field, a "
        "hollow one is the state itself.",
        ("rk2", "stoermer_verlet", "in_resnet"),
    ),
)  # fmt: skip


def write(folder: Path) -> None:
    """Write ``index.md`` and one SVG for each picture into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for title, kind, text, names in GALLERY:
        lines += [f"## {title}", "", text, ""]
        for name in names:
            it = study(load(name))
            path = folder / f"{name}-{kind}.svg"
            path.write_bytes(picture(kind, "svg", it.analysis, it.scheme))
            alt = f"{title}: {it.scheme.name}"
            lines += [f"![{alt}]({folder.name}/{path.name})", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
