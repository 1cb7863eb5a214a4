"""What a request may not hold, and what it carries through to the scorers."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.dataset import Dataset
from fuserec.data.query import Event, Query
from fuserec.errors import RequestError
from fuserec.requests import batch, resolve
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
