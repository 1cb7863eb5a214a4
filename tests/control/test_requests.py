"""Dials in a request: call over user over operator, kept and forgotten, told and explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from control_records import CONFIG

from fuserec import Dataset, Recommender, RecommenderConfig, RunOptions
from fuserec.control.controls import Controls
from fuserec.errors import ConfigError, RequestError

JAZZ = {f"r{i}" for i in range(0, 60, 3)}
"""Ids of the records of jazz."""


def ids(model: Recommender, **asked: object) -> list[str]:
    return [item.item_id for item in model.recommend(**asked).items]  # type: ignore[arg-type]


def with_control(control: dict[str, object], records: Dataset) -> Recommender:
    return Recommender(RecommenderConfig.parse({**CONFIG, "control": control}, "test")).fit(records)


def test_dials_at_zero_give_the_same_answer_bit_for_bit(fitted: Recommender) -> None:
    plain = fitted.recommend(user="u3", explain=True)
    nothing = Controls(more={"Jazz": 0}, less={"Rock": 0}, diversity=0, novelty=0, freshness=0, new_share=0)
    for controls in (nothing, {}, Controls(), {"depth": 30}):
        assert fitted.recommend(user="u3", explain=True, controls=controls) == plain
    assert "controls" not in plain.query


def test_more_less_and_never(fitted: Recommender) -> None:
    plain = ids(fitted, user="u1")
    more = ids(fitted, user="u1", controls={"more": {"categories: Jazz": 0.9}})
    assert len(JAZZ & set(more)) > len(JAZZ & set(plain))
    less = ids(fitted, user="u0", controls=Controls(less={"jazz": 1.0}))
    assert len(JAZZ & set(less)) < len(JAZZ & set(ids(fitted, user="u0")))
    never = ["brand: label 1", "year<1965", plain[0], "Folk"]
    left = ids(fitted, user="u1", controls={"never": never}, k=60)
    numbers = [int(one[1:]) for one in left]
    assert plain[0] not in left
    assert not any(n % 5 == 1 or n < 5 or n % 3 == 2 for n in numbers)
    assert len(left) > 10


def test_words_are_a_topic_too(fitted: Recommender) -> None:
    answer = fitted.recommend(user="u1", controls={"more": {"something like jazz": 0.9}}, explain=True)
    assert len(JAZZ & {item.item_id for item in answer.items}) > 5
    assert answer.query["controls"] == {"more": {"something like jazz": 0.9}}


def test_moves_and_reasons_say_what_dials_did(fitted: Recommender) -> None:
    for language, said in (
        ("en", "more of “categories: Jazz” is wanted"),
        ("zh", "希望多看“categories: Jazz”"),
    ):
        answer = fitted.recommend(
            user="u1", controls={"more": {"categories: Jazz": 0.9}}, explain=True, language=language
        )
        lifted = [item for item in answer.items if any(said in move for move in item.moves)]
        assert lifted
        assert all(item.item_id in JAZZ and said in item.reason for item in lifted)
        scores = {i.item_id: i.score for i in fitted.recommend(user="u1", k=60).items}
        assert all(item.score == scores[item.item_id] for item in answer.items)
        place = {i.item_id: i.rank for i in fitted.recommend(user="u1", k=60).items}
        for item in lifted:
            (move,) = item.moves
            assert move.startswith(f"control: {place[item.item_id]} → {item.rank},")


def test_a_user_keeps_dials_until_forgotten(records: Dataset, tmp_path: Path) -> None:
    model = Recommender(RecommenderConfig.parse(CONFIG, "test")).fit(records)
    plain, other = ids(model, user="u1"), ids(model, user="u2")
    wanted = Controls(more={"Jazz": 0.9}, never=["r0"])
    model.set_controls("u1", wanted).set_controls("somebody new", Controls(never=["Rock"]))
    dialled = ids(model, user="u1")
    assert dialled != plain
    assert ids(model, user="u2") == other
    assert not {f"r{i}" for i in range(1, 60, 3)} & set(ids(model, user="somebody new"))
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.controls("u1") == wanted
    assert ids(loaded, user="u1") == dialled
    items, _ = loaded.recommend_users(["u0", "u1", "u2"])
    assert [records.items[i] for i in items[1]] == dialled
    assert [records.items[i] for i in items[2]] == other
    assert (
        ids(loaded, user="u1", controls={"more": {"Jazz": 0}, "never": []})
        == [i for i in plain if i != "r0"][:10]
    )
    loaded.save(tmp_path / "public", histories=False)
    assert Recommender.load(tmp_path / "public").fitted.kept == {}
    loaded.forget("somebody new")
    assert set(loaded.fitted.kept) == {"u1"}
    loaded.update(interactions=[{"user_id": "u2", "item_id": "r5", "timestamp": 1_800_000_000}])
    assert loaded.controls("u1") == wanted
    loaded.set_controls("u2", wanted).forget("u1")
    assert set(loaded.fitted.kept) == {"u2"}
    loaded.save(tmp_path / "model")
    assert "u1" not in Recommender.load(tmp_path / "model").fitted.kept
    assert not any(b'"u1"' in file.read_bytes() for file in (tmp_path / "model").glob("controls-*"))
    loaded.set_controls("u2", None)
    assert loaded.controls("u2") == Controls()
    with pytest.raises(RequestError, match="not known"):
        loaded.forget("somebody new")


def test_the_call_goes_before_the_user_and_the_user_before_the_operator(records: Dataset) -> None:
    model = with_control({"novelty": 0.8, "never": ["Folk"], "more": {"jazz": 0.5}}, records)
    model.set_controls("u1", {"novelty": 0.2, "less": {"Jazz": 0.3}, "never": ["r4"]})
    answer = model.recommend(user="u1", controls={"novelty": 0.0, "diversity": 0.4})
    assert answer.query["controls"] == {"less": {"Jazz": 0.3}, "never": ["Folk", "r4"], "diversity": 0.4}
    assert model.recommend(user="u2").query["controls"]["novelty"] == 0.8
    assert model.info()["control"]["novelty"] == 0.8
    assert model.info()["users_with_controls"] == 1


def test_operators_dials_act_on_all_ways_to_ask(records: Dataset) -> None:
    plain, rare = with_control({}, records), with_control({"novelty": 0.9, "depth": 30}, records)
    bits = rare.fitted.catalogue.rarity
    items, _ = rare.recommend_users(["u0", "u1"], k=10)
    before, _ = plain.recommend_users(["u0", "u1"], k=10)
    assert bits[items].mean() > bits[before].mean() + 0.05
    assert [records.items[i] for i in items[1]] == ids(rare, user="u1")


def test_what_was_shown_in_stored_impressions_and_in_the_call(fitted: Recommender) -> None:
    asked = {"user": "u1", "at": 1_700_100_000.0, "k": 60}
    assert {"r50", "r51"} <= set(ids(fitted, **asked))
    capped = ids(fitted, **asked, controls={"max_shown": 2})
    assert "r50" not in capped
    assert "r51" in capped
    assert "r51" not in ids(fitted, **asked, controls={"max_shown": 2}, shown=[("r51", 1_700_090_000.0)])
    assert "r50" in ids(fitted, user="u2", k=60, controls={"max_shown": 2})
    top = ids(fitted, user="u2", k=5)
    tired = ids(fitted, user="u2", k=5, controls={"fatigue": 0.9}, shown=[*top[:2], "nothing like it"])
    assert tired[:3] != top[:3]
    answer = fitted.recommend(user="u2", controls={"fatigue": 0.9}, shown=["nothing like it"])
    assert any("1 unknown item of what was shown left out" in warning for warning in answer.warnings)


def test_new_items_get_their_share(fitted: Recommender, records: Dataset) -> None:
    new = {f"r{i}" for i in range(60) if records.item_counts[records.items.index(f"r{i}")] == 0}
    for share, least in ((0.2, 2), (0.5, 5)):
        found = fitted.recommend(user="u1", controls={"new_share": share, "new_interactions": 0})
        assert len(new & {item.item_id for item in found.items}) >= least
    told = [move for item in found.items for move in item.moves]
    assert any("a place kept for new items" in move for move in told)
    assert not {"r57", "r58", "r59"} & set(ids(fitted, at=1_577_000_000.0))  # towards the end of 2019
    recent = ids(
        fitted, at=1_577_000_000.0, controls={"new_share": 0.3, "new_days": 1100, "time_column": "year"}
    )
    assert len({"r57", "r58", "r59"} & set(recent)) == 3


def test_lists_stay_full_and_without_repeats(fitted: Recommender) -> None:
    wild = {"more": {"Jazz": 1}, "diversity": 1, "novelty": 1, "new_share": 1, "freshness": 1}
    for k in (1, 5, 45):
        found = ids(fitted, user="u1", k=k, controls=wild)
        assert len(found) == len(set(found)) == k
    asked = ids(fitted, user="u1", k=3, controls=wild, filters={"categories": "Rock"}, exclude=["r1"])
    assert len(asked) == 3
    assert all(int(one[1:]) % 3 == 1 and one != "r1" for one in asked)
    cold = ids(fitted, controls=wild)
    assert len(cold) == 10


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ({"divrsity": 0.5}, "did you mean 'diversity'?"),
        ({"diversity": 1.5}, "diversity = 1.5"),
        ({"novelty": float("nan")}, "novelty = nan"),
        ({"more": {"Jazz": -0.1}}, "more.Jazz = -0.1"),
        ({"more": {"  ": 0.1}}, "without a letter"),
        ({"more": {f"t{i}": 0.1 for i in range(101)}}, "at most 100"),
        ({"more": {"categories: Jaz": 0.5}}, "did you mean 'Jazz'?"),
        ({"more": {"year: x": 0.5}}, "is not a number"),
        ({"never": ["Jaz"]}, "no item, category, tag or brand is called so; did you mean 'Jazz'?"),
        ({"freshness": 0.5, "time_column": "yaer"}, "did you mean 'year'?"),
        ({"freshness": 0.5, "time_column": "title"}, "need times"),
        ({"max_shown": 0}, "max_shown = 0"),
        ({"depth": 1}, "depth = 1"),
    ],
)
def test_what_is_refused(fitted: Recommender, controls: dict[str, object], said: str) -> None:
    for ask in (
        lambda: fitted.recommend(user="u1", controls=controls),
        lambda: fitted.set_controls("u1", controls),
    ):
        with pytest.raises((ConfigError, RequestError)) as error:
            ask()
        assert said in str(error.value)
        assert "\n" not in str(error.value)
    assert fitted.fitted.kept == {}


@pytest.mark.parametrize("shown", ["r1", [("r1", "now")], [("r1", 1.0, 2.0)], [7], [("r1", 1.7e12)]])
def test_showings_that_are_none(fitted: Recommender, shown: object) -> None:
    with pytest.raises(RequestError, match="shown: "):
        fitted.recommend(user="u1", shown=shown)  # type: ignore[arg-type]


def test_dates_and_years_are_read(records: Dataset, run: RunOptions) -> None:
    import polars as pl

    from fuserec.control.items import seconds_of

    assert seconds_of(pl.Series(["2020-01-02", None, "soon"]))[0] == 1_577_923_200
    assert np.isnan(seconds_of(pl.Series(["2020-01-02", None, "soon"]))[1:]).all()
    assert seconds_of(pl.Series([1_700_000_000, None]))[0] == 1_700_000_000
    assert abs(seconds_of(pl.Series([2020]))[0] - 1_577_836_800) < 2 * 86_400
    assert seconds_of(pl.Series(["2020", "2021"]))[1] > seconds_of(pl.Series(["2020", "2021"]))[0]
