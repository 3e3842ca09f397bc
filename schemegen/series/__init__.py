"""Rooted and coloured trees, B-series: pure algebra that knows no scheme."""
