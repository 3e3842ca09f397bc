"""``schemegen new``: a commented scheme to start from."""

from __future__ import annotations

import re
from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.diagnostics import UsageError

__all__ = ["command", "template"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")

RESERVED = frozenset(
    {"scheme", "network", "import", "const", "schedule", "stepsize", "map", "expect"}
    | {"step", "tableau", "multistep", "h", "n", "raw", "inf"}
)

TABLEAU = """\
# A numerical scheme. Everything after # is a comment; blanks and indentation never matter.
# `schemegen check {name}.scheme` reports mistakes, `schemegen compile {name}.scheme` builds the network.
scheme {name} "Explicit midpoint" {{
  state u  # the tensor that is carried from step to step
  drift f(u): block preact  # a trainable branch: u' = f(u)

  # The Butcher tableau: abscissae c | stage matrix A, then a line of dashes, then the weights b.
  # Numbers are exact: 1/2, 0.1 (= 1/10), sqrt(2); a difference stands in parentheses: (1 - 1/2).
  tableau explicit {{
     0  |
    1/2 | 1/2
    ----+--------
        |  0   1
  }}

  expect order = 2  # decided exactly at compile time
}}
"""

STEP = """\
# A numerical scheme. Everything after # is a comment; blanks and indentation never matter.
# `schemegen check {name}.scheme` reports mistakes, `schemegen compile {name}.scheme` builds the network.
scheme {name} "Two-step scheme with a learnable coefficient" {{
  state u  # the tensor that is carried from step to step
  drift f(u): block preact  # a trainable branch: u' = f(u)

  # A coefficient that is trained, one for each step of the network, kept in [0, 1).
  param k: learnable, per step, init 1/10, range [0, 1), via sigmoid

  # The update as equations; k multiplies the state of one step before.
  step {{
    u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n])
  }}

  start: euler  # how the first step, which has no u[n-1], is taken
  transition: history project  # what happens to u[n-1] where the network changes its width
}}
"""

MULTISTEP = """\
# A numerical scheme. Everything after # is a comment; blanks and indentation never matter.
# `schemegen check {name}.scheme` reports mistakes, `schemegen compile {name}.scheme` builds the network.
scheme {name} "Adams-Bashforth 2" {{
  state u  # the tensor that is carried from step to step
  drift f(u): block preact  # a trainable branch: u' = f(u)

  # sum_j alpha_j u_j = h sum_j beta_j f(u_j), a column for each step; f at n+1 would be implicit.
  multistep {{
      | n+1   n   n-1
    --+----------------
    u |  1   -1    0
    f |  0   3/2  -1/2
  }}

  start: euler  # how the first step, which has no history, is taken
  transition: history project  # what happens to the history where the network changes its width
  expect order = 2; expect zero_stable
}}
"""

TEMPLATES = {"tableau": TABLEAU, "step": STEP, "multistep": MULTISTEP}


@click.command("new")
@click.argument("name")
@click.option(
    "--form",
    type=click.Choice(list(TEMPLATES)),
    default="tableau",
    show_default=True,
    help="How the update is written.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; - for stdout.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@common
@click.pass_obj
def command(console: Console, name: str, form: str, output: Path | None, force: bool) -> None:
    """Write NAME.scheme, a commented scheme that compiles as it stands."""
    from schemegen.files import write_atomically

    name = name.removesuffix(".scheme")
    text = template(name, form)
    if output == Path("-"):
        console.out(text)
        return
    path = output or Path(f"{name}.scheme")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "choose another name, or pass --force to replace it")
    write_atomically(path, text)
    console.say(f"wrote {path}")


def template(name: str, form: str = "tableau") -> str:
    """Return the commented scheme ``name`` in one of the forms of :data:`TEMPLATES`."""
    if not NAME.match(name):
        raise UsageError(
            f"{name!r} is no name for a scheme",
            "use letters, digits and _, a letter first, up to 64",
        )
    if name in RESERVED:
        raise UsageError(f"{name!r} is a word of the language", "choose another name")
    return TEMPLATES[form].format(name=name)
