"""Shift test: what distance costs in time and across categories, on planted data where the answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits.categories import category_column, largest, members, newcomers, without_items
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import DataError, RequestError
from fuserec.evaluation import wording
from fuserec.evaluation.series_report import series_html
from fuserec.evaluation.series_wording import series_summary
from fuserec.evaluation.shift import AWAY, FRESH, KNOWN, STALE, ShiftPlan, shift
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.testing import dataset_of

RUN = RunOptions(threads=1)


def config(*parts: str) -> RecommenderConfig:
    return RecommenderConfig(
        features=FeatureConfig(use_sentence="never"),
        fusion=FusionConfig(tune=False),
        parts={name: {} for name in parts},
    )


def drifting(n_users: int = 80) -> Dataset:
    """What is popular changes every 20 days: each person takes five of the ten items of their day's fashion."""
    rng = np.random.default_rng(0)
    picks = [
        rng.choice((user // 20) * 10 + np.arange(10), 5, replace=False).tolist() for user in range(n_users)
    ]
    days = [[user + 0.1 * step for step in range(5)] for user in range(n_users)]
    return dataset_of(picks, 40, days=days)


def crossing(n_users: int = 120, *, told: bool = True) -> Dataset:
    """Three tastes, each with books and films; people take four books of their taste, then four films of it.

    A title tells the taste where it is told.
    """
    rng = np.random.default_rng(1)
    picks = []
    for user in range(n_users):
        taste = user % 3
        books, films = taste * 8 + np.arange(8), 24 + taste * 8 + np.arange(8)
        first, then = (rng.choice(pool, 4, replace=False).tolist() for pool in (books, films))
        picks.append(first + then)
    titles = [f"flavour{item % 24 // 8} work" if told else "work" for item in range(48)]
    data = dataset_of(picks, 48, titles=titles)
    kinds = [["book"]] * 24 + [["film"]] * 24
    return replace(data, item_table=data.item_table.with_columns(pl.Series("categories", kinds)))


def test_staleness_costs_more_the_farther_the_window() -> None:
    own = config("popularity").model_copy(update={"parts": {"popularity": {"half_life_days": 4.0}}})
    found = shift(drifting(), own, plan=ShiftPlan("time", windows=4, share=0.6), run=RUN)
    assert found.kind == "shift-time"
    assert found.models == (STALE, FRESH)
    gaps = [point.difference for point in found.points]
    assert gaps[0] is not None
    assert gaps[0].difference == 0  # before anything came the two are one model
    assert gaps[-1] is not None
    assert wording.clear(gaps[-1])
    assert (gaps[-1].high or 0) < 0
    assert found.overall is not None
    assert (found.overall.high or 0) < 0
    days = [point.at or 0 for point in found.points]
    assert days == sorted(days)
    assert days[0] > 0
    assert len({point.train[STALE] for point in found.points}) == 1
    fresh = [point.train[FRESH] for point in found.points]
    assert fresh == sorted(fresh)
    assert fresh[0] == found.points[0].train[STALE] < fresh[-1]


def test_a_category_that_was_never_seen_is_not_found_by_behaviour_alone() -> None:
    found = shift(
        crossing(told=False),
        config("item_knn"),
        plan=ShiftPlan("categories", share=0.3, only=("film",)),
        run=RUN,
    )
    (point,) = found.points
    assert point.value(AWAY, "recall@10") == 0
    assert (point.value(KNOWN, "recall@10") or 0) > 0.3
    assert point.difference is not None
    assert (point.difference.high or 0) < -0.1
    assert wording.clear(point.difference)
    assert point.train[AWAY] < point.train[KNOWN]
    assert "keeps 0 % of the accuracy" in " ".join(series_summary(found))


def test_text_carries_over_to_a_category_that_was_never_seen() -> None:
    """Columns in which the category is named would drown the taste: titles alone are read."""
    plan = ShiftPlan("categories", share=0.3, only=("film",))
    titles = FeatureConfig.parse({"use_sentence": "never", "text": {"columns": ["title"]}}, "test")
    own = config("item_knn", "content").model_copy(update={"features": titles})
    with_text = shift(crossing(), own, plan=plan, run=RUN).points[0]
    told = with_text.value(AWAY, "recall@10") or 0
    silent = shift(crossing(told=False), own, plan=plan, run=RUN).points[0].value(AWAY, "recall@10") or 0
    assert told > silent + 0.05


def test_newcomers_never_touched_the_category_and_nothing_of_it_is_given() -> None:
    data = crossing()
    items = members(data, "categories")["film"]
    held = newcomers(data, items, 0.25, np.random.default_rng(0))
    assert len(held) == 30
    assert not np.isin(held.queries.items, items).any()
    assert np.isin(held.items, items).all()
    assert np.diff(held.indptr).tolist() == [4] * 30
    mine = np.isin(held.train.interactions.user, held.queries.users)
    assert not np.isin(held.train.interactions.item[mine], items).any()
    assert np.isin(held.train.interactions.item[~mine], items).any()  # others' films are learnt from
    away = without_items(held, items)
    assert not np.isin(away.train.interactions.item, items).any()
    assert away.queries is held.queries


def test_what_comes_after_the_first_step_into_a_category_is_hidden() -> None:
    data = dataset_of([[0, 1, 4, 2], [0, 2, 5, 3], [4, 0, 1, 2]], 6)
    held = newcomers(data, np.array([4, 5]), 1.0, np.random.default_rng(0))
    assert held.queries.users.tolist() == [0, 1]  # the third began with the category
    assert held.queries.items.tolist() == [0, 1, 0, 2]
    assert held.items.tolist() == [4, 5]
    assert sorted(held.hidden.tolist()) == [2, 3, 6, 7]


def test_the_largest_categories_are_taken_but_none_that_is_most_of_the_data() -> None:
    data = dataset_of([[0, 1, 2], [0, 1, 3], [0, 1, 3]], 5)
    kinds = [["all", "a"], ["all", "b"], ["all"], ["c"], []]
    data = replace(data, item_table=data.item_table.with_columns(pl.Series("tags", kinds)))
    assert category_column(data, None) == "tags"
    of = members(data, "tags")
    assert of["all"].tolist() == [0, 1, 2]
    assert largest(data, of, 2) == ["a", "b"]
    by_title = members(data, category_column(data, "title"))
    assert by_title["item 3"].tolist() == [3]


@pytest.mark.parametrize(
    "text",
    ["", "tme", "time:", "time:x", "time:1", "categories:", "categories:a=", "categories:=x", "time:4000"],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="shift: "):
        ShiftPlan.parse(text)


def test_plans_are_read() -> None:
    assert ShiftPlan.parse("time:6", 0.3) == ShiftPlan("time", windows=6, share=0.3)
    assert ShiftPlan.parse("categories:genre=a, b") == ShiftPlan(
        "categories", column="genre", only=("a", "b")
    )
    with pytest.raises(RequestError, match="share 1"):
        ShiftPlan("time", share=1.0)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (ShiftPlan("categories", column="genre"), "the items have no column 'genre'"),
        (ShiftPlan("categories", only=("flim",)), "no item has 'flim' in categories"),
        (
            ShiftPlan("categories", only=("book",)),
            "fewer than two people come to the category from elsewhere",
        ),
    ],
)
def test_what_the_data_do_not_have_is_refused(plan: ShiftPlan, said: str) -> None:
    with pytest.raises(DataError) as caught:
        shift(crossing(), config("popularity"), plan=plan, run=RUN)
    assert said in str(caught.value)


def test_data_without_categories_or_times_are_refused() -> None:
    data = drifting()
    with pytest.raises(DataError, match="neither categories nor tags"):
        shift(data, config("popularity"), plan=ShiftPlan("categories"), run=RUN)
    timeless = replace(
        data, interactions=replace(data.interactions, time=np.full(data.n_interactions, np.nan))
    )
    with pytest.raises(DataError, match="needs a time"):
        shift(timeless, config("popularity"), plan=ShiftPlan("time"), run=RUN)


def test_points_that_are_done_are_taken_up_and_drawn(tmp_path: Path) -> None:
    plan = ShiftPlan("categories", share=0.3, only=("film",))
    kept = replace(RUN, checkpoints=tmp_path)
    first = shift(crossing(), config("item_knn", "popularity"), plan=plan, run=kept)
    labels: list[str] = []
    again = replace(kept, progress=lambda label, done, total: labels.append(label))
    second = shift(crossing(), config("item_knn", "popularity"), plan=plan, run=again)
    assert second == first
    assert set(labels) == {"shift test"}
    page = series_html(second)
    assert "film · category unknown" in page
    assert "跨类别偏移测试" in series_html(second, "zh")
