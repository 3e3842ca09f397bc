"""What numerical analysis says of a step program: order, modified equation, stability, claims."""
