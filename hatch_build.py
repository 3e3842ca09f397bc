"""Build hook: write the parser's tables beside the grammar, so that no installation has to build them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ParserTables(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels, editable ones included; a source distribution carries no tables."""

    PLUGIN_NAME = "parser-tables"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        from schemegen.language.parser import TABLES, grammar_text, tables

        text = json.dumps(tables(grammar_text()), separators=(",", ":"))
        Path(self.root, "grammars", TABLES).write_text(text, encoding="utf-8")
