"""The torch parts that a generated network calls: blocks, noise, implicit solvers, stems, heads."""
