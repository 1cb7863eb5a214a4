"""Benchmarks: speed beside other libraries in one run, and quality on public datasets."""
