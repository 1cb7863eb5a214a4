"""Everything that FuseRec raises on purpose: one clear line that says what, where, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FuseRecError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line and exits with 1."""


class DataError(FuseRecError):
    """A dataset, or a file of it, is at fault."""


class ConfigError(FuseRecError):
    """A configuration or a hyperparameter is at fault."""


class RequestError(FuseRecError):
    """A request (a query, k, a filter) is at fault."""


class NotFittedError(FuseRecError):
    """Something was asked of a model before ``fit``."""


class MissingExtraError(FuseRecError):
    """An optional part is not installed; the message names the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part: run `pip install 'fuserec[{extra}]'`")
        self.extra = extra


class LanguageModelError(FuseRecError):
    """The generating language model cannot be asked, or its answer cannot be used."""


class ModelFormatError(FuseRecError):
    """A model folder is not one of ours, is damaged, or is newer than this release."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
