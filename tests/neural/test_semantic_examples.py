"""What an example of the semantic softmax is made of: never the item that is to be predicted, nor words of later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.dataset import SECONDS_PER_DAY, Searches
from fuserec.run import RunOptions
from fuserec.testing import small_features
from fuserec.testing.planted import dataset_of

semantic_examples = pytest.importorskip("fuserec.neural.semantic.examples")
Examples, Reading, examples_of = (
    getattr(semantic_examples, name) for name in ("Examples", "Reading", "examples_of")
)

N_ITEMS = 6
RUN = RunOptions(seed=3, threads=1)

events = st.tuples(st.integers(0, N_ITEMS - 1), st.sampled_from([1.0, 0.3, 0.0, -0.5]))
histories = st.lists(st.lists(events, max_size=7), min_size=1, max_size=4)
readings = st.builds(
    Reading,
    context=st.sampled_from(["earlier", "others"]),
    decay=st.sampled_from([1.0, 0.7]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    length=st.integers(1, 8),
)


def data_of(rows):
    """Return the dataset of histories of (item, weight); item N_ITEMS is nobody's."""
    items = [[item for item, _ in row] for row in rows]
    return dataset_of(items, N_ITEMS + 1, weights=[[weight for _, weight in row] for row in rows])


def examples(rows, reading):
    data = data_of(rows)
    nothing = np.full(data.n_interactions, -1, np.int64)
    return examples_of(data, nothing, np.ones(data.n_items, dtype=bool), reading)


def bag(found, example, reading):
    """Return the x of one example as (items, values)."""
    one = found.bags(np.array([example]), reading)
    return one.items.tolist(), one.values.tolist()


@settings(max_examples=150, deadline=None)
@given(histories, readings)
def test_what_the_target_is_changes_nothing_in_its_own_x(rows, reading):
    found = examples(rows, reading)
    for example, at in enumerate(found.at.tolist()):
        user = int(np.searchsorted(found.indptr, at, side="right")) - 1
        target = int(found.items[at])
        other = [list(row) for row in rows]
        other[user] = [(N_ITEMS if item == target else item, weight) for item, weight in other[user]]
        changed = examples(other, reading)
        place = changed.at.tolist().index(at)
        items, values = bag(found, example, reading)
        assert target not in items
        assert (items, values) == bag(changed, place, reading)


@settings(max_examples=100, deadline=None)
@given(histories, readings)
def test_x_equals_its_definition_written_out(rows, reading):
    found = examples(rows, reading)
    wanted_at = []
    for user, row in enumerate(rows):
        for place, (item, weight) in enumerate(row):
            first = all(item != earlier for earlier, _ in row[:place])
            reached = place > 0 or (reading.context == "others" and len(row) > 1)
            if first and weight > 0 and reached:
                wanted_at.append((user, place))
    at = [(int(np.searchsorted(found.indptr, a, side="right")) - 1, a) for a in found.at.tolist()]
    assert [(user, a - int(found.indptr[user])) for user, a in at] == wanted_at
    for example, (user, place) in enumerate(wanted_at):
        around = range(place) if reading.context == "earlier" else range(len(rows[user]))
        steps = {e: abs(place - e) - 1 for e in around if rows[user][e][0] != rows[user][place][0]}
        near = {e: reading.decay**s for e, s in steps.items() if s < reading.length}
        total = sum(near.values()) ** reading.power
        wanted = [(rows[user][e][0], rows[user][e][1] * value / total) for e, value in near.items()]
        items, values = bag(found, example, reading)
        assert items == [item for item, _ in wanted]
        np.testing.assert_allclose(values, [value for _, value in wanted], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(histories, readings, st.integers(0, 50))
def test_what_is_held_out_is_in_nothing_that_is_learnt_from(rows, reading, seed):
    whole = examples(rows * 5, reading)  # a tenth of the people is held out: there have to be some
    order = np.random.default_rng(seed).integers(0, 2**62, size=len(rows) * 5).astype(np.uint64)
    rest, held = semantic_examples.held_apart(whole, 3, order)
    assert len(rest) + len(held) == len(whole)
    assert rest.items.size == whole.items.size - len(held)
    assert set(held.targets.tolist()) <= set(
        rest.targets.tolist()
    )  # nothing is learnt to be wrong everywhere
    learnt = np.sort(np.concatenate([rest.targets, held.targets]))
    assert np.array_equal(learnt, np.sort(whole.targets))
    for at in held.at.tolist():
        user = int(np.searchsorted(held.indptr, at, side="right")) - 1
        mine = rest.items[rest.indptr[user] : rest.indptr[user + 1]]
        assert held.items[at] not in mine


TITLES = ["galaxy robot", "murder alibi", "soup bread", "galaxy murder", "robot soup", "bread alibi", "oven"]
DAY = SECONDS_PER_DAY


def with_searches(data, said, profiles=None):
    """Return the dataset with searches (user, day, text), and profiles by user."""
    user, day, text = zip(*said, strict=True) if said else ((), (), ())
    searches = Searches(np.array(user, np.int32), np.array(day, np.float64) * DAY, tuple(text))
    table = data.user_table
    if profiles:
        table = pl.DataFrame({"text": profiles}, schema={"text": pl.String})
    return replace(data, searches=searches, user_table=table)


@pytest.fixture(scope="module")
def catalogue():
    data = dataset_of([[0, 1, 2], [3, 4], [5, 6]], titles=TITLES)
    return data, small_features(data, RUN)


said = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([-1.0, 0.5, 1.5, 7.0]), st.sampled_from(TITLES)), max_size=5
)


def told(text, rows, event):
    """Return what was known in words at an event."""
    return None if rows[event] < 0 else text.lexical[[rows[event]]].toarray().ravel().tolist()


@settings(max_examples=40, deadline=None)
@given(said, st.lists(st.tuples(st.sampled_from([0.0, 1.0, 9.0]), st.sampled_from(TITLES)), max_size=3))
def test_words_of_that_moment_or_later_are_not_known(catalogue, before, later):
    data, features = catalogue
    first = semantic_examples.words_before(with_searches(data, before), features, RUN)
    for event in range(data.n_interactions):
        user, day = int(data.interactions.user[event]), float(data.interactions.time[event]) / DAY
        more = [(user, day + lag, text) for lag, text in later]
        again = semantic_examples.words_before(with_searches(data, before + more), features, RUN)
        known = [text for u, when, text in before if u == user and when < day]
        assert (first[1][event] >= 0) == bool(known)
        assert told(*again, event) == told(*first, event)


def test_words_without_a_moment_may_be_of_later_and_profiles_are_always_known(catalogue):
    data, features = catalogue
    undated = with_searches(data, [(0, np.nan, "soup")], [None, "a robot", None])
    text, rows = semantic_examples.words_before(undated, features, RUN)
    assert (rows >= 0).tolist() == [False, False, False, True, True, False, False]
    assert len(set(rows[3:5].tolist())) == 1
    assert told(text, rows, 3) == pytest.approx(features.read(["a robot"], RUN).lexical.toarray().ravel())


def test_nobody_said_anything(catalogue):
    data, features = catalogue
    text, rows = semantic_examples.words_before(data, features, RUN)
    assert text is None
    assert (rows == -1).all()
