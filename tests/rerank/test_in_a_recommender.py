"""Rerankers within a Recommender: lists, moves, reasons, rules, update, forget, and the model folder."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from planted_shop import lexical, planted

from fuserec import Recommender, RunOptions
from fuserec.config import RecommenderConfig, load_config
from fuserec.errors import ConfigError, RequestError
from fuserec.persistence import load

RUN = RunOptions(threads=1)
ADULT = {"column": "categories", "values": ["adult"]}


@pytest.fixture(scope="module")
def plain() -> Recommender:
    return Recommender(lexical()).fit(planted(), RUN)


@pytest.fixture(scope="module")
def varied() -> Recommender:
    """Two rerankers, one after the other."""
    return Recommender(lexical(calibration={"strength": 0.7}, mmr={"strength": 0.5})).fit(planted(), RUN)


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


def test_scores_stay_with_their_items_and_moves_tell_the_way(plain, varied) -> None:
    before = plain.recommend(user="u3", k=40)
    after = varied.recommend(user="u3", k=10, explain=True)
    scores = {item.item_id: (item.score, item.probability) for item in before.items}
    assert ids(after) != ids(before)[:10]
    assert all((item.score, item.probability) == scores[item.item_id] for item in after.items)
    place = {item: rank for rank, item in enumerate(ids(before), 1)}
    for item in after.items:
        steps = [move.split(",")[0].split(": ")[1].split(" → ") for move in item.moves]
        start = int(steps[0][0]) if steps else item.rank
        assert start == place[item.item_id]
        assert (int(steps[-1][1]) if steps else start) == item.rank
        assert all(a[1] == b[0] for a, b in pairwise(steps))
    assert any(move.startswith("mmr: ") for item in after.items for move in item.moves)
    assert any(move.startswith("calibration: ") for item in after.items for move in item.moves)
    assert json.loads(json.dumps(after.to_json()))["items"][1]["moves"] == list(after.items[1].moves)


def test_a_reason_names_what_lifted_the_item(varied) -> None:
    answer = varied.recommend(user="u3", k=10, explain=True)
    lifted = [item for item in answer.items if any("→" in m and up(m) for m in item.moves)]
    assert lifted
    assert all(" Moved up from " in item.reason for item in lifted)
    assert not any(" Moved up " in item.reason for item in answer.items if item not in lifted)
    chinese = varied.recommend(user="u3", k=10, explain=True, language="zh")
    assert any("位上移：" in item.reason for item in chinese.items)
    assert varied.recommend(user="u3", k=3).items[0].reason == ""


def up(move: str) -> bool:
    before, after = move.split(",", maxsplit=1)[0].split(": ")[1].split(" → ")
    return int(after) < int(before)


def test_without_rerankers_and_at_strength_0_the_lists_are_those_of_scores(plain) -> None:
    names = {"mmr": {}, "dpp": {}, "calibration": {}, "popularity": {}, "exposure": {}, "worst_group": {}}
    still = {name: {**table, "strength": 0.0} for name, table in names.items()}
    model = Recommender(lexical(**still, flagged={**ADULT, "strength": 0.0})).fit(planted(), RUN)
    for user in ("u0", "u7", "nobody"):
        one, other = (m.recommend(user=user, k=30) for m in (plain, model))
        assert one.items == other.items
        assert all(item.moves == () for item in other.items)


def test_one_place_makes_all_lists(varied) -> None:
    users = [f"u{n}" for n in range(6)]
    items, scores = varied.recommend_users(users, k=7, run=RUN)
    for row, user in enumerate(users):
        answer = varied.recommend(user=user, k=7)
        assert [varied.fitted.dataset.items[int(i)] for i in items[row]] == ids(answer)
        assert np.allclose(scores[row], [item.score for item in answer.items])


def test_a_short_list_is_the_beginning_of_a_long_one(varied) -> None:
    long = ids(varied.recommend(user="u5", k=20))
    assert all(ids(varied.recommend(user="u5", k=k)) == long[:k] for k in (1, 4, 12))


def test_as_many_come_back_as_are_eligible(varied) -> None:
    few = [f"i{n}" for n in range(20, 30)]
    taken = set(varied.fitted.dataset.items.ids(varied.fitted.dataset.queries(np.array([5])).items))
    answer = varied.recommend(user="u5", k=10, candidates=few)
    assert sorted(ids(answer)) == sorted(set(few) - taken)
    kitchen = varied.recommend(user="u5", k=50, filters={"categories": "kitchen"})
    assert len(kitchen.items) == 20 - sum(int(i[1:]) % 4 == 2 for i in taken)


def test_a_probability_is_asked_of_all_that_is_eligible(plain, varied) -> None:
    bar = plain.recommend(user="u5", k=6).items[-1].probability
    wanted = {item.item_id for item in plain.recommend(user="u5", k=80).items if item.probability >= bar}
    found = varied.recommend(user="u5", min_probability=bar)
    assert {item.item_id for item in found.items} == wanted
    assert len(varied.recommend(user="u5", k=3, min_probability=bar).items) == 3


def test_flagged_items_never_reach_a_protected_audience() -> None:
    table = {**ADULT, "strength": 0.0, "protected": {"age": {"<": 18}, "profile": ["child"]}}
    model = Recommender(lexical(flagged=table, mmr={})).fit(planted(), RUN)
    flag = model.fitted.chain.rerankers["flagged"]._flag
    items, _ = model.recommend_users([f"u{n}" for n in range(30)], k=66, run=RUN)
    for user in range(30):
        shown = items[user][items[user] >= 0]
        eligible = 68 - int((~flag[model.fitted.dataset.queries(np.array([user])).items]).sum())
        if user < 6:  # 12 to 17 years
            assert not flag[shown].any()
            assert shown.size == min(66, eligible)
        else:
            assert flag[shown].any()
    child = model.recommend(history=["i4", "i8"], k=80, context={"profile": "child"})
    assert not any("unknown key" in warning for warning in child.warnings)
    assert len(child.items) == (~flag).sum() - 2
    assert {item.item_id for item in child.items}.isdisjoint(f"i{n}" for n in np.flatnonzero(flag))
    assert len(model.recommend(history=["i4", "i8"], k=80).items) == 78
    young, old = (set(ids(model.search("detective galaxy bread rose", k=80, user=u))) for u in ("u0", "u20"))
    assert old - young
    assert young.isdisjoint(f"i{n}" for n in np.flatnonzero(flag))


def test_nor_in_a_question_or_an_explanation() -> None:
    table = {**ADULT, "protected": {"age": {"<": 18}, "profile": ["child"]}}
    model = Recommender(lexical(flagged=table)).fit(planted(), RUN)
    flag = model.fitted.chain.rerankers["flagged"]._flag
    flagged = {f"i{n}" for n in np.flatnonzero(flag)}
    asked = {one.item_id for one in model.ask(["i4"], k=80).items}
    spared = {one.item_id for one in model.ask(["i4"], k=80, context={"profile": "child"}).items}
    assert asked & flagged
    assert spared == asked - flagged
    named, other = sorted(flagged)[0], model.recommend(user="u0", k=1).items[0].item_id
    assert model.explain(named, user="u20").item_id == named
    for who in ({"user": "u0"}, {"history": ["i4"], "context": {"profile": "child"}}):
        with pytest.raises(
            RequestError, match=f"explain: item '{named}' is flagged, and kept from whoever asks"
        ):
            model.explain(named, **who)
    assert model.explain(other, user="u0").rank == 1  # the place among what this person may be shown


def test_whom_nothing_is_known_of_may_be_protected() -> None:
    for unknown in (False, True):
        table = {**ADULT, "protected": {"age": {"<": 18}}, "protect_unknown": unknown}
        model = Recommender(lexical(flagged=table)).fit(planted(), RUN)
        assert len(model.recommend(history=["i4"], k=80).items) == (79 - 12 if unknown else 79)


def test_update_and_forget_reach_the_rerankers() -> None:
    model = Recommender(lexical(popularity={}, exposure={"column": "brand"})).fit(planted(), RUN)
    counts = model.fitted.chain.rerankers["popularity"]._counts.copy()
    model.update(
        interactions=[{"user_id": "u1", "item_id": "new", "timestamp": 1.7e9}],
        items=[{"item_id": "new", "title": "murder galaxy", "brand": "brand 9"}],
        run=RUN,
    )
    after = model.fitted.chain.rerankers
    assert after["popularity"]._counts.tolist() == [*counts, 1]
    assert "brand 9" in after["exposure"]._names
    model.forget("u1", RUN, defer=True)
    assert model.fitted.chain.rerankers["popularity"]._counts.sum() == counts.sum() - 12


def test_the_model_folder_keeps_them(varied, tmp_path) -> None:
    learnt = Recommender(lexical(calibration={}, worst_group={}, flagged=ADULT)).fit(planted(), RUN)
    for number, model in enumerate((varied, learnt)):
        model.save(tmp_path / str(number))
        again = load(tmp_path / str(number))
        for user in ("u0", "u9"):
            assert again.recommend(user=user, explain=True) == model.recommend(user=user, explain=True)
        assert again.info()["rerank"] == model.info()["rerank"]
    assert varied.info()["rerank"]["mmr"] == {"reranker": "mmr", "strength": 0.5, "space": "text"}


def test_a_folder_from_before_there_were_rerankers_loads(plain, tmp_path) -> None:
    plain.save(tmp_path / "old")
    head = json.loads((tmp_path / "old" / "model.json").read_text())
    del head["config"]["rerank"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(head))
    again = load(tmp_path / "old")
    assert not again.fitted.chain
    assert again.recommend(user="u0") == plain.recommend(user="u0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rerank.mrr]", r"\[rerank.mrr\]: unknown reranker 'mrr'; did you mean 'mmr'"),
        ("[rerank]\nmmr = 0.3", r"\[rerank\] mmr = 0.3: write a table, \[rerank.mmr\]"),
        ("[rerank]\ndept = 50", r"\[rerank\] dept: unknown reranker 'dept'"),
        ("[rerank]\ndepth = 0", "greater than or equal to 1"),
        ("[rerank.mmr]\nstrength = 2.0", "less than or equal to 1"),
        ('[rerank]\norder = ["mmr", "dpp"]\n[rerank.mmr]', "name each table of .rerank. once"),
        ("[rerank.mmr]\nspace = 'texts'", "did you mean 'text'"),
    ],
)
def test_bad_tables_are_named(text, said, tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_config(path)


def test_the_order_is_declared_and_names_are_free(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[rerank]\norder = ["brands", "mmr"]\ndepth = 50\n[rerank.mmr]\n'
        '[rerank.brands]\nreranker = "exposure"\ncolumn = "brand"\n'
    )
    config = load_config(path)
    assert list(config.rerank.chain().rerankers) == ["brands", "mmr"]
    assert config.rerank.chain().depth == 50
    again = RecommenderConfig.parse(json.loads(config.model_dump_json()), "test")
    assert again.rerank.chain().rerankers["brands"].config.column == "brand"
