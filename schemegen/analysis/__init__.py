"""What a scheme is: order, modified equation, stability, structure and cost, exactly.

``schemegen.analysis.analyze`` puts everything together; it is not imported here, so that an analysis that is known
from an earlier run loads none of what calculates.
"""
