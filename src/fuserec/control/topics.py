"""Topics: how well each item of the catalogue fits what a dial names.

A topic is ``COLUMN: VALUE``, a condition such as ``year>=1990``, the name of a category, tag or brand, or words of any
kind, which are compared by their vectors. The first three fit wholly or not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fuserec.errors import RequestError, nearest
from fuserec.filters import allowed_items, parse_filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

NAMED = ("categories", "tags", "brand")
"""Columns whose values may stand alone."""

HINTS = 20_000
"""The nearest of so many values is named for one that no item has."""

_CONDITION = re.compile(r"([^<>=!:]+)(>=|<=|!=|=|>|<)")


@dataclass(frozen=True)
class Topic:
    """A topic and what fits it.

    Parameters
    ----------
    text : str
        As it was named.
    fit : float32 (n_items,)
        From 0 to 1.
    exact : bool
        Whether items fit wholly or not at all.
    """

    text: str
    fit: np.ndarray
    exact: bool


def topics(texts: Sequence[str], dataset: Dataset, features: ItemFeatures, run: RunOptions) -> list[Topic]:
    """Return what texts name; words that name nothing in the tables are read as text, all of them at once.

    Raises
    ------
    RequestError
        For a column that has no such value.
    """
    found: dict[str, Topic] = {}
    for text in texts:
        holds = named(text, dataset)
        if holds is not None:
            found[text] = Topic(text, holds.astype(np.float32), exact=True)
    words = [text for text in texts if text not in found]
    for text, fit in zip(words, _likeness(words, features, run), strict=True):
        found[text] = Topic(text, fit, exact=False)
    return [found[text] for text in texts]


def forbidden(texts: Sequence[str], dataset: Dataset) -> np.ndarray:
    """Return bool (n_items,): what never comes.

    Raises
    ------
    RequestError
        For what is no item, no value of a column and no condition: what never comes has to be certain.
    """
    out = np.zeros(dataset.n_items, dtype=bool)
    indices = dataset.items.indices(list(texts))
    out[indices[indices >= 0]] = True
    for text in (text for text, index in zip(texts, indices, strict=True) if index < 0):
        holds = named(text, dataset)
        if holds is None:
            known = _values(dataset.item_table)
            raise RequestError(
                f"never {text!r}: no item, category, tag or brand is called so{nearest(text, known)}; name an item id, "
                "COLUMN: VALUE, or a condition such as year<1950"
            )
        out |= holds
    return out


def named(text: str, dataset: Dataset) -> np.ndarray | None:
    """Return bool (n_items,): the items of a value or condition that a text names; None where it names none."""
    table = dataset.item_table
    column, colon, value = (part.strip() for part in text.partition(":"))
    if colon and column in table.columns:
        return _having(table, column, value, text)
    condition = _CONDITION.match(text)
    if condition and condition[1].strip() in table.columns:
        return allowed_items(table, parse_filters([text]))
    found = np.zeros(table.height, dtype=bool)
    for one in (name for name in NAMED if name in table.columns):
        found |= _equal(table[one], text)
    return found if found.any() else None


def _having(table: pl.DataFrame, column: str, value: str, text: str) -> np.ndarray:
    """Return where a column has a value, or refuse one that it never has."""
    series = table[column]
    found = allowed_items(table, {column: value}) if series.dtype.is_numeric() else _equal(series, value)
    if not found.any():
        known = _column_values(series)
        raise RequestError(f"topic {text!r}: no item has {value!r} in {column!r}{nearest(value, known)}")
    return found


def _equal(series: pl.Series, value: str) -> np.ndarray:
    """Return where a column of words, or of lists of them, has a value; case does not matter."""
    import polars as pl

    wanted = value.casefold()
    if isinstance(series.dtype, pl.List):
        lowered = series.cast(pl.List(pl.String)).list.eval(pl.element().str.to_lowercase())
        has = lowered.list.contains(wanted)
    else:
        has = series.cast(pl.String).str.to_lowercase() == wanted
    return np.asarray(has.fill_null(value=False).to_numpy(), dtype=bool)


def _column_values(series: pl.Series) -> list[str]:
    """Return the distinct values of a column, the commonest first."""
    import polars as pl

    flat = series.explode() if isinstance(series.dtype, pl.List) else series
    counts = flat.drop_nulls().cast(pl.String).value_counts(sort=True)
    found: list[str] = counts[flat.name].head(HINTS).to_list()
    return found


def _values(table: pl.DataFrame) -> list[str]:
    """Return the values that may stand alone."""
    return [value for name in NAMED if name in table.columns for value in _column_values(table[name])]


def _likeness(texts: Sequence[str], features: ItemFeatures, run: RunOptions) -> list[np.ndarray]:
    """Return float32 (n_items,) for each text: 1 for the item that is nearest to it, 0 for the nearer half's end.

    Cosines of a language model lie close together and around another middle for every text; counted from the
    catalogue's median they say how much more than an item at random one fits.
    """
    if not texts:
        return []
    read = features.read(list(texts), run)
    if read.sentence is not None and features.sentence is not None:
        near = np.asarray(features.sentence @ read.sentence.T, np.float32).T
    else:
        near = np.asarray((features.lexical @ read.lexical.T).toarray(), np.float32).T
    middle = np.median(near, axis=1, keepdims=True)
    top = near.max(axis=1, keepdims=True)
    scale = np.where(top > middle, top - middle, np.float32(1))
    return list(np.clip((near - middle) / scale, 0, 1).astype(np.float32))
