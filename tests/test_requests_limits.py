"""What a request may not hold, and what it carries through to the scorers."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.additions import additions
from fuserec.data.dataset import Dataset
from fuserec.data.query import Event, Query
from fuserec.errors import FuseRecError, RequestError
from fuserec.requests import batch, id_list, resolve
from fuserec.run import RunOptions
from fuserec.testing import small_dataset, small_features

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_dataset()


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event("i0", time=NAN), "time .* nan"),
        (Event("i0", time=-INF), "time .* -inf"),
        (Event("i0", kind="watch", seconds=-60.0), "seconds .* -60.0"),  # it would divide by zero
        (Event("i0", kind="watch", seconds=INF), "seconds .* inf"),
    ],
)
def test_an_event_that_cannot_be(data, event, said):
    with pytest.raises(RequestError, match=said):
        resolve(Query(history=[event]), data)


def test_a_rating_outside_of_the_scale(data):
    scale = data.info.rating_scale
    assert scale is not None
    item = data.items[0]
    resolve(Query(history=[Event(item, kind="rating", rating=scale[1])]), data)
    with pytest.raises(RequestError, match="outside of the scale"):
        resolve(Query(history=[Event(item, kind="rating", rating=20 * scale[1])]), data)


@pytest.mark.parametrize("at", [NAN, INF])
def test_a_moment_that_is_none(data, at):
    with pytest.raises(RequestError, match="unix seconds"):
        resolve(Query(history=[data.items[0]], at=at), data)


def test_one_id_is_no_history(data):
    with pytest.raises(RequestError, match="list of item ids"):
        resolve(Query(history=data.items[0]), data)


def test_the_context_reaches_the_scorers(data):
    run = RunOptions(threads=1)
    requests = [resolve(Query(user=data.users[0], context=c), data) for c in ({"device": "tv"}, {})]
    q = batch(requests, small_features(data, run), run)
    assert q.contexts == ({"device": "tv"}, {})
    assert q.take(np.array([1, 0])).contexts == ({}, {"device": "tv"})


@pytest.mark.parametrize(
    "query",
    [
        Query(user=42),  # type: ignore[arg-type]
        Query(text=b"x"),  # type: ignore[arg-type]
        Query(history=["i0"], at="2020"),  # type: ignore[arg-type]
        Query(history=["i0"], at=1.7e12),  # milliseconds
        Query(history=None),  # type: ignore[arg-type]
        Query(history=[Event(5)]),  # type: ignore[arg-type]
        Query(history=[Event("i0", kind=None)]),  # type: ignore[arg-type]
        Query(history=[Event("i0", rating="good")]),  # type: ignore[arg-type]
        Query(history=[Event(kind="search", text="x" * 20_001)]),
    ],
)
def test_values_of_a_wrong_type_or_size_are_one_line(data, query):
    with pytest.raises(RequestError) as found:
        resolve(query, data)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("given", ["i0", 5, None, [5], [None]])
def test_a_list_of_ids_is_one(given):
    with pytest.raises(RequestError, match="exclude"):
        id_list(given, "exclude")


@pytest.mark.parametrize("rows", [[1, 2], "x"])
def test_rows_of_an_update_are_dicts(data, rows):
    with pytest.raises(FuseRecError):
        additions(None, rows, None, data.info)


def test_rows_of_an_update_may_mix_types_and_come_late(data):
    rows = [{"item_id": f"n{i}", "year": 1990} for i in range(200)]
    rows += [{"item_id": "last", "title": ["a", ["b"]], "year": "x"}]
    found = additions(None, rows, None, data.info)
    assert found.item_table["title"][-1] == "a, b"
    assert found.item_table["year"].to_list()[-2:] == ["1990", "x"]


def test_a_dataset_and_rows_at_once_are_refused(data):
    with pytest.raises(RequestError, match="either"):
        additions(None, [{"item_id": "n"}], None, data.info, data)
