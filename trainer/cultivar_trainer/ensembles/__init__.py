"""Several models that become one: their probabilities averaged in one graph, or their weights."""
