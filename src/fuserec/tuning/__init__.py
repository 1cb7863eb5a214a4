"""Tuning: the hyperparameters of the parts, searched on validation, never on test."""
