"""Windows of time: what is known before one and what it brings are the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.dataset import SECONDS_PER_DAY, Searches
from fuserec.data.splits.windows import known_before, news_of, questions_of, windows
from fuserec.errors import DataError
from fuserec.testing import dataset_of, small_dataset

nan = float("nan")


def rows_of(data):
    rows = data.interactions
    return sorted(zip(rows.user.tolist(), rows.item.tolist(), rows.time.tolist(), strict=True))


def test_windows_by_hand():
    days = [[0, 1, 2, 3], [4, 5, 6, 7]]
    data = dataset_of([[0, 1, 2, 3], [0, 1, 2, 3]], days=days)
    first, second = windows(data, 2, 0.5)
    assert (first.start / SECONDS_PER_DAY, first.end / SECONDS_PER_DAY) == (3, 5)
    assert (second.start / SECONDS_PER_DAY, second.end / SECONDS_PER_DAY) == (5, 7)
    held = questions_of(data, first, "all")
    assert held.queries.users.tolist() == [0, 1]
    assert held.items.tolist() == [3, 0]
    assert held.queries.items.tolist() == [0, 1, 2]  # of user 1 nothing is known yet
    assert questions_of(data, second, "next").items.tolist() == [1]
    assert questions_of(data, second, "all").items.tolist() == [1, 2, 3]  # its end belongs to the last window


@pytest.mark.parametrize("number", [1, 4])
def test_what_is_known_grows_by_what_each_window_brings(number):
    data = small_dataset()
    spans = windows(data, number, 0.6)
    table = pl.DataFrame(
        {
            "request_id": ["a", "b", "c"],
            "user_id": ["user 0"] * 3,
            "item_id": ["item-1"] * 3,
            "position": [1.0] * 3,
            "propensity": [None] * 3,
            "reward": [1.0] * 3,
            "timestamp": [spans[0].start - 1, spans[0].start, None],
        },
        schema=data.impressions.schema,
    )
    searches = Searches(
        np.array([0, 0, 1], np.int32),
        np.array([spans[0].start - 1, nan, spans[0].start]),
        ("old", "undated", "new"),
    )
    data = replace(data, impressions=table, searches=searches)
    known = known_before(data, spans[0].start)
    assert sorted(known.searches.text) == ["old", "undated"]
    assert known.impressions["request_id"].to_list() == ["a"]
    assert known.interactions.time.max() < spans[0].start
    for place, span in enumerate(spans):
        news = news_of(data, span)
        assert news.n_interactions > 0
        assert news.interactions.time.min() >= span.start
        known = known.extended(news)
        if place + 1 < len(spans):
            expected = known_before(data, spans[place + 1].start)
            assert rows_of(known) == rows_of(expected)
            assert known.searches.text == expected.searches.text
    assert rows_of(known) == rows_of(data)
    assert sorted(known.searches.text) == ["new", "old", "undated"]
    assert known.items.ids() == data.items.ids()


def test_the_model_of_a_window_knows_nothing_later_than_its_start():
    data = small_dataset()
    for span in windows(data, 3, 0.5):
        held = questions_of(data, span, "all")
        assert held.train.interactions.time.max() < span.start
        assert not (held.train.searches.time >= span.start).any()
        assert (held.queries.at >= span.start).all()
        assert data.interactions.time[held.hidden].min() >= span.start


@pytest.mark.parametrize(
    ("days", "number", "said"),
    [
        ([[0, nan, 2]], 2, "a replay needs a time for every interaction"),
        ([[1, 1, 1], [1, 1, 2]], 3, "too many of them have the same time"),
        ([[0, 1, 2]], 50, "50 windows over the newest 0.5 of 3 interactions"),
    ],
)
def test_times_that_cannot_be_cut(days, number, said):
    with pytest.raises(DataError, match=said):
        windows(dataset_of([list(range(len(d))) for d in days], days=days), number, 0.5)
