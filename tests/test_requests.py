"""From a query in the caller's ids to arrays."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec import Event, Query
from fuserec.data.dataset import Dataset
from fuserec.errors import RequestError
from fuserec.requests import resolve, shown_id, well_formed
from fuserec.testing.small import small_dataset


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_dataset()


def test_events_come_after_the_stored_history(data: Dataset) -> None:
    user, item = data.users[2], data.items[1]
    span = slice(int(data.indptr[2]), int(data.indptr[3]))
    found = resolve(Query(user, (item,)), data)
    assert found.user == 2
    assert found.known
    assert found.items.tolist() == [*data.interactions.item[span].tolist(), 1]
    assert found.weights[:-1].tolist() == data.interactions.weight[span].tolist()
    assert found.weights[-1] > 0
    assert found.shown["history"] == [item]


def test_kinds_and_ratings_give_signed_weights(data: Dataset) -> None:
    names = [data.items[i] for i in range(5)]
    scale = data.info.rating_scale or (1.0, 5.0)
    events = (
        Event(names[0], "like"),
        Event(names[1], "dislike"),
        Event(names[2], "rating", rating=scale[0]),
        Event(names[3], "rating", rating=scale[1]),
        Event(names[4], "view"),
    )
    weights = resolve(Query(history=events), data).weights
    assert weights[0] > 0 > weights[1]
    assert weights[2] < 0 < weights[3]
    assert 0 < weights[4] <= weights[0]
    assert np.isfinite(weights).all()


def test_searches_texts_and_moments(data: Dataset) -> None:
    events = (
        Event(text="old", time=10.0, kind="search"),
        Event(data.items[0], time=50.0),
        Event(text="new", time=90.0),
    )
    found = resolve(Query(history=events, text="now"), data)
    assert found.words.request == "now"
    assert list(found.words.searches) == ["old", "new"]
    assert found.items.tolist() == [0]
    assert found.at >= 50.0
    assert resolve(Query(history=events, at=1234.5), data).at == 1234.5
    assert np.isnan(resolve(Query(), data).at)


def test_what_is_unknown_is_said(data: Dataset) -> None:
    found = resolve(Query("nobody", (data.items[0], "a", "b", "c", "d")), data)
    assert found.known is False
    assert found.items.tolist() == [0]
    assert found.warnings == (
        "user 'nobody' is unknown: answered as somebody new",
        "4 unknown items of the history left out: 'a', 'b', 'c', ...",
    )
    with pytest.raises(RequestError, match="none of its 2 items"):
        resolve(Query("nobody", ("a", "b")), data)
    assert resolve(Query(data.users[0], ("a",)), data).known
    assert resolve(Query(history=("a",), text="words"), data).items.size == 0
    assert resolve(Query(history=("a", Event(text="words"))), data).items.size == 0


def test_halves_of_surrogate_pairs_are_survived(data: Dataset) -> None:
    found = resolve(Query("u\ud800", (data.items[0], "x\udfff", Event(text="a\ud800b")), "\udc80"), data)
    assert found.words.request == "?"
    assert list(found.words.searches) == ["a?b"]
    assert well_formed("活着 ok") == "活着 ok"


def test_long_ids_are_cut_in_messages() -> None:
    assert shown_id("short") == "'short'"
    assert len(shown_id("x" * 10_000)) < 70
