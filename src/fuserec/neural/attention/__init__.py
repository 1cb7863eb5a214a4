"""Attention over the history: what each event of it weighs."""
