"""Training: data, loop, checkpoints. What the scripts of the zoo call."""
