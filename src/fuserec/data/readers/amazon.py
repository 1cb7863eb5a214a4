"""``amazon``: reviews and metadata of 2014, 2018 and 2023 as JSON Lines.

Data: J. McAuley et al., 2015; J. Ni et al., 2019; Y. Hou et al., 2024.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import id_strings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.encoding import to_utf8
from fuserec.data.json_lines import as_text, columns_of, flattened, json_records
from fuserec.data.packed import folder_of, listing, logical_name, read_bytes
from fuserec.data.raw import RawTables
from fuserec.errors import DataError

_REVIEW_KEYS: dict[str, tuple[str, ...]] = {
    "user_id": ("reviewerID", "user_id"),
    "item_id": ("parent_asin", "asin"),
    "rating": ("overall", "rating"),
    "timestamp": ("unixReviewTime", "timestamp"),
    "summary": ("summary", "title"),
    "words": ("reviewText", "text"),
}
"""Column to its keys. Metadata of 2023 is filed under ``parent_asin``, so that comes before ``asin``."""

_LONGEST_LITERAL = 1_000_000
_PRICE = re.compile(r"\d[\d,]*(?:\.\d+)?")


def read_amazon(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read a file of reviews (or its folder) and the metadata of its items, from ``items`` or beside it.

    The catalogue is what was reviewed: metadata lists many times more. Items without it stay, untitled.
    """
    reviews, meta = _files(source)
    meta = items or meta
    rows = _reviews(reviews, findings)
    info = DatasetInfo(
        name=logical_name(reviews).partition(".")[0],
        licence="for research; no explicit licence",
        rating_scale=(1.0, 5.0),
    )
    return RawTables(rows, None if meta is None else _metadata(meta, rows["item_id"], findings), info=info)


def _files(source: Path) -> tuple[Path, Path | None]:
    """Return (reviews, metadata or None), told apart by the keys of their first objects."""
    beside = [
        p for p in listing(folder_of(source)) if logical_name(p).endswith((".json", ".jsonl", ".ndjson"))
    ]
    meta = [path for path in beside if path != source and path.name.lower().startswith("meta")]
    if not source.is_dir():
        return source, _matching(source, meta)
    reviews = [path for path in beside if path not in meta]
    if len(reviews) != 1:
        held = ", ".join(path.name for path in reviews) or "none"
        raise DataError(
            f"{source}: expected one file of reviews (.json or .jsonl, plain or packed); found {held}"
        )
    return reviews[0], _matching(reviews[0], meta)


def _matching(reviews: Path, meta: list[Path]) -> Path | None:
    """Return the metadata of a file of reviews: the only one there is, or the one of its category."""
    if len(meta) <= 1:
        return meta[0] if meta else None
    words = re.sub(r"^reviews?_|_5$", "", logical_name(reviews).partition(".")[0])
    return next((path for path in meta if words and words in path.name), None)


def _reviews(path: Path, findings: Findings) -> pl.DataFrame:
    """Return the reviews as ratings with words."""
    data = to_utf8(read_bytes(path), path.name, findings)
    try:
        table = pl.read_ndjson(data, infer_schema_length=None)
    except PolarsError:
        table = columns_of(json_records(data, path.name, findings), path.name)
    columns: dict[str, pl.Series] = {}
    for name, keys in _REVIEW_KEYS.items():
        key = next((key for key in keys if key in table.columns), None)
        if key is not None:
            columns[name] = table[key].alias(name)
    for name in ("user_id", "item_id", "rating"):
        if name not in columns:
            allowed = " or ".join(repr(key) for key in _REVIEW_KEYS[name])
            raise DataError(f"{path}: reviews need {allowed} (keys: {', '.join(table.columns[:20])})")
    words = [
        columns.pop(name).cast(pl.String).fill_null("") for name in ("summary", "words") if name in columns
    ]
    frame = pl.DataFrame(list(columns.values()))
    if words:
        text = words[0] if len(words) == 1 else pl.Series(words[0] + "\n" + words[1])
        frame = frame.with_columns(text.alias("text"))
    return frame


def _metadata(path: Path, reviewed: pl.Series, findings: Findings) -> pl.DataFrame:
    """Return the reviewed items, those without metadata last and blank."""
    data = to_utf8(read_bytes(path), path.name, findings)
    wanted = id_strings(reviewed, path.name).str.strip_chars().unique(maintain_order=True)
    kept = set(wanted)
    records = []
    for record in json_records(data, path.name, findings, _python_literal):
        key = as_text(record.get("parent_asin") or record.get("asin") or "")
        if key in kept:
            records.append(_item(key, record))
    if not records:
        raise DataError(
            f"{path}: describes none of the {len(kept):,} items reviewed; give the matching metadata"
        )
    table = columns_of(records, path.name)
    bare = wanted.filter(~wanted.is_in(table["item_id"].implode()) & (wanted != ""))
    findings.add("noted", "reviewed item without metadata", bare.len(), path.name, bare.first())
    return pl.concat([table, bare.alias("item_id").to_frame()], how="diagonal")


def _python_literal(line: str) -> Any:
    """Return the object of a line of 2014's metadata, written as Python; nothing in it is executed."""
    if len(line) > _LONGEST_LITERAL:
        raise ValueError("too long")
    try:
        return ast.literal_eval(line.strip())
    except (SyntaxError, TypeError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _item(key: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return one item under FuseRec's names."""
    details = record.get("details")
    details = details if isinstance(details, dict) else {}
    main = record.get("main_category") or record.get("main_cat")
    categories = flattened([main, record.get("categories") or record.get("category") or []])
    description = flattened(
        [record.get("features") or record.get("feature") or [], record.get("description") or []]
    )
    brand = record.get("brand") or details.get("Brand") or record.get("store") or ""
    return {
        "item_id": key,
        "title": as_text(record.get("title") or ""),
        "description": " ".join(description),
        "categories": categories,
        "brand": as_text(brand),
        "price": _price(record.get("price")),
        "image": _first_image(record),
    }


def _price(value: Any) -> float | None:
    """Return a price in dollars: a number, or the first one in a text such as ``$1,299.00``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    found = _PRICE.search(value) if isinstance(value, str) and len(value) < 40 else None
    return float(found[0].replace(",", "")) if found else None


def _first_image(record: dict[str, Any]) -> str:
    """Return the address of an item's first picture."""
    images = (
        record.get("imUrl") or record.get("imageURLHighRes") or record.get("imageURL") or record.get("images")
    )
    while isinstance(images, list):
        images = images[0] if images else ""
    if isinstance(images, dict):
        images = images.get("large") or images.get("thumb") or ""
    while isinstance(images, list):
        images = images[0] if images else ""
    return as_text(images or "")
