"""Explanations looked at from outside: whether what a text says of a recommendation is true."""
