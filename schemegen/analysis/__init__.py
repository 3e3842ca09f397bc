"""What a scheme is: order, modified equation, stability, structure and cost, exactly."""

from schemegen.analysis.analyze import analyze

__all__ = ["analyze"]
