"""The step program: statements, lowering, verification and the reference interpreter."""
