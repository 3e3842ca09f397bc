"""The compiler, stage by stage: parse, check, lower, analyse, fit, emit.

Every function here is one stage or a row of them; the mathematics is in the packages they call. Imports
are local so that a stage which needs neither sympy nor torch does not pay for them.
"""

from __future__ import annotations

from pathlib import Path

from schemegen.diagnostics import Diagnostic, Source, in_order

__all__ = ["diagnose"]


def diagnose(
    source: Source, *, root: Path | None = None, network: str | None = None
) -> tuple[Diagnostic, ...]:
    """Return everything ``schemegen check`` says of one text, in order.

    Parses, checks, fits each scheme to the networks of the text (only to ``network`` where one is
    named), analyses it and decides its claims. Never raises for a mistake of the user.
    """
    from schemegen.analysis import analyze
    from schemegen.language import parse
    from schemegen.scheme import check, fit
    from schemegen.step import lower

    parsed = parse(source)
    checked = check(parsed, root=root)
    found = [*parsed.diagnostics, *checked.diagnostics]
    networks = [item for item in checked.networks if network in (None, item.name)]
    for scheme in checked.schemes:
        for spec in networks:
            found.extend(fit(scheme, spec))
        found.extend(analyze(scheme, lower(scheme)).diagnostics)
    return in_order(found)
