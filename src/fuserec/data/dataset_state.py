"""A Dataset as arrays and JSON: tables as Arrow IPC bytes, ids as bytes and offsets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from fuserec.data.dataset import ROW_ARRAYS, Dataset, DatasetInfo, Interactions, Searches
from fuserec.data.impressions import no_impressions
from fuserec.data.tables import table_bytes, table_of
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import kind_weights

if TYPE_CHECKING:
    from fuserec.types import Arrays, Meta, State

TABLES = ("item_table", "user_table", "links", "impressions")
"""Kept as Arrow tables; impressions only where there are any."""

CONTEXT = "interactions.context"
"""The same, of the circumstances of interactions."""


def anonymous(dataset: Dataset) -> Dataset:
    """Return a dataset with its items and nothing of any user."""
    nobody = dataset.interactions.take(np.zeros(dataset.n_interactions, dtype=bool))
    return replace(
        dataset,
        users=Vocabulary.from_ids([]),
        user_table=dataset.user_table.clear(),
        interactions=nobody,
        searches=Searches.none(),
        impressions=no_impressions(),
    )


def dataset_state(dataset: Dataset) -> State:
    """Return ids, interactions, tables and searches as arrays."""
    arrays: Arrays = {**dataset.users.state("users"), **dataset.items.state("items")}
    for name in ROW_ARRAYS:
        arrays[f"interactions.{name}"] = getattr(dataset.interactions, name)
    for name in TABLES if dataset.impressions.height else TABLES[:-1]:
        arrays[name] = table_bytes(getattr(dataset, name))
    if dataset.interactions.context is not None:
        arrays[CONTEXT] = table_bytes(dataset.interactions.context)
    arrays["searches.user"], arrays["searches.time"] = dataset.searches.user, dataset.searches.time
    return arrays, {"searches": list(dataset.searches.text)}


def dataset_from_state(state: State, info: Meta) -> Dataset:
    """Rebuild the dataset."""
    arrays, meta = state
    tables = {name: table_of(arrays[name]) for name in TABLES if name in arrays}
    rows: dict[str, Any] = {name: arrays[f"interactions.{name}"] for name in ROW_ARRAYS}
    rows["context"] = table_of(arrays[CONTEXT]) if CONTEXT in arrays else None
    about = TypeAdapter(DatasetInfo).validate_python({k: v for k, v in info.items() if k != "fingerprint"})
    return Dataset(
        Vocabulary.from_state(arrays, "users"),
        Vocabulary.from_state(arrays, "items"),
        Interactions(**rows),
        tables["item_table"],
        tables["user_table"],
        tables["links"],
        Searches(arrays["searches.user"], arrays["searches.time"], tuple(meta["searches"])),
        replace(about, weights=kind_weights(about.weights)),
        tables.get("impressions", no_impressions()),
    )
