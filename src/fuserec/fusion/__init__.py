"""Fusion: scorers made of scorers."""
