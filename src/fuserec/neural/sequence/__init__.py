"""Sequence models: a history read in its order."""
