"""Benchmarks: one module a question. ``python -m benchmarks`` runs them all, ``python -m benchmarks NAME`` one."""
