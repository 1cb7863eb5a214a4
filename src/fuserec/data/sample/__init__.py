"""The bundled sample: real works with simulated readers, made by ``scripts/make_sample.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


def path() -> Path:
    """Return the dataset folder of the bundled sample (its ``dataset.toml`` says ``simulated = true``)."""
    return Path(__file__).resolve().parent / "files"


def sample() -> Dataset:
    """Return the bundled sample, read and cleaned."""
    from fuserec.data.readers import read

    dataset, _ = read(path())
    return dataset
