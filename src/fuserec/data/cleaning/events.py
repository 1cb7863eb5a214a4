"""Interactions: ids to codes, kinds, ratings, durations, times; what cannot be is dropped and counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.circumstances import clean_circumstances, context_columns
from fuserec.data.cleaning.ids import EMPTY, TOO_LONG, Coded, coded, positions
from fuserec.data.cleaning.numbers import Numbers, is_usual, numbers, rating_scale, times
from fuserec.data.cleaning.options import CleaningOptions
from fuserec.data.cleaning.sieve import Sieve
from fuserec.data.cleaning.text import clean_texts, text_column
from fuserec.data.dataset import PARTS
from fuserec.data.raw import INTERACTION_COLUMNS, RawTables
from fuserec.data.weights import KINDS, TIMED
from fuserec.errors import DataError, nearest

NO_ITEM = -1
"""Item code of a search."""

_WHERE = "interactions"
_SEARCH, _RATING, _PLAIN = KINDS.index("search"), KINDS.index("rating"), KINDS.index("interaction")
_TIMED = np.array([KINDS.index(kind) for kind in TIMED])


@dataclass(frozen=True)
class Events:
    """Cleaned rows of interactions and searches in the order of the source.

    Parameters
    ----------
    frame : polars.DataFrame
        ``user`` and ``item`` int32 (:data:`NO_ITEM` for a search), ``kind`` uint8, ``rating`` and ``seconds``
        float32, ``time`` float64 (all three NaN where there is none), ``part`` uint8 (code of the split),
        ``context.*`` for further columns (strings or float64, null where there is none), and ``text`` where there
        is any.
    users, items : polars.Series of String
        What the codes stand for.
    scale : (low, high) or None
    """

    frame: pl.DataFrame
    users: pl.Series
    items: pl.Series
    scale: tuple[float, float] | None


def clean_events(
    raw: RawTables, catalogue: pl.Series | None, options: CleaningOptions, findings: Findings
) -> Events:
    """Return the cleaned events of a source.

    Parameters
    ----------
    raw : RawTables
    catalogue : polars.Series of String or None
        Ids of the listed items: the codes of items are positions in it. None where no file lists them.
    options : CleaningOptions
    findings : Findings
    """
    table = _known_columns(raw.interactions)
    further = [name for name in raw.interactions.columns if name not in INTERACTION_COLUMNS]
    sieve = Sieve(table, _WHERE, findings)
    users = coded(table["user_id"], _WHERE, findings)
    items = coded(table["item_id"], _WHERE, findings)
    texts = clean_texts(table["text"], "interactions.text", findings) if "text" in table.columns else None
    worded = np.zeros(table.height, bool) if texts is None else (texts != "").to_numpy()
    kind, rating, seconds = _behaviour(table, items.codes, worded, sieve)
    sieve.drop(users.codes == EMPTY, "empty user id")
    sieve.drop(users.codes == TOO_LONG, "user id of more than 1,024 bytes")
    search = kind == _SEARCH
    sieve.drop(search & ~worded, "search without words")
    sieve.drop(~search & (items.codes == EMPTY), "empty item id")
    sieve.drop(~search & (items.codes == TOO_LONG), "item id of more than 1,024 bytes")
    time = _moments(table, sieve)
    item, names = _listed(items, catalogue, options, sieve, ~search)
    scale = _scale(raw.info.rating_scale, kind, rating, sieve, findings)
    columns = {
        "user": users.codes,
        "item": np.where(search, NO_ITEM, item).astype(np.int32),
        "kind": kind.astype(np.uint8),
        "rating": rating.astype(np.float32),
        "time": time,
        "seconds": seconds.astype(np.float32),
        "part": _parts(table, sieve),
    }
    frame = pl.DataFrame(columns)
    if further:
        frame = frame.with_columns(clean_circumstances(raw.interactions, further, findings))
    if texts is not None and worded.any():
        frame = frame.with_columns(texts.alias("text"))
    _drop_repeats(frame, raw.repeats, sieve)
    return Events(
        frame if sieve.keep.all() else frame.filter(pl.Series(sieve.keep)), users.names, names, scale
    )


def _known_columns(table: pl.DataFrame) -> pl.DataFrame:
    """Return the columns with a role. Missing items are filled up."""
    if "item_id" not in table.columns:
        table = table.with_columns(pl.lit("").alias("item_id"))
    known = table.select([name for name in INTERACTION_COLUMNS if name in table.columns])
    words = ("text", "kind", "split")
    texts = [text_column(known[name]).alias(name) for name in words if name in known.columns]
    nested = next(
        (name for name in known.columns if known[name].dtype.is_nested() and name not in words),
        None,
    )
    if nested is not None:
        raise DataError(f"interactions: {nested} holds lists or objects; expected one value a row")
    return known.with_columns(texts)


def _parts(table: pl.DataFrame, sieve: Sieve) -> np.ndarray:
    """Return uint8 (n,): what the files say of the split; an empty cell is training."""
    if "split" not in table.columns:
        return np.zeros(table.height, np.uint8)
    said = table["split"].fill_null("").str.strip_chars().str.to_lowercase()
    codes = {name: code for code, name in enumerate(PARTS)} | {"": 0, "valid": 1, "val": 1, "dev": 1}
    part = said.replace_strict(codes, default=None, return_dtype=pl.UInt8)
    unknown = part.is_null().to_numpy()
    if unknown.any():
        word = said[int(np.argmax(unknown))]
        sieve.drop(unknown, f"unknown split {word[:40]!r}{nearest(word, PARTS)} (known: {', '.join(PARTS)})")
    return part.fill_null(0).to_numpy()


def _behaviour(
    table: pl.DataFrame, items: np.ndarray, worded: np.ndarray, sieve: Sieve
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (kind, rating, seconds) of each row; float64 with NaN where there is none."""
    nothing = Numbers(
        np.full(table.height, np.nan), np.ones(table.height, bool), np.zeros(table.height, bool)
    )
    ratings = numbers(table["rating"]) if "rating" in table.columns else nothing
    values = numbers(table["value"]) if "value" in table.columns else nothing
    rated_file = not ratings.missing.all()
    kind = _kinds(table, rated_file, sieve)
    unnamed = kind < 0
    has_item = items != EMPTY
    # Without a name a row is what its fields say: words without an item, a rating, or just a meeting.
    by_fields = np.where(~ratings.missing | ("kind" not in table.columns and rated_file), _RATING, _PLAIN)
    kind = np.where(unnamed, np.where(worded & ~has_item, _SEARCH, by_fields), kind)
    timed = np.isin(kind, _TIMED)
    rating, seconds = ratings.values, np.where(timed, values.values, np.nan)
    if "value" in table.columns:
        from_value = (kind == _RATING) & ratings.missing & np.isfinite(values.values)
        rating = np.where(from_value, values.values, rating)
        ratings = Numbers(rating, ratings.missing & ~from_value, ratings.invalid)
        wrong = timed & (values.invalid | (values.values < 0))
        sieve.mend(wrong, "duration that is no positive number, taken as unknown")
        seconds = np.where(wrong, np.nan, seconds)
        sieve.note(
            ~timed & ~from_value & ~values.missing,
            f"value that is not used (durations go with {', '.join(TIMED)})",
        )
    is_rating = kind == _RATING
    sieve.drop(is_rating & ratings.missing, "rating missing")
    sieve.drop(is_rating & ratings.invalid, "rating that is not a finite number")
    sieve.mend(~is_rating & ratings.invalid, "rating that is not a finite number, on a row of another kind")
    return kind, rating, seconds


