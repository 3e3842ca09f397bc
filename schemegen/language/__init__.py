"""Text to syntax nodes: parser, recovery, formatter. The only package that imports lark."""

from schemegen.language.formatter import format_source, print_file
from schemegen.language.printer import print_expression
from schemegen.language.recovery import Parsed, parse

__all__ = ["Parsed", "format_source", "parse", "print_expression", "print_file"]
