"""Cleaning: raw tables to a dataset whose ids, texts, ratings and times hold; each change counted."""

from __future__ import annotations

from fuserec.data.cleaning.cleaned import Cleaned
from fuserec.data.cleaning.flow import clean
from fuserec.data.cleaning.options import CleaningOptions

__all__ = ["Cleaned", "CleaningOptions", "clean"]
