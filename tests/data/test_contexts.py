"""Further columns of interactions and columns of users: from the files to the query, and through all that happens."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fuserec.data.contexts import checked_context, stacked_contexts, unknown_keys
from fuserec.data.dataset import Dataset
from fuserec.data.folder_writer import write_folder
from fuserec.data.frames import from_frames
from fuserec.data.query import Query
from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.errors import RequestError
from fuserec.requests import resolve

DAY = 86_400


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three users, times and devices in another order than that of the rows."""
    rows = pl.DataFrame(
        {
            "user_id": ["a", "a", "b", "b", "a", "c", "c"],
            "item_id": ["x", "y", "x", "z", "z", "y", "x"],
            "timestamp": [1_600_000_000 + DAY * d for d in (5, 1, 2, 3, 4, 6, 7)],
            "device": ["tv", "<b>mobile</b>", None, "tv", "mobile", "x" * 300, "tv"],
            "temperature": [20.5, None, float("inf"), 3.0, 4.0, 5.0, 6.0],
        }
    )
    users = pl.DataFrame(
        {"user_id": ["a", "b"], "age": [31, 45], "gender": ["F", None], "text": ["likes tea", ""]}
    )
    return rows, users


@pytest.fixture
def data() -> Dataset:
    rows, users = frames()
    return Dataset.from_frames(rows, users=users)


def said(data: Dataset) -> dict[tuple[str, str], tuple[object, object]]:
    """(user, item) to its circumstances."""
    rows, table = data.interactions, data.interactions.context
    assert table is not None
    return {
        (data.users[int(u)], data.items[int(i)]): (device, temperature)
        for u, i, device, temperature in zip(
            rows.user, rows.item, table["device"], table["temperature"], strict=True
        )
    }


def test_columns_stay_with_their_rows(data):
    found = said(data)
    assert found["a", "x"] == ("tv", 20.5)
    assert found["a", "y"] == ("mobile", None)  # markup is taken out
    assert found["b", "x"] == (None, None)  # infinity is no number
    assert found["c", "y"] == (None, 5.0)  # too long to be a circumstance


def test_what_is_mended_or_kept_is_reported():
    _, report = from_frames(*frames()[:1])
    found = {finding.reason: finding for finding in report.findings}
    assert found["column kept as context"].example == "device, temperature"
    assert found["circumstance of more than 200 characters, taken as unknown"].count == 1
    assert found["number that is not finite"].count == 1


def test_lists_and_too_many_columns_are_not_used():
    rows = frames()[0].with_columns(
        pl.Series("lists", [["a"]] * 7), *(pl.lit("v").alias(f"c{i}") for i in range(40))
    )
    data, report = from_frames(rows)
    assert data.interactions.context.width == 32
    unused = next(f for f in report.findings if f.reason == "column that is not used")
    assert "lists" in unused.example
    assert unused.count == 2 + 41 - 32


def test_without_further_columns_there_is_no_table():
    data = Dataset.from_frames(frames()[0].select("user_id", "item_id", "timestamp"))
    assert data.interactions.context is None
    assert data.queries().contexts == ()
    assert data.interactions.take(np.array([0])).context is None


def test_they_survive_take_split_update_forget_and_files(data, tmp_path):
    assert data.fingerprint != data.with_rows(np.arange(6)).fingerprint
    forgotten = data.without_user(data.users.index("a"))
    assert {pair: v for pair, v in said(data).items() if pair[0] != "a"} == said(forgotten)
    new = Dataset.from_frames(
        pl.DataFrame({"user_id": ["a"], "item_id": ["new"], "timestamp": [1_700_000_000], "place": ["home"]})
    )
    grown = data.extended(new)
    assert said(grown) == {**said(data), ("a", "new"): (None, None)}
    assert grown.interactions.context["place"].drop_nulls().to_list() == ["home"]
    again, _ = read(write_folder(data, tmp_path / "folder"))
    assert said(again) == said(data)
    assert again.user_table.equals(data.user_table)


def test_a_column_of_numbers_here_and_of_text_there_becomes_text():
    joined = stacked_contexts([(pl.DataFrame({"a": [1.0]}), 1), (None, 1), (pl.DataFrame({"a": ["x"]}), 1)])
    assert joined["a"].to_list() == ["1.0", None, "x"]
    assert stacked_contexts([(None, 3), (None, 1)]) is None


def test_queries_say_who_asks(data):
    a, b, c = data.queries(data.users.indices(["a", "b", "c"])).contexts
    assert a == {"age": 31, "gender": "F"}
    assert b == {"age": 45}
    assert c == {}


def test_a_held_out_query_has_the_circumstances_of_its_target(data):
    held = hold_out(data, SplitConfig(), 0, "test")
    asked = {
        data.users[int(u)]: context
        for u, context in zip(held.queries.users, held.queries.contexts, strict=True)
    }
    assert asked["a"] == {"age": 31, "gender": "F", "device": "tv", "temperature": 20.5}
    assert held.queries.take([0]).contexts == held.queries.contexts[:1]


def test_a_request_overrides_what_is_stored(data):
    found = resolve(Query("a", context={"age": 12, "device": "tv"}), data)
    assert found.context == {"age": 12, "gender": "F", "device": "tv"}
    assert found.shown["context"] == {"age": 12, "device": "tv"}
    assert resolve(Query("stranger", context={"age": 25}), data).context == {"age": 25}
    assert resolve(Query(context={"month": 12}), data).warnings == ()


def test_unknown_keys_are_named(data):
    warnings = resolve(Query("a", context={"devise": "tv"}), data).warnings
    assert len(warnings) == 1
    assert "'devise'; did you mean 'device'?" in warnings[0]
    assert unknown_keys({"b": 1}, ["a"]) == ("context: unknown key left out: 'b' (known: a)",)
    assert "no part" in resolve(Query("a", context={"age": 3}), data, reads_context=False).warnings[0]


@pytest.mark.parametrize(
    "context",
    [
        {1: "a"},
        {"": 1},
        {"a": {}},
        {"a": float("nan")},
        {"a": [1]},
        {"a": "x" * 2000},
        {"a": object()},
        {"a": 1e300},
    ],
)
def test_what_is_no_circumstance_is_refused_in_one_line(context):
    with pytest.raises(RequestError) as caught:
        checked_context(context)
    assert "\n" not in str(caught.value)
    assert "context" in str(caught.value)


def test_too_many_keys_are_refused():
    with pytest.raises(RequestError, match="101 keys, at most 100"):
        checked_context({str(i): 1 for i in range(101)})
