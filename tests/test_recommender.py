"""What ``recommend`` promises: filters, no repeats, short lists, strangers, evidence, updates, forgetting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuserec import Event, Recommender, RunOptions, sample
from fuserec.config import RecommenderConfig
from fuserec.errors import NotFittedError, RequestError
from fuserec.testing.lists import check_list
from fuserec.testing.small import small_dataset

JAZZ = ["kind-of-blue", "time-out", "getz-gilberto"]
RUN = RunOptions(threads=2)


def quick_config() -> RecommenderConfig:
    return RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "fusion": {"tune": False},
            "parts": {"popularity": {}, "item_knn": {}, "content": {}},
        },
        "the test's configuration",
    )


@pytest.fixture(scope="module")
def quick() -> Recommender:
    """Return a model of three counting parts on the small made-up dataset; nobody may update it."""
    return Recommender(quick_config()).fit(small_dataset(), RUN)


def copy(model: Recommender) -> Recommender:
    return Recommender.of(model.config, model.fitted)


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


def with_category(model: Recommender, names: set[str], items: list[str]) -> float:
    """Return the share of items that carry one of some categories."""
    data = model.fitted.dataset
    found = [names & set(data.item_table["categories"][data.items.index(item)].to_list()) for item in items]
    return sum(bool(one) for one in found) / len(items)


# -- the list


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_list_keeps_its_promises(sample_model: Recommender, data: st.DataObject) -> None:
    model = sample_model.fitted.dataset
    every = model.items.ids()
    some = st.lists(st.sampled_from(every), max_size=8, unique=True)
    history, exclude = data.draw(some), data.draw(some)
    user = data.draw(st.sampled_from([None, "reader-0204", "reader-0001", "nobody"]))
    year = data.draw(st.sampled_from([None, 1950, 1990, 2020, 2100]))
    pool = data.draw(st.none() | st.lists(st.sampled_from(every), min_size=1, max_size=30))
    k = data.draw(st.sampled_from([1, 3, 10, 60, 1000]))
    answer = sample_model.recommend(
        user=user,
        history=history,
        exclude=exclude,
        candidates=pool,
        filters=None if year is None else {"year": {">=": year}},
        k=k,
    )
    column = model.item_table["year"].to_numpy()
    eligible = set(range(model.n_items)) if pool is None else {model.items.index(item) for item in pool}
    if year is not None:
        eligible = {item for item in eligible if column[item] >= year}
    seen = {model.items.index(item) for item in (*history, *exclude)}
    index = model.users.index(user) if user is not None else -1
    if index >= 0:
        seen |= set(model.interactions.item[model.indptr[index] : model.indptr[index + 1]].tolist())
    listed = np.array([model.items.index(item) for item in ids(answer)], dtype=int)
    scores = np.array([item.score for item in answer.items])
    check_list(listed, scores, k=k, seen=seen, n_items=model.n_items, eligible=eligible)
    assert [item.rank for item in answer.items] == list(range(1, listed.size + 1))
    assert all(0 <= item.probability <= 1 for item in answer.items)


def test_scores_do_not_depend_on_what_else_is_eligible(sample_model: Recommender) -> None:
    whole = {item.item_id: item.score for item in sample_model.recommend(history=JAZZ, k=1000).items}
    films = sample_model.recommend(history=JAZZ, k=1000, filters={"categories": "Film"}).items
    assert len(films) > 20
    assert all(item.score == whole[item.item_id] for item in films)


def test_items_that_no_part_knows_only_fill_up(quick: Recommender) -> None:
    model = copy(quick).update(items=[{"item_id": "bare"}])
    whole = model.recommend(user=model.fitted.dataset.users[0], k=1000)
    data = model.fitted.dataset
    answered = model.fitted.fused.score(data.queries(np.array([0]))).answered[0]
    known = [bool(answered[data.items.index(item)]) for item in ids(whole)]
    assert known == sorted(known, reverse=True)
    assert not known[ids(whole).index("bare")]
    assert "bare" not in ids(model.recommend(user=data.users[0], k=sum(known)))
    assert ids(model.recommend(candidates=["bare"])) == ["bare"]


@pytest.mark.parametrize("k", [0, -1, True, 2.0, "10"])
def test_k_has_to_be_a_positive_whole_number(quick: Recommender, k: object) -> None:
    with pytest.raises(RequestError, match="k = "):
        quick.recommend(k=k)


def test_requests_that_are_refused(quick: Recommender) -> None:
    item = quick.fitted.dataset.items[0]
    for wrong, said in (
        ({"candidates": ["nonsense"]}, "not in the catalogue"),
        ({"min_probability": 1.5}, "from 0 to 1"),
        ({"min_probability": float("nan")}, "from 0 to 1"),
        ({"language": "fr"}, "en or zh"),
        ({"history": [Event(item=item, kind="hug")]}, "unknown kind 'hug'"),
        ({"history": [Event(item=item, rating=float("inf"))]}, "a finite number"),
        ({"history": [7]}, "type int"),
        ({"history": ["x"] * 10_001}, "at most 10,000"),
        ({"text": "x" * 20_001}, "at most 20,000"),
        ({"history": ["nonsense", "more"]}, "none of its 2 items"),
        ({"filters": {"colour": "red"}}, "no column 'colour'"),
    ):
        with pytest.raises(RequestError, match=said):
            quick.recommend(**wrong)
    with pytest.raises(NotFittedError):
        Recommender().recommend()


# -- who asks


def test_a_stranger_gets_the_cold_answer(sample_model: Recommender) -> None:
    nobody, stranger = sample_model.recommend(), sample_model.recommend(user="nobody")
    assert stranger.known is False
    assert nobody.known is True
    assert ids(stranger) == ids(nobody)
    assert "'nobody' is unknown" in stranger.warnings[0]


def test_unknown_items_of_a_history_are_left_out(sample_model: Recommender) -> None:
    answer = sample_model.recommend(history=["nonsense", *JAZZ])
    assert ids(answer) == ids(sample_model.recommend(history=JAZZ))
    assert "1 unknown item" in answer.warnings[0]
    excluded = sample_model.recommend(history=JAZZ, exclude=["nonsense"])
    assert "to exclude" in excluded.warnings[0]
    carried = sample_model.recommend(history=["nonsense"], text="jazz")
    assert ids(carried) == ids(sample_model.recommend(text="jazz"))


def test_a_history_in_the_call_comes_after_the_stored_one(sample_model: Recommender) -> None:
    stored = sample_model.recommend(user="reader-0204", k=20)
    more = sample_model.recommend(user="reader-0204", history=JAZZ, k=20)
    assert with_category(sample_model, {"Jazz"}, ids(more)) > with_category(
        sample_model, {"Jazz"}, ids(stored)
    )


def test_three_liked_items_give_what_goes_with_them(sample_model: Recommender) -> None:
    every = sample_model.fitted.dataset.items.ids()
    found = ids(sample_model.recommend(history=JAZZ, k=10))
    assert with_category(sample_model, {"Album"}, found) >= 2 * with_category(sample_model, {"Album"}, every)
    assert with_category(sample_model, {"Jazz"}, found) >= 0.2


def test_a_sentence_is_understood(sample_model: Recommender) -> None:
    every = sample_model.fitted.dataset.items.ids()
    answer = sample_model.recommend(text="a detective solves a murder", k=10, explain=True)
    crime = {"Mystery", "Crime", "Detective", "Thriller"}
    assert with_category(sample_model, crime, ids(answer)) >= 0.8
    assert with_category(sample_model, crime, every) < 0.3
    assert "your words" in answer.items[0].reason


def test_meaning_is_understood_without_a_shared_word(sample_model: Recommender, minilm: None) -> None:
    found = ids(sample_model.recommend(text="cosmonauts meeting extraterrestrials", k=10))
    assert with_category(sample_model, {"Science fiction"}, found) >= 0.5


def test_two_searches_carry_a_query(sample_model: Recommender) -> None:
    searches = [
        Event(text="space opera", kind="search"),
        Event(text="first contact with aliens", kind="search"),
    ]
    found = ids(sample_model.recommend(history=searches, k=10))
    assert with_category(sample_model, {"Science fiction"}, found) >= 0.7
    assert found != ids(sample_model.recommend(k=10))


def test_an_item_added_a_second_ago_is_recommended(sample_model: Recommender) -> None:
    before = sample_model.fitted
    model = copy(sample_model).update(items=[{"item_id": "red-mars", "title": "Red Mars"}], run=RUN)
    assert ids(model.recommend(text="the first colony on Mars", k=5))[0] == "red-mars"
    assert "red-mars" in ids(model.search("Mars", 3))
    near = ids(model.similar("red-mars", 5))
    assert {"the-martian", "the-martian-film"} & set(near)
    assert sample_model.fitted is before


# -- evidence


@pytest.mark.parametrize(
    "query",
    [
        {"user": "reader-0204"},
        {"history": JAZZ},
        {"text": "a quiet novel about memory"},
        {"history": [Event(text="space opera", kind="search"), "dune"], "text": "politics"},
        {"history": [Event("dune", "rating", rating=1.0), Event("solaris", "dislike"), "hyperion"]},
        {},
    ],
)
def test_evidence_sums_to_the_score(sample_model: Recommender, query: dict) -> None:
    answer = sample_model.recommend(k=40, explain=True, **query)
    for item in answer.items:
        total = sum(row.contribution for row in item.evidence)
        assert abs(total - item.score) <= 1e-4 * max(1.0, abs(item.score))
        assert item.reason
    named = {row.source for item in answer.items for row in item.evidence}
    assert not any(source.startswith("reader-") for source in named)


def test_explain_agrees_with_recommend(sample_model: Recommender) -> None:
    for item in sample_model.recommend(user="reader-0204", k=5, explain=True).items:
        alone = sample_model.explain(item.item_id, user="reader-0204")
        assert alone.rank == item.rank
        assert alone.score == pytest.approx(item.score, abs=1e-5)
        assert alone.reason == item.reason


def test_lists_for_many_users_equal_single_ones(sample_model: Recommender) -> None:
    users = ["reader-0204", "reader-0001", "reader-0331"]
    items, scores = sample_model.recommend_users(users, 7, RUN)
    for row, user in enumerate(users):
        alone = sample_model.recommend(user=user, k=7)
        assert [sample_model.fitted.dataset.items[int(i)] for i in items[row]] == ids(alone)
        assert scores[row] == pytest.approx([item.score for item in alone.items], abs=1e-5)
    with pytest.raises(RequestError, match="'nobody'"):
        sample_model.recommend_users(["nobody"])


# -- search


def test_search_finds_words_and_keeps_filters(sample_model: Recommender) -> None:
    assert ids(sample_model.search("Dune", 3))[0].startswith("dune")
    films = ids(sample_model.search("Dune", 5, filters={"categories": "Film"}))
    assert {"dune-part-one", "dune-part-two"} <= set(films)
    assert with_category(sample_model, {"Film"}, films) == 1.0
    assert ids(sample_model.search("红楼梦", 2))[0].startswith("dream-of-the-red-chamber")
    with pytest.raises(RequestError, match="empty"):
        sample_model.search(" \n")


def test_search_with_a_taste_finds_the_same_and_orders_it(sample_model: Recommender) -> None:
    alone, mine = (sample_model.search("animation", 8, user=user) for user in (None, "reader-0204"))
    assert mine.known
    assert set(ids(mine)) & set(ids(alone))
    assert sample_model.search("animation", 8, user="nobody").known is False


# -- update, forget, threads


def test_an_update_counts_at_once_and_leaves_other_snapshots_alone(quick: Recommender) -> None:
    model = copy(quick)
    items = quick.fitted.dataset.items
    rows = [{"user_id": "new", "item_id": items[i], "kind": "like"} for i in (0, 1)]
    model.update(interactions=rows)
    answer = model.recommend(user="new", k=1000)
    assert answer.known
    assert not {items[0], items[1]} & set(ids(answer))
    assert quick.recommend(user="new").known is False
    assert model.info()["updates"] == 1


def test_counting_parts_after_an_update_equal_a_fit_on_everything(quick: Recommender) -> None:
    data = quick.fitted.dataset
    late = data.interactions.time >= np.quantile(data.interactions.time, 0.9)
    grown = Recommender(quick_config()).fit(data.with_rows(~late), RUN)
    grown.update(data.with_rows(late))
    features, q = grown.fitted.features, grown.fitted.dataset.queries(np.arange(10))
    for name, part in grown.fitted.fused.parts.items():
        fresh = type(part)(part.config).fit(grown.fitted.dataset, features, RUN)
        found, wanted = part.score(q), fresh.score(q)
        assert np.allclose(found.values, wanted.values, rtol=1e-5, atol=1e-5), name


def test_forgetting_equals_a_fit_without_the_user(quick: Recommender) -> None:
    data = quick.fitted.dataset
    gone = data.users[3]
    model = copy(quick).forget(gone, RUN)
    fresh = Recommender(quick_config()).fit(data.without_user(3), RUN)
    assert model.fitted.dataset.fingerprint == fresh.fitted.dataset.fingerprint
    for user in (data.users[0], data.users[7], None):
        one, other = (m.recommend(user=user, k=12) for m in (model, fresh))
        assert ids(one) == ids(other)
        assert [item.score for item in one.items] == [item.score for item in other.items]
    assert model.recommend(user=gone).known is False
    with pytest.raises(RequestError, match="nothing to forget"):
        model.forget(gone)


def test_a_deferred_forgetting_is_pending_until_a_fit(quick: Recommender) -> None:
    gone = quick.fitted.dataset.users[3]
    model = copy(quick).forget(gone, defer=True)
    assert model.recommend(user=gone).known is False
    assert set(model.info()["pending"]) == set(model.fitted.fused.parts)
    model.fit(model.fitted.dataset, RUN)
    assert model.info()["pending"] == []


def test_eight_threads_ask_while_updates_swap_the_model(quick: Recommender) -> None:
    model = copy(quick)
    users = quick.fitted.dataset.users
    wanted = {users[i]: ids(quick.recommend(user=users[i], k=5)) for i in range(4)}
    stop, asked = threading.Event(), threading.Barrier(9, timeout=60)

    def ask(number: int) -> int:
        asked.wait()
        answers = 0
        while not stop.is_set():
            answer = model.recommend(user=users[number % 4], k=5, explain=answers % 3 == 0)
            assert len(answer.items) == 5
            assert len(set(ids(answer))) == 5
            answers += 1
        return answers

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(ask, number) for number in range(8)]
        asked.wait()
        for number in range(3):
            model.update(items=[{"item_id": f"new-{number}", "title": f"new work {number}"}])
        stop.set()
        counts = [one.result(timeout=60) for one in work]
    assert min(counts) >= 1
    assert model.fitted.dataset.n_items == quick.fitted.dataset.n_items + 3
    assert {user: ids(quick.recommend(user=user, k=5)) for user in wanted} == wanted


def test_updates_and_forgetting_at_once_lose_nothing(quick: Recommender) -> None:
    model = copy(quick)
    gone = [quick.fitted.dataset.users[i] for i in range(2)]
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(model.forget, user, RUN) for user in gone]
        work += [pool.submit(model.update, items=[{"item_id": f"n{i}", "title": "new"}]) for i in range(3)]
        for one in work:
            one.result(timeout=120)
    data = model.fitted.dataset
    assert data.n_items == quick.fitted.dataset.n_items + 3
    assert not set(gone) & set(data.users.ids())


def test_the_same_seed_gives_the_same_model(quick: Recommender) -> None:
    again = Recommender(quick_config()).fit(small_dataset(), RUN)
    for user in quick.fitted.dataset.users.ids()[:5]:
        one, other = (m.recommend(user=user, k=10, explain=True) for m in (quick, again))
        assert one.to_json() == other.to_json()


def test_the_sample_is_marked_as_simulated(sample_model: Recommender) -> None:
    assert sample().info.simulated
    assert "readers are simulated" in sample_model.recommend(k=1).note
    assert "readers are simulated" in sample_model.search("dune").to_json()["note"]
