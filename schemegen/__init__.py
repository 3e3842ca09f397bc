"""schemegen: a symbolic architecture compiler, from numerical schemes to PyTorch networks."""
