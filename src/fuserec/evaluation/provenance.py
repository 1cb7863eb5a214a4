"""What an evaluation was made of: data, split, settings and versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.results import DatasetFacts

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split
    from fuserec.evaluation.contenders import Entry, Fused, LineUp
    from fuserec.run import RunOptions

PACKAGES = ("fuserec", "numpy", "scipy", "numba", "polars", "ctranslate2")
SHARES = {
    "temporal": ("share", "targets"),
    "random": ("share",),
    "users": ("share", "given", "targets"),
    "cold-users": ("share", "given_events", "targets"),
    "cold-items": ("share", "targets"),
}
"""Settings that a protocol reads."""


def dataset_facts(dataset: Dataset) -> DatasetFacts:
    """Return which data were evaluated on."""
    return DatasetFacts(
        users=dataset.n_users,
        items=dataset.n_items,
        interactions=dataset.n_interactions,
        fingerprint=dataset.fingerprint,
        name=dataset.info.name,
        simulated=dataset.info.simulated,
    )


def split_facts(held: Split, seed: int, candidates: Candidates = EVERYTHING) -> dict[str, Any]:
    """Return how the data were split, and how much is in each part."""
    config = held.config
    facts: dict[str, Any] = {"kind": config.protocol}
    facts |= {name: getattr(config, name) for name in SHARES.get(config.protocol, ())}
    if config.folds > 1:
        facts = {"folds" if name == "share" else name: value for name, value in facts.items()}
        facts["folds"] = config.folds
    if candidates.sampled:
        facts["candidates"] = str(candidates)
    return facts | {
        "seed": seed,
        "train": held.train.n_interactions,
        "validation": int(held.validation.items.size),
        "test": int(held.test.items.size),
        "validation_users": len(held.validation),
        "test_users": len(held.test),
    }


def notes(held: Split, dataset: Dataset) -> list[str]:
    """Return what a reader has to be told about data and split."""
    found = []
    if dataset.info.simulated:
        found.append("The interactions are simulated: the figures show that it works, not how people choose.")
    unseen = int(np.count_nonzero(held.train.item_counts[held.test.items] == 0))
    if held.config.protocol == "cold-users":
        found.append(
            f"The users of the test are in no training data; their first {held.config.given_events} events are given."
            if held.config.given_events
            else "The users of the test are in no training data and nothing that they did is given."
        )
    if held.config.protocol == "cold-items":
        found.append("Every target is new, on validation too: a fusion learns here to lift new items.")
    elif unseen:
        found.append(f"Targets never seen in training: {unseen:,}, reported as a segment of their own.")
    if held.test.repeats:
        found.append(f"Test targets left out because the history already holds them: {held.test.repeats:,}.")
    empty = int(np.count_nonzero(held.test.queries.lengths == 0))
    if empty:
        found.append(f"Test queries without any history: {empty:,}.")
    return found


def environment(run: RunOptions) -> dict[str, str]:
    """Return the versions and the size of the machine, nothing that names it."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"threads": str(run.threads)}


def configuration(
    entries: Sequence[Entry], line_up: LineUp, ks: tuple[int, ...], run: RunOptions
) -> dict[str, Any]:
    """Return the settings that were in effect, with the values that tuning chose."""
    found: dict[str, Any] = {"seed": run.seed, "k": list(ks), "memory_mb": run.memory_mb}
    tables = {entry.name: _one(entry, line_up) for entry in entries}
    beside = {
        n for n in line_up.contenders if not any(n in f.members.values() for f in line_up.fusions.values())
    }
    if beside:
        found["beside the fusion"] = {name: _scorer(line_up, name) for name in sorted(beside)}
    return found | (next(iter(tables.values())) if len(tables) == 1 else {"configurations": tables})


def _one(entry: Entry, line_up: LineUp) -> dict[str, Any]:
    """Return the settings of one configuration."""
    # Where vectors are kept says nothing of what was computed, and may be a path of this machine.
    table: dict[str, Any] = {"features": entry.config.features.model_dump(mode="json", exclude={"cache"})}
    fused = line_up.fusions.get(entry.name)
    if fused is not None:
        table["fusion"] = entry.config.fusion.model_dump(mode="json")
        table["parts"] = {part: _scorer(line_up, member) for part, member in fused.members.items()}
        table["validation"] = _validation(fused)
        if fused.chain:
            table["rerank"] = {name: one.info() for name, one in fused.chain.rerankers.items()}
            table["rerank"]["depth"] = fused.chain.depth
    return table


def _scorer(line_up: LineUp, name: str) -> dict[str, Any]:
    """Return the scorer of a contender and its hyperparameters."""
    scorer = line_up.contenders[name].scorer
    return {"scorer": scorer.name, **scorer.config.model_dump(mode="json")}


def _validation(fused: Fused) -> dict[str, float]:
    """Return what learning saw on validation."""
    depth = fused.blend.config.depth
    return {f"ndcg@{depth} {name}": round(figure, 5) for name, figure in fused.blend.learnt.figures.items()}


def weights(line_up: LineUp) -> dict[str, dict[str, float]]:
    """Return the fusion weights by query cohort and part, each configuration's under its name."""
    own = {name: fused for name, fused in line_up.fusions.items() if not fused.variant_of}
    several = len(own) > 1
    return {
        f"{name}: {cohort}" if several else cohort: row
        for name, fused in own.items()
        for cohort, row in fused.blend.weights_table().items()
    }


def today() -> str:
    """Return the day, such as ``2026-03-31``: a report says when it was made."""
    return datetime.now().astimezone().date().isoformat()
