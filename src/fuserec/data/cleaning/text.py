"""Texts: HTML entities and markup, control characters, Unicode form and whitespace."""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5

import polars as pl

from fuserec.data.check import Findings

_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"
_INLINE = (
    "a|abbr|acronym|b|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|"
    "var|wbr"
)
_BLOCK = (
    "address|article|aside|blockquote|body|br|button|caption|center|dd|div|dl|dt|fieldset|figure|footer|form|"
    "frame|h[1-6]|head|header|hr|html|iframe|img|input|label|li|link|main|meta|nav|object|ol|option|p|param|pre|"
    "script|section|select|style|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
# Only names that HTML has: "I <3 you" and "a <x> b" are words, not markup.
_TAG = rf"</?(?:{_INLINE}|{_BLOCK})(?:\s[^<>]*|/)?>"
_MARKED = rf"(?is){_ENTITY}|{_TAG}|<!--"
_CONTROL = "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\u200b\u2060\ufeff]"
_UNTIDY = r"^\s|\s$|\s\s|[^\S ]"
_ROUNDS = 8
_SHOWN = 100

_hidden = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\s*\1\s*>", re.IGNORECASE | re.DOTALL)
_inline_tag = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*|/)?>", re.IGNORECASE)
_tag = re.compile(_TAG, re.IGNORECASE)
_entity = re.compile(_ENTITY)
_control = re.compile(_CONTROL)


def clean_texts(texts: pl.Series, where: str, findings: Findings) -> pl.Series:
    """Return a column of strings as plain text: NFC, without markup and control characters, single spaces.

    Parameters
    ----------
    texts : polars.Series of String (n,)
    where : str
        Names the table and column in findings.
    findings : Findings
        Receives how many texts each step changed.
    """
    out = texts.fill_null("")
    if (out.str.len_bytes() != out.str.len_chars()).any():
        out = _counted(out, out.str.normalize("NFC"), "Unicode form (not NFC)", where, findings)
    if out.str.contains(_CONTROL).any():
        out = _counted(
            out, out.str.replace_all(_CONTROL, ""), "control characters in a text", where, findings
        )
    marked = out.filter(out.str.contains(_MARKED)).unique()
    if marked.len():
        plain = pl.Series([plain_text(text) for text in marked], dtype=pl.String)
        out = _counted(out, out.replace(marked, plain), "HTML entities or markup", where, findings)
    if out.str.contains(_UNTIDY).any():
        tidy = out.str.replace_all(r"\s+", " ").str.strip_chars()
        out = _counted(out, tidy, "surplus whitespace", where, findings)
    return out


def text_column(column: pl.Series) -> pl.Series:
    """Return a column of any type as strings; a list becomes its parts, joined."""
    kind = column.dtype
    if kind == pl.String:
        return column
    if isinstance(kind, (pl.List, pl.Array)):
        return column.cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True)
    if isinstance(kind, (pl.Datetime, pl.Duration)):
        return column.dt.to_string("iso" if kind == pl.Duration else "iso:strict")
    if kind.is_float():
        whole = column.fill_nan(None).drop_nulls()
        if ((whole.round() == whole) & (whole.abs() < 2.0**53)).all():
            return column.fill_nan(None).cast(pl.Int64, strict=False).cast(pl.String)
    if kind == pl.Binary:
        column = pl.Series(column.name, [v if v is None else v.decode("utf-8", "replace") for v in column])
    return column.cast(pl.String)


def clean_lists(lists: pl.Series, where: str, findings: Findings) -> pl.Series:
    """Return a column of lists of strings, each string cleaned; empty ones and repeats in a list left out."""
    frame = pl.DataFrame(
        {"row": pl.int_range(lists.len(), eager=True), "part": lists.cast(pl.List(pl.String))}
    )
    parts = frame.explode("part").drop_nulls("part")
    parts = parts.with_columns(clean_texts(parts["part"], where, findings).alias("part"))
    parts = parts.filter(pl.col("part") != "").unique(maintain_order=True)
    grouped = parts.group_by("row", maintain_order=True).agg("part")
    joined = frame.select("row").join(grouped, on="row", how="left", maintain_order="left")["part"]
    return joined.fill_null(pl.Series([[]], dtype=pl.List(pl.String))).alias(lists.name)


def plain_text(text: str) -> str:
    """Return a text without markup and with its entities resolved, however often they were escaped."""
    for _ in range(_ROUNDS):
        before = text
        text = _tag.sub(" ", _inline_tag.sub("", _hidden.sub(" ", text)))
        text = _control.sub("", _entity.sub(_resolved, text))
        text = unicodedata.normalize("NFC", text)
        if text == before:
            break
    return text


def _resolved(match: re.Match[str]) -> str:
    """Return what an entity stands for; an unknown one stays."""
    entity = match[0]
    if entity[1] == "#":
        return html.unescape(entity)
    # html.unescape would also take "&notit;" for "¬it;".
    return html5.get(entity[1:], entity)


def _counted(old: pl.Series, new: pl.Series, reason: str, where: str, findings: Findings) -> pl.Series:
    """Count the texts that a step changed and return the new ones."""
    differs = old != new
    if differs.any():
        findings.add("mended", reason, int(differs.sum()), where, repr(old.filter(differs)[0][:_SHOWN]))
    return new