def _kinds(table: pl.DataFrame, rated_file: bool, sieve: Sieve) -> np.ndarray:
    """Return int64 (n,): the code of each row's kind, -1 where it names none."""
    if "kind" not in table.columns:
        return np.full(table.height, -1)
    column = table["kind"].fill_null("")
    raw = column.unique(maintain_order=True)
    place = positions(column, raw)
    tidy = [text.strip().lower() for text in raw]
    codes = np.array(
        [KINDS.index(text) if text in KINDS else (-1 if not text else -2) for text in tidy], dtype=np.int64
    )
    for name, code in zip(tidy, codes, strict=True):
        if code == -2:
            hint = f"{name[:40]!r}{nearest(name, KINDS)} (known: {', '.join(KINDS)})"
            sieve.drop(codes[place] == -2, "unknown kind", hint)
            break
    named: np.ndarray = np.maximum(codes[place], -1)
    return named


def _moments(table: pl.DataFrame, sieve: Sieve) -> np.ndarray:
    """Return float64 (n,): unix seconds, NaN where there is none."""
    if "timestamp" not in table.columns:
        return np.full(table.height, np.nan)
    found = times(table["timestamp"])
    if found.missing.all():
        return found.seconds
    for name, count in found.mended.items():
        sieve.mend(_first(table.height, count), f"timestamps turned into seconds from {name}")
    usable = ~(found.missing | found.invalid | found.impossible)
    if not usable.any():
        filled = table["timestamp"].filter(pl.Series(~found.missing))
        raise DataError(
            f"interactions: no timestamp is a time between 1990 and 2100 (the first is {filled[0]!r}); "
            "write unix seconds or ISO 8601, or leave the column out: then the order of the rows counts"
        )
    sieve.drop(found.invalid, "timestamp that is not a time")
    sieve.drop(found.impossible, "impossible timestamp (not between 1990 and 2100)")
    sieve.note(found.missing, "row without a timestamp")
    return found.seconds


