"""The bundled sample: real works with simulated readers, made by ``scripts/make_sample.py``."""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """Return the dataset folder of the bundled sample (its ``dataset.toml`` says ``simulated = true``)."""
    return Path(__file__).resolve().parent / "files"
