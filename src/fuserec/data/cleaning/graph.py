"""Links of the knowledge graph, and impressions: ids tidied, incomplete rows and repeats taken out."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import id_strings
from fuserec.data.cleaning.numbers import numbers, times
from fuserec.data.impressions import NUMBERS, no_impressions
from fuserec.data.raw import IMPRESSION_COLUMNS, LINK_COLUMNS


def no_links() -> pl.DataFrame:
    """Return an empty table of links."""
    return pl.DataFrame(schema=dict.fromkeys(LINK_COLUMNS, pl.String))


def clean_links(table: pl.DataFrame | None, items: pl.Series, findings: Findings) -> pl.DataFrame:
    """Return ``head``, ``relation``, ``tail`` as strings, each row complete and once."""
    if table is None:
        return no_links()
    other = [name for name in table.columns if name not in LINK_COLUMNS]
    findings.add("noted", "column that is not used", len(other), "links", ", ".join(other))
    frame = pl.DataFrame([id_strings(table[name], "links").str.strip_chars() for name in LINK_COLUMNS])
    filled = frame.filter(pl.all_horizontal(pl.all() != ""))
    findings.add("dropped", "link with an empty part", frame.height - filled.height, "links")
    distinct = filled.unique(maintain_order=True)
    findings.add("dropped", "duplicate link", filled.height - distinct.height, "links")
    named = pl.concat([distinct["head"], distinct["tail"].alias("head")])
    if distinct.height and not named.is_in(items.implode()).any():
        example = f"head {distinct['head'][0]}, tail {distinct['tail'][0]}"
        findings.add("noted", "no link names an item by its id", distinct.height, "links", example)
    return distinct


def clean_impressions(
    table: pl.DataFrame | None, items: pl.Series, findings: Findings
) -> pl.DataFrame | None:
    """Return the impressions with ids as strings and numbers as numbers; rows without an id are taken out.

    A propensity outside of (0, 1], and what is no number or no time, is taken to be unknown.
    """
    if table is None:
        return None
    ids = [id_strings(table[name], "impressions").str.strip_chars() for name in IMPRESSION_COLUMNS[:3]]
    frame = table.with_columns(ids)
    filled = frame.filter(pl.all_horizontal(pl.col(list(IMPRESSION_COLUMNS[:3])) != ""))
    findings.add("dropped", "impression with an empty id", frame.height - filled.height, "impressions")
    unknown = filled["item_id"].filter(~filled["item_id"].is_in(items.implode()))
    example = unknown[0] if unknown.len() else ""
    findings.add("noted", "impression of an unknown item", unknown.len(), "impressions", example)
    return filled.with_columns(
        [_number(filled[name], findings) for name in NUMBERS if name in filled.columns]
    )


def _number(column: pl.Series, findings: Findings) -> pl.Series:
    """Return a column of an impression as numbers, null where there is none; whole ones stay whole."""
    if column.name == "timestamp":
        read = times(column)
        values, wrong = read.seconds.copy(), read.invalid | read.impossible
    else:
        given = numbers(column)
        values, wrong = given.values.copy(), given.invalid
        if column.name == "propensity":
            wrong = wrong | (values <= 0) | (values > 1)
    values[wrong] = np.nan
    findings.add("mended", f"{column.name} that cannot be", int(wrong.sum()), "impressions", "left empty")
    return _whole(pl.Series(column.name, values).fill_nan(None))


def _whole(column: pl.Series) -> pl.Series:
    """Return a column of floats as integers where all are whole."""
    filled = column.drop_nulls()
    return column.cast(pl.Int64) if (filled.round() == filled).all() else column


def dataset_impressions(table: pl.DataFrame | None) -> pl.DataFrame:
    """Return cleaned impressions with the columns that a Dataset keeps, absent ones empty."""
    empty = no_impressions()
    if table is None:
        return empty
    columns = [
        table[name].cast(kind) if name in table.columns else pl.Series(name, [None] * table.height, kind)
        for name, kind in empty.schema.items()
    ]
    return pl.DataFrame(columns)


def written_impressions(table: pl.DataFrame) -> pl.DataFrame | None:
    """Return the impressions of a Dataset as a folder holds them: without columns that say nothing."""
    if not table.height:
        return None
    kept = [c for c in table.iter_columns() if c.null_count() < table.height or c.name in IMPRESSION_COLUMNS]
    return pl.DataFrame([_whole(c) if c.dtype == pl.Float64 else c for c in kept])