def _first(height: int, count: int) -> np.ndarray:
    """Return a mask of ``count`` rows from the top: for a count whose rows do not matter."""
    return np.arange(height) < count


def _listed(
    items: Coded, catalogue: pl.Series | None, options: CleaningOptions, sieve: Sieve, needed: np.ndarray
) -> tuple[np.ndarray, pl.Series]:
    """Return (codes, names) of items in the numbering of the catalogue, if there is one."""
    codes, names = items.codes, items.names
    if catalogue is None:
        return codes, names
    place = positions(names, catalogue)
    if options.unknown_items == "keep":
        new = place < 0
        place = np.where(new, catalogue.len() + np.cumsum(new) - 1, place)
        catalogue = pl.concat([catalogue, names.filter(pl.Series(new)).alias(catalogue.name)])
    listed = np.append(place, EMPTY)[np.maximum(codes, -1)]  # position -1 is the appended one
    sieve.drop(needed & (listed < 0), "interaction with an item that the file of items does not list")
    return listed, catalogue


def _scale(
    declared: tuple[float, float] | None,
    kind: np.ndarray,
    rating: np.ndarray,
    sieve: Sieve,
    findings: Findings,
) -> tuple[float, float] | None:
    """Return the rating scale; ratings outside a declared one are taken out."""
    rated = np.isfinite(rating)
    if declared is not None:
        outside = rated & ((rating < declared[0]) | (rating > declared[1]))
        words = f"the declared scale {declared[0]:g} to {declared[1]:g}"
        sieve.drop(outside & (kind == _RATING), f"rating outside {words}")
        sieve.mend(outside, f"rating outside {words}, on a row of another kind")
        rating[outside] = np.nan
        return declared
    rated &= sieve.keep
    if not rated.any():
        return None
    low, high = float(rating[rated].min()), float(rating[rated].max())
    scale = rating_scale(low, high)
    if not is_usual(scale):
        findings.add(
            "noted",
            "unusual rating scale; declare rating_scale in dataset.toml if it is another",
            1,
            _WHERE,
            f"ratings run from {low:g} to {high:g}",
        )
    return scale


def _drop_repeats(frame: pl.DataFrame, repeats: bool, sieve: Sieve) -> None:
    """Take out rows that say what a later row says again.

    With a time: the same user, item, kind and moment. Without: the same in everything, unless the source
    holds ordered events, in which an item may come again.
    """
    timed = frame["time"].is_not_nan()
    has_text = "text" in frame.columns
    for rows, columns in (
        (timed, ["user", "item", "kind", "time"]),
        (~timed, ["user", "item", "kind", *context_columns(frame), "rating", "seconds"]),
    ):
        if (columns[-1] == "seconds" and repeats) or not rows.any():
            continue
        part = frame.select(columns)
        if has_text:  # two searches differ by their words
            words = pl.when(frame["item"] == NO_ITEM).then(frame["text"]).otherwise(pl.lit(""))
            part = part.with_columns(words.alias("words"))
        mask = rows & pl.Series(sieve.keep)
        part = part if mask.all() else part.filter(mask)
        if part.hash_rows().n_unique() == part.height:
            continue
        last = part.select(pl.struct(pl.all()).is_last_distinct()).to_series().to_numpy()
        bad = np.zeros(frame.height, bool)
        bad[np.flatnonzero(mask.to_numpy())[~last]] = True
        sieve.drop(bad, "duplicate row")
