"""The order of cleaning: catalogues, events, outliers, k-core, links; and the figures of what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from fuserec.data.check import CheckReport, Findings
from fuserec.data.cleaning.catalogue import Catalogue, aligned, clean_catalogue, empty_catalogue, without_text
from fuserec.data.cleaning.cleaned import Cleaned
from fuserec.data.cleaning.events import NO_ITEM, clean_events
from fuserec.data.cleaning.graph import clean_impressions, clean_links
from fuserec.data.cleaning.ids import positions
from fuserec.data.cleaning.limits import k_core, outliers
from fuserec.data.cleaning.options import CleaningOptions
from fuserec.data.raw import RawTables
from fuserec.data.weights import KINDS
from fuserec.errors import DataError


def clean(
    raw: RawTables, options: CleaningOptions, findings: Findings | None = None, source: str = ""
) -> tuple[Cleaned, CheckReport]:
    """Clean the tables of a source.

    Parameters
    ----------
    raw : RawTables
    options : CleaningOptions
    findings : Findings, optional
        What the reader found before.
    source : str
        Names the source in errors and in the report.

    Returns
    -------
    Cleaned, CheckReport

    Raises
    ------
    DataError
        Where no interaction is left, unless ``options.allow_empty``.
    """
    findings = Findings() if findings is None else findings
    source = source or raw.info.name
    listed = None if raw.items is None else clean_catalogue(raw.items, "item_id", "title", "items", findings)
    known = (
        empty_catalogue("user_id", "text")
        if raw.users is None
        else clean_catalogue(raw.users, "user_id", "text", "users", findings)
    )
    events = clean_events(raw, None if listed is None else listed.ids, options, findings)
    frame = outliers(events, options.drop_outliers, findings)
    if options.k_core > 1:
        frame = k_core(frame, events.users.len(), events.items.len(), options.k_core, findings)
    if not (frame["item"] != NO_ITEM).any() and not options.allow_empty:
        lost = findings.dropped()
        raise DataError(
            f"{source}: no interaction is left" + (f" ({lost})" if lost else ": the file holds none")
        )
    users, user_codes = _numbered(frame["user"], events.users, known, options.k_core > 1)
    items, item_codes = _numbered(frame["item"], events.items, listed, options.k_core > 1)
    frame = frame.with_columns(user_codes, item_codes)
    cleaned = Cleaned(
        frame,
        users,
        items,
        aligned(known.table, known.ids, users),
        pl.DataFrame({"title": [""] * items.len()}, schema={"title": pl.String})
        if listed is None
        else aligned(listed.table, listed.ids, items),
        clean_links(raw.links, items, findings),
        clean_impressions(raw.impressions, items, findings),
        replace(raw.info, rating_scale=events.scale),
        raw.repeats,
    )
    totals = _totals(cleaned)
    _remarks(totals, findings)
    return cleaned, CheckReport(raw.info.name, source, findings.sorted(), totals)


def _numbered(
    codes: pl.Series, names: pl.Series, listed: Catalogue | None, only_present: bool
) -> tuple[pl.Series, pl.Series]:
    """Return (ids, codes): listed ids, then others by first appearance; the column renumbered to that."""
    present = codes.unique(maintain_order=True)
    present = present.filter(present >= 0)
    seen = names.gather(present)
    ids = seen
    if listed is not None:
        first = listed.ids.filter(listed.ids.is_in(seen.implode())) if only_present else listed.ids
        ids = pl.concat([first.alias(names.name), seen.filter(~seen.is_in(listed.ids.implode()))])
    new = np.full(names.len() + 1, NO_ITEM, dtype=np.int32)  # the last place answers code -1, a search's item
    new[present.to_numpy()] = positions(seen, ids)
    return ids, pl.Series(codes.name, new[codes.to_numpy()])


def _totals(cleaned: Cleaned) -> dict[str, Any]:
    """Return the figures of a cleaned dataset."""
    frame = cleaned.events
    rows = frame.filter(frame["item"] != NO_ITEM)
    n_users, n_items, n = cleaned.users.len(), cleaned.items.len(), rows.height
    kinds = frame["kind"].value_counts(sort=True)
    time = frame["time"].fill_nan(None).drop_nulls()
    scale = cleaned.info.rating_scale
    return {
        "users": n_users,
        "items": n_items,
        "interactions": n,
        "searches": frame.height - n,
        "links": cleaned.links.height,
        "impressions": 0 if cleaned.impressions is None else cleaned.impressions.height,
        "density": n / (n_users * n_items) if n_users and n_items else 0.0,
        "rating_scale": None if scale is None else list(scale),
        "ratings": int(rows["rating"].is_not_nan().sum()),
        "first_time": _day(time.min()),
        "last_time": _day(time.max()),
        "rows_without_time": frame.height - time.len(),
        "users_without_interactions": n_users - rows["user"].n_unique(),
        "items_without_interactions": n_items - rows["item"].n_unique(),
        "items_without_text": without_text(cleaned.item_table),
        "kinds": {KINDS[kind]: count for kind, count in kinds.iter_rows()},
        "simulated": cleaned.info.simulated,
    }


def _day(moment: Any) -> str | None:
    """Return a moment of unix seconds as ISO 8601, or None."""
    return (
        None if moment is None else datetime.fromtimestamp(float(moment), UTC).isoformat(timespec="seconds")
    )


def _remarks(totals: dict[str, Any], findings: Findings) -> None:
    """Note what makes a dataset hard to learn from."""
    bare = totals["items_without_text"]
    if bare:
        words = "item without any text (no title, description, categories, brand, tags)"
        findings.add("noted", words, bare, "items", f"{bare:,} of {totals['items']:,} items")
    for name in ("users", "items"):
        if totals[name] == 1 and totals["interactions"]:
            findings.add("noted", f"only one of the {name} is left: there is nothing to compare", 1, name)
    if 0 < totals["rows_without_time"] < totals["interactions"] + totals["searches"]:
        words = "some rows have no time: time-based splits and half-lives are refused"
        findings.add("noted", words, totals["rows_without_time"], "interactions")
