"""Text to syntax nodes: parser, recovery, formatter. The only package that imports lark."""
