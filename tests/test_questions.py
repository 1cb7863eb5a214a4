"""Questions to somebody new: the item that tells tastes apart comes first, and answers move what is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec import Event, Recommender, RunOptions
from fuserec.config import RecommenderConfig
from fuserec.errors import RequestError
from fuserec.questions import MAX_GROUPS, Tastes, _entropy
from fuserec.testing import dataset_of, small_dataset

CONFIG = RecommenderConfig.parse(
    {"features": {"use_sentence": "never"}, "parts": {"popularity": {}, "content": {}}}, "questions"
)
RUN = RunOptions(threads=1)
POPULAR, SPLIT_A, SPLIT_B = 0, 1, 2


def two_tastes(n=80, weights=None):
    """Return two groups: 7 of 10 of either take item 0; one takes 1 and some of 3 to 8, one 2 and some of 9 to 14.

    Titles name the taste.
    """
    rng = np.random.default_rng(5)
    histories = []
    for user in range(n):
        own = SPLIT_A if user % 2 == 0 else SPLIT_B
        some = rng.choice(6, 3, replace=False) + (3 if user % 2 == 0 else 9)
        # the popular item alone says nothing of the taste: 70 % of both groups take it
        history = [own, *some.tolist()] if rng.random() < 0.9 else some.tolist()
        histories.append([*history, POPULAR] if user % 20 < 14 else history)
    titles = (
        ["both", "robot one", "soup one"] + [f"robot {i}" for i in range(6)] + [f"soup {i}" for i in range(6)]
    )
    return dataset_of(histories, 15, titles=titles, weights=weights)


@pytest.fixture(scope="module")
def model():
    return Recommender(CONFIG).fit(two_tastes(), RUN)


def ids(found):
    return [item.item_id for item in found.items]


def test_the_first_question_tells_tastes_apart_and_is_not_the_most_popular(model):
    counts = model.fitted.dataset.item_counts
    assert counts.argmax() == POPULAR
    assert counts[POPULAR] > 1.2 * counts[[SPLIT_A, SPLIT_B]].max()
    found = model.ask(k=15)
    assert set(ids(found)[:2]) == {"i1", "i2"}
    gains = {item.item_id: item.gain for item in found.items}
    assert gains["i1"] > 5 * gains.get("i0", 0.0)
    assert [item.gain for item in found.items] == sorted(gains.values(), reverse=True)
    assert [item.rank for item in found.items] == list(range(1, len(found.items) + 1))
    assert all(0 <= item.probability <= 1 for item in found.items)


def test_answers_move_the_questions_and_lessen_the_doubt(model):
    start = model.ask(k=15)
    liked = model.ask(["i1"], k=15)
    disliked = model.ask([Event("i1", kind="dislike")], k=15)
    assert liked.doubt < start.doubt
    assert ids(liked) != [one for one in ids(start) if one != "i1"]
    p = {
        name: {item.item_id: item.probability for item in found.items}
        for name, found in (("liked", liked), ("disliked", disliked), ("start", start))
    }
    assert p["liked"]["i3"] > p["start"]["i3"] > p["disliked"]["i3"]
    assert p["disliked"]["i9"] > p["start"]["i9"] > p["liked"].get("i9", 0.0)
    unknown = model.ask(unknown=["i1"], k=15)
    assert {item.item_id: item.probability for item in unknown.items}["i9"] > p["start"]["i9"]


def test_words_count_as_an_answer(model):
    told = {item.item_id: item.probability for item in model.ask(text="a robot", k=15).items}
    other = {item.item_id: item.probability for item in model.ask(text="soup", k=15).items}
    assert told["i3"] > other["i3"]
    assert other["i9"] > told["i9"]
    assert model.ask(text="zzzz").doubt == pytest.approx(model.ask().doubt)


def test_nothing_is_asked_twice(model):
    liked, disliked, unknown = [], [], []
    asked = []
    for turn in range(20):
        found = model.ask([*liked, *(Event(one, kind="dislike") for one in disliked)], unknown=unknown)
        if not found.items:
            break
        one = found.items[0].item_id
        asked.append(one)
        (liked, disliked, unknown)[turn % 3].append(one)
    assert len(asked) == len(set(asked)) > 5


def test_candidates_and_exclusions_are_heeded(model):
    first = model.ask().items[0].item_id
    assert first not in ids(model.ask(k=15, exclude=[first]))
    assert ids(model.ask(k=15, candidates=["i3", "i9", "i0"], exclude=["i9"]))[0] == "i3"
    found = model.ask(["gone", "i3"], exclude=["nowhere"])
    assert any("gone" in said for said in found.warnings)
    assert any("nowhere" in said for said in found.warnings)
    assert found.to_json()["items"][0].keys() == {"item_id", "title", "rank", "gain", "probability"}
    assert found.to_json()["query"]["history"] == ["i3"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"k": 0}, "k = 0"),
        ({"history": "i1"}, "has to be a list of item ids"),
        ({"unknown": ["i99"]}, "item 'i99' is not in the catalogue"),
        ({"candidates": ["i99"]}, "item 'i99' is not in the catalogue"),
        ({"unknown": "i1"}, "has to be a list of ids"),
    ],
)
def test_wrong_requests_are_named(model, call, message):
    with pytest.raises(RequestError, match=message):
        model.ask(**call)


def test_a_model_without_histories_says_why_it_cannot_ask(model, tmp_path):
    model.save(tmp_path / "anonymous", histories=False)
    with pytest.raises(RequestError, match="saved without histories"):
        Recommender.load(tmp_path / "anonymous").ask()
    model.save(tmp_path / "whole")
    assert Recommender.load(tmp_path / "whole").ask(["i3"], k=5) == model.ask(["i3"], k=5)


def test_a_new_catalogue_has_nothing_to_ask():
    empty = dataset_of([[], []], 4, titles=["robot", "soup", "galaxy", "oven"])
    with pytest.raises(RequestError, match="nobody has taken anything yet"):
        Recommender(CONFIG).fit(empty, RUN).ask()


def test_gain_is_the_mutual_information():
    tastes = Tastes.of(small_dataset(), 0)
    assert len(tastes.share) <= MAX_GROUPS
    belief = np.random.default_rng(0).dirichlet(np.ones(tastes.share.size))
    gains, _ = tastes.gains(belief)
    for item in (0, 7, 21):
        wanted = 0.0
        for answer in (tastes.likes, tastes.dislikes, 1.0 - tastes.likes - tastes.dislikes):
            p = answer[:, item].astype(np.float64)
            wanted += float(np.sum(belief * p * np.log2(p / (belief @ p))))
        assert gains[item] == pytest.approx(wanted, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_probabilities_stay_probabilities(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    histories = [rng.choice(10, rng.integers(0, 6), replace=False).tolist() for _ in range(n)] + [[0]]
    weights = [rng.choice([-1.0, 0.0, 0.5, 1.0], len(history)).tolist() for history in histories]
    tastes = Tastes.of(dataset_of(histories, 10, weights=weights), seed)
    assert tastes.share.sum() == pytest.approx(1.0)
    assert (tastes.likes > 0).all()
    assert (tastes.dislikes > 0).all()
    assert (tastes.likes + tastes.dislikes < 1.0 + 1e-6).all()
    belief = tastes.believed(np.array([1]), np.array([2, 3]), np.array([4]), np.array([5, 6]))
    assert belief.sum() == pytest.approx(1.0)
    gains, likes = tastes.gains(belief)
    assert np.isfinite(gains).all()
    assert (gains <= _entropy(likes, belief @ tastes.dislikes) + 1e-6).all()


def test_a_dislike_says_no_more_than_not_liking_where_none_is_known():
    tastes = Tastes.of(two_tastes(), 0)
    nothing = np.empty(0, np.int64)
    said = tastes.believed(nothing, np.array([1]), nothing, nothing)
    silent = tastes.believed(nothing, nothing, np.array([1]), nothing)
    np.testing.assert_allclose(said, silent, rtol=1e-4)
