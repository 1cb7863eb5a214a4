"""Links of the knowledge graph, and impressions: ids tidied, incomplete rows and repeats taken out."""

from __future__ import annotations

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import id_strings
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


def clean_impressions(table: pl.DataFrame | None, findings: Findings) -> pl.DataFrame | None:
    """Return the impressions with ids as strings; rows without one are taken out."""
    if table is None:
        return None
    ids = [id_strings(table[name], "impressions").str.strip_chars() for name in IMPRESSION_COLUMNS[:3]]
    frame = table.with_columns(ids)
    filled = frame.filter(pl.all_horizontal(pl.col(list(IMPRESSION_COLUMNS[:3])) != ""))
    findings.add("dropped", "impression with an empty id", frame.height - filled.height, "impressions")
    return filled
