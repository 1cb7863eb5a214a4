"""Meta-learning: a head that a few events make one person's own."""
