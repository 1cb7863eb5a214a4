"""A Dataset as arrays and JSON: tables as Arrow IPC bytes, ids as bytes and offsets."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from fuserec.data.dataset import Dataset, DatasetInfo, Interactions, Searches
from fuserec.data.impressions import no_impressions
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import kind_weights

if TYPE_CHECKING:
    from fuserec.types import Arrays, Meta, State

TABLES = ("item_table", "user_table", "links", "impressions")
"""Kept as Arrow tables; impressions only where there are any."""


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
    for name in Interactions.__dataclass_fields__:
        arrays[f"interactions.{name}"] = getattr(dataset.interactions, name)
    for name in TABLES if dataset.impressions.height else TABLES[:-1]:
        buffer = io.BytesIO()
        getattr(dataset, name).write_ipc(buffer)
        arrays[name] = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    arrays["searches.user"], arrays["searches.time"] = dataset.searches.user, dataset.searches.time
    return arrays, {"searches": list(dataset.searches.text)}


def dataset_from_state(state: State, info: Meta) -> Dataset:
    """Rebuild the dataset."""
    arrays, meta = state
    tables = {name: pl.read_ipc(io.BytesIO(arrays[name].tobytes())) for name in TABLES if name in arrays}
    about = TypeAdapter(DatasetInfo).validate_python({k: v for k, v in info.items() if k != "fingerprint"})
    return Dataset(
        Vocabulary.from_state(arrays, "users"),
        Vocabulary.from_state(arrays, "items"),
        Interactions(*(arrays[f"interactions.{name}"] for name in Interactions.__dataclass_fields__)),
        tables["item_table"],
        tables["user_table"],
        tables["links"],
        Searches(arrays["searches.user"], arrays["searches.time"], tuple(meta["searches"])),
        replace(about, weights=kind_weights(about.weights)),
        tables.get("impressions", no_impressions()),
    )
