"""Sphinx: ``sphinx-build -W docs docs/_build``."""

project = "schemegen"
author = "The schemegen developers"
project_copyright = "The schemegen developers"
extensions = ["myst_nb"]
html_theme = "furo"
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
exclude_patterns = ["_build"]
