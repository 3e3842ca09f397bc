"""A step program and a network specification to torch.fx graphs and Python source."""
