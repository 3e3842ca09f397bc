from schemegen.diagnostics import Source
from schemegen.language import nodes


def print_file(file: nodes.File) -> str:
    return ""


def format_source(source: Source) -> str:
    return source.text
