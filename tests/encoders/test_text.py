"""Which text of an item is read."""

from __future__ import annotations

import polars as pl
import pytest

from fuserec.encoders.text import TextConfig, item_text
from fuserec.errors import ConfigError

TABLE = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "title": ["Red polish", " ", None, "Blue file"],
        "categories": [["Beauty", " Nails "], ["Beauty", None, ""], None, []],
        "paths": [[["Beauty", "Nails"], ["Beauty", "Gifts"]], [["Hair"]], None, [[]]],
        "brand": ["OPI", None, None, ""],
        "year": [1999, None, 2001, 2002],
        "description": ["long", "longer", "", None],
    }
)


def test_default_columns() -> None:
    assert item_text(TABLE) == ["Red polish. Beauty, Nails. OPI", "Beauty", "", "Blue file"]


def test_missing_default_columns_are_passed_over() -> None:
    assert item_text(TABLE.select("item_id", "title")) == ["Red polish", "", "", "Blue file"]
    assert item_text(TABLE.select("item_id")) == ["", "", "", ""]
    assert item_text(TABLE.select("item_id", "description")) == ["long", "longer", "", ""]
    assert item_text(TABLE.clear()) == []


def test_configured_columns_in_their_order() -> None:
    config = TextConfig(columns=("brand", "title"), separator=" | ")
    assert item_text(TABLE, config) == ["OPI | Red polish", "", "", "Blue file"]


def test_numbers_and_nested_lists() -> None:
    config = TextConfig(columns=("paths", "year"))
    assert item_text(TABLE, config) == ["Beauty, Nails, Gifts. 1999", "Hair", "2001", "2002"]
    arrays = TABLE.select(
        pl.Series("pair", [["x", "y"], ["z", ""], None, ["x", "x"]], dtype=pl.Array(pl.String, 2))
    )
    assert item_text(arrays, TextConfig(columns=("pair",))) == ["x, y", "z", "", "x"]


def test_a_column_that_is_not_there_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"'titel' is not in the items table; did you mean 'title'\?"):
        item_text(TABLE, TextConfig(columns=("titel",)))


def test_long_text_is_cut_by_characters() -> None:
    table = pl.DataFrame({"title": ["洗" * 10_000, "short"]})
    assert [len(text) for text in item_text(table)] == [4000, 5]
    assert item_text(table, TextConfig(max_chars=3)) == ["洗洗洗", "sho"]


def test_an_item_without_the_default_columns_is_read_by_its_description() -> None:
    table = pl.DataFrame(
        {
            "title": ["a lamp", None, "", None],
            "categories": [["light"], [], None, None],
            "description": ["never read", "a chair of oak", "  a rug ", None],
            "tags": [["x"], ["wood", "seat"], None, None],
        }
    )
    assert item_text(table) == ["a lamp. light", "a chair of oak", "a rug", ""]
