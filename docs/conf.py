"""Sphinx: ``sphinx-build -W docs docs/_build``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

project = "schemegen"
author = "The schemegen developers"
project_copyright = "The schemegen developers"
extensions = ["myst_nb"]
html_theme = "furo"
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
exclude_patterns = ["_build", "_gallery"]


def setup(app: object) -> None:
    """Draw the gallery before the pages are read."""
    sys.path.insert(0, str(HERE))
    import gallery

    app.connect("builder-inited", lambda _: gallery.write(HERE / "_gallery"))  # type: ignore[attr-defined]
