"""Datasets: reading, cleaning, checking, splitting."""
