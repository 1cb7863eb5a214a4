"""What an evaluation says of leaks by itself: as warnings while it runs, and as notes of its results."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fuserec.encoders.tuned import leak as tuned_on_test
from fuserec.encoders.tuned import leak_of
from fuserec.evaluation.leakage import leaks

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split
    from fuserec.evaluation.leakage.base import Leak

log = logging.getLogger("fuserec")


def leak_notes(dataset: Dataset, held: Split, configs: Iterable[RecommenderConfig]) -> list[str]:
    """Return and log what leaks from data, split and tuned encoders; what is only known is left out."""
    tuned = []
    for config in configs:
        tuned.append(tuned_on_test(config.features, dataset, held.train))
        tuned += [leak_of(model, dataset, held.train) for model in _begun_from(config)]
    return told([*(warning for warning in tuned if warning), *notes_of(leaks(dataset, held))])


def _begun_from(config: RecommenderConfig) -> list[str]:
    """Return the language models that parts and the last stage begin from."""
    tables = [*config.parts.values(), config.fusion.last_stage.scorer or {}]
    held = [table.get("options") for table in tables]  # by wrappers
    tables += [options for options in held if isinstance(options, dict)]
    return [table["model"] for table in tables if isinstance(table.get("model"), str)]


def notes_of(found: Iterable[Leak]) -> list[str]:
    """Return the notes of what has to be looked at."""
    return [leak.note for leak in found if leak.level != "known"]


def told(warnings: Iterable[str]) -> list[str]:
    """Return the warnings, each once, and log them; empty ones are left out."""
    found = [warning for warning in dict.fromkeys(warnings) if warning]
    for warning in found:
        log.warning("%s", warning)
    return found
