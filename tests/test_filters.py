"""Filters on item columns."""

from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.errors import RequestError
from fuserec.filters import OPERATORS, allowed_items, parse_filters

TABLE = pl.DataFrame(
    {
        "title": ["a", "b", "c", None],
        "year": [1990, 2000, None, 2010],
        "categories": [["Film", "Drama"], ["Book"], [], None],
        "price": [1.5, float("nan"), 3.0, None],
        "new": [True, False, None, True],
    }
)


def kept(filters: dict) -> list[int]:
    return [row for row, yes in enumerate(allowed_items(TABLE, filters)) if yes]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"year": 2000}, [1]),
        ({"year": "2000"}, [1]),
        ({"year": {">=": 1995}}, [1, 3]),
        ({"year": {">": 1990, "<": "2010"}}, [1]),
        ({"year": {"!=": 2000}}, [0, 2, 3]),
        ({"year": [1990, 2010]}, [0, 3]),
        ({"year": []}, []),
        ({"title": "b"}, [1]),
        ({"title": {">": "a"}}, [1, 2]),
        ({"categories": "Film"}, [0]),
        ({"categories": {"!=": "Film"}}, [1, 2, 3]),
        ({"categories": ["Film", "Book"]}, [0, 1]),
        ({"categories": {"=": ["Film", "Drama"]}}, [0]),
        ({"categories": {"=": ["Film", "Book"]}}, []),
        ({"year": {">=": 1990}, "categories": "Book"}, [1]),
        ({"new": "true"}, [0, 3]),
        ({"price": {">=": 1}}, [0, 2]),
    ],
)
def test_what_is_kept(filters: dict, rows: list[int]) -> None:
    assert kept(filters) == rows


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"yaer": 2000}, "did you mean 'year'"),
        ({"year": "soon"}, "is not a number"),
        ({"year": {">": "nan"}}, "is not a number"),
        ({"year": {"~": 1}}, "unknown operator '~'"),
        ({"categories": {">": "Film"}}, "takes = or !="),
    ],
)
def test_what_is_refused(filters: dict, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        allowed_items(TABLE, filters)


def test_conditions_are_read() -> None:
    assert parse_filters(["year>=1990", " year < 2000 ", "brand=A=B", "categories!=Games"]) == {
        "year": {">=": ["1990"], "<": ["2000"]},
        "brand": {"=": ["A=B"]},
        "categories": {"!=": ["Games"]},
    }
    for wrong in ("year", "", ">=3", "="):
        with pytest.raises(RequestError, match="COLUMN OPERATOR VALUE"):
            parse_filters([wrong])


@given(
    st.sampled_from(["year", "a column", "Jahr"]),
    st.sampled_from(OPERATORS),
    st.text(st.characters(exclude_characters="<>=!", exclude_categories=("Cc", "Cs", "Z"))),
)
def test_any_condition_comes_back(column: str, operator: str, value: str) -> None:
    assert parse_filters([f"{column} {operator} {value}"]) == {column: {operator: [value.strip()]}}


@given(st.integers(1900, 2100))
def test_comparisons_divide_the_items_that_have_a_value(year: int) -> None:
    below, equal, above = (set(kept({"year": {op: year}})) for op in ("<", "=", ">"))
    assert below | equal | above == {0, 1, 3}
    assert not below & equal
    assert not equal & above
    assert set(kept({"year": {">=": year}})) == equal | above


def test_a_long_condition_without_an_operator_is_refused_at_once():
    started = time.perf_counter()
    with pytest.raises(RequestError):
        parse_filters([" " * 100_000])
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("filters", ["year>1990", ["year"], {5: 1}, {None: 1}])
def test_filters_that_are_none(filters):
    with pytest.raises(RequestError, match="mapping"):
        allowed_items(pl.DataFrame({"year": [1]}), filters)


def test_a_number_beyond_all_bounds():
    with pytest.raises(RequestError, match="not a number"):
        allowed_items(pl.DataFrame({"year": [1]}), {"year": 10**400})
