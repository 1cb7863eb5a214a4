"""Learning curve: nested shares, paired figures, planted data where the answer is known, going on after a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset, Searches
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.data.splits.shares import nested_share
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError, DataError, RequestError
from fuserec.evaluation import wording
from fuserec.evaluation.learning_curve import BARE, TEXT, learning_curve, parse_shares
from fuserec.evaluation.runner import evaluate
from fuserec.evaluation.series import LearningCurve, Series, read_series, write_series
from fuserec.evaluation.series_report import series_html
from fuserec.evaluation.series_wording import series_summary
from fuserec.evaluation.textless import resolved, textless, textless_data
from fuserec.fusion.config import FusionConfig
from fuserec.run import CancelledError, RunOptions
from fuserec.testing import dataset_of, small_dataset

RUN = RunOptions(threads=1)


def config(*parts: str) -> RecommenderConfig:
    return RecommenderConfig(
        features=FeatureConfig(use_sentence="never"),
        fusion=FusionConfig(tune=False),
        parts={name: {} for name in parts},
    )


def worlds(
    n_users: int = 160, topics: int = 8, size: int = 12, length: int = 8, *, planted: bool = True
) -> Dataset:
    """People who each take items of one topic, which the titles tell; or anything, where nothing is planted."""
    rng = np.random.default_rng(3)
    pool = lambda user: (user % topics) * size + np.arange(size) if planted else np.arange(topics * size)  # noqa: E731
    picks = [rng.choice(pool(user), length, replace=False).tolist() for user in range(n_users)]
    titles = [f"subject{item // size} volume" for item in range(topics * size)]
    return dataset_of(picks, topics * size, titles=titles)


@pytest.fixture(scope="module")
def planted() -> LearningCurve:
    return learning_curve(
        worlds(), config("item_knn", "content"), split=SplitConfig(), shares=(0.01, 0.1, 1.0), run=RUN
    )


def test_shares_are_nested_exact_and_hang_on_the_seed_alone() -> None:
    data = worlds()

    def rows(share: float, seed: int = 0) -> set[tuple[int, int]]:
        found = nested_share(data, share, seed).interactions
        return set(zip(found.user.tolist(), found.item.tolist(), strict=True))

    for share in (0.01, 0.05, 0.1, 0.5):
        assert len(rows(share)) == round(share * data.n_interactions)
    assert rows(0.01) < rows(0.05) < rows(0.1) < rows(0.5) < rows(1.0)
    assert rows(0.1) == rows(0.1)
    assert rows(0.1) != rows(0.1, 1)
    few = np.bincount(nested_share(data, 0.5, 0).interactions.user, minlength=data.n_users)
    assert few.min() < 4 < few.max()  # interactions are drawn, not users


def test_a_share_does_not_hang_on_the_order_of_ids() -> None:
    data = worlds(20)
    back = data.without_user(0)  # every later index moves up
    name = lambda d: {  # noqa: E731
        (d.users[int(u)], d.items[int(i)])
        for u, i in zip(d.interactions.user, d.interactions.item, strict=True)
    }
    kept, other = name(nested_share(data, 0.5, 0)), name(nested_share(back, 0.5, 0))
    mine = {pair for pair in kept if pair[0] != "u0"}
    assert len(mine ^ other) <= data.n_interactions * 0.06  # only how many are kept differs


def test_the_curve_rises_where_there_is_something_to_learn(planted: LearningCurve) -> None:
    first, _, last = planted.points
    bare = [point.value(BARE, "ndcg@10") or 0 for point in planted.points]
    assert bare[0] < bare[1] < bare[2]
    assert bare[2] > 2 * bare[0]
    assert wording.clear(last.steps[BARE])
    assert (last.steps[BARE].low or 0) > 0
    assert first.steps == {}


def test_text_helps_most_where_there_is_least_data(planted: LearningCurve) -> None:
    first, last = planted.points[0], planted.points[-1]
    assert first.difference is not None
    assert last.difference is not None
    assert wording.clear(first.difference)
    assert (first.difference.low or 0) > 0.1
    assert (first.difference.difference or 0) > (last.difference.difference or 0)
    assert first.difference.p_holm is not None
    assert first.difference.p_holm >= (first.difference.p or 0)
    said = series_summary(planted)
    assert said[0].startswith("Text at 1 % of the data, NDCG@10: better by")


def test_nothing_rises_on_noise() -> None:
    found = learning_curve(
        worlds(planted=False), config("item_knn", "content"), split=SplitConfig(), shares=(0.1, 1.0), run=RUN
    )
    last = found.points[-1]
    assert not any(wording.clear(gap) for gap in last.steps.values())
    assert last.difference is not None
    assert not wording.clear(last.difference)
    assert "More data may or may not help" in " ".join(series_summary(found))


def test_the_last_point_is_the_evaluation(planted: LearningCurve) -> None:
    whole = evaluate(worlds(), config("item_knn", "content"), split=SplitConfig(), ks=(10,), run=RUN)
    for metric in ("ndcg@10", "recall@10", "mrr@10"):
        assert planted.points[-1].models[TEXT][metric] == whole.models["fused"].metrics[metric]
    assert planted.points[-1].users == whole.models["fused"].users


def test_every_point_asks_the_same_with_whole_histories(planted: LearningCurve) -> None:
    held = split_data(worlds(), SplitConfig())
    assert {point.users for point in planted.points} == {len(held.test)}
    assert [point.train[TEXT] for point in planted.points] == [
        round(share * held.train.n_interactions) for share in (0.01, 0.1, 1.0)
    ]
    assert all(point.train[TEXT] == point.train[BARE] for point in planted.points)


def test_without_text_no_word_is_left() -> None:
    data = small_dataset()
    data = replace(data, searches=Searches(np.array([0], np.int32), np.array([0.0]), ("garden",)))
    own = config("item_knn", "content").model_copy(
        update={"features": FeatureConfig.parse({"text": {"columns": ["title"]}}, "test")}
    )
    bare = textless_data(data, own)
    assert not set(bare.item_table.columns) & {"title", "description", "categories", "tags", "brand"}
    assert bare.item_table.height == data.n_items
    assert not bare.searches.text
    assert textless(own).parts.keys() == {"item_knn"}
    assert textless(own).features.use_sentence == "never"
    wrapped = own.model_copy(
        update={
            "parts": {
                "popularity": {},
                "text": {"scorer": "content"},
                "twice": {"scorer": "content", "seeds": 2},
            }
        }
    )
    assert textless(wrapped).parts.keys() == {"popularity"}
    assert resolved(RecommenderConfig(), data).parts


def test_a_configuration_of_text_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="without text none of the parts is left"):
        learning_curve(worlds(20), config("content"), split=SplitConfig(), run=RUN)


def test_data_without_text_have_one_line() -> None:
    data = worlds(40)
    data = replace(data, item_table=data.item_table.with_columns(pl.lit("").alias("title")))
    found = learning_curve(data, config("item_knn"), split=SplitConfig(), shares=(0.5, 1), run=RUN)
    assert found.models == (BARE,)
    assert found.points[0].difference is None
    assert any("No item has any text" in note for note in found.notes)
    assert "without text" in series_html(found)


@pytest.mark.parametrize("text", ["", "0", "-5", "101", "5,5", "ten", "nan", "1;5", "inf"])
def test_nonsense_shares_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="name different percentages"):
        parse_shares(text)


def test_shares_are_taken_in_order() -> None:
    assert parse_shares("100, 1,12.5") == (0.01, 0.125, 1.0)


def test_folds_are_refused() -> None:
    with pytest.raises(RequestError, match="leave folds out"):
        learning_curve(worlds(20), split=SplitConfig(protocol="users", folds=3), run=RUN)


def test_a_share_that_cannot_be_learnt_from_is_left_out_and_named() -> None:
    """Few rows carry a rating, so that a small sample has none for a part that predicts ratings."""
    data = worlds(40)
    rating = np.full(data.n_interactions, np.nan, np.float32)
    rating[::60] = 4.0
    info = replace(data.info, rating_scale=(1.0, 5.0))
    data = replace(data, info=info, interactions=replace(data.interactions, rating=rating))
    found = learning_curve(data, config("item_knn", "svd"), split=SplitConfig(), shares=(0.01, 1), run=RUN)
    assert [point.name for point in found.points] == ["100 %"]
    assert any(note.startswith("1 %, with text: cannot be learnt from: ") for note in found.notes)
    with pytest.raises(DataError, match="no share of the data can be learnt from"):
        learning_curve(data, config("item_knn", "svd"), split=SplitConfig(), shares=(0.01,), run=RUN)


def test_a_stopped_curve_goes_on(tmp_path: Path) -> None:
    data, own, shares = worlds(40), config("item_knn", "content"), (0.2, 0.5, 1.0)
    whole = learning_curve(data, own, split=SplitConfig(), shares=shares, run=RUN)
    done: list[str] = []

    def stopping(label: str, at: int, total: int) -> None:
        done.append(label)
        if label == "learning curve" and at == 2:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        learning_curve(
            data,
            own,
            split=SplitConfig(),
            shares=shares,
            run=replace(RUN, checkpoints=tmp_path, progress=stopping),
        )
    done.clear()
    again = replace(RUN, checkpoints=tmp_path, progress=lambda label, at, total: done.append(label))
    resumed = learning_curve(data, own, split=SplitConfig(), shares=shares, run=again)
    assert resumed.model_dump(exclude={"points"}) == whole.model_dump(exclude={"points"})
    for one, other in zip(resumed.points, whole.points, strict=True):
        assert one.model_dump(exclude={"seconds"}) == other.model_dump(exclude={"seconds"})
    assert not any(label.startswith(("20 %", "50 %")) for label in done)
    assert any(label.startswith("100 %") for label in done)


def test_a_curve_is_kept_as_json_and_drawn_in_two_languages(planted: LearningCurve, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    write_series(planted, path)
    back = read_series(path)
    assert back.to_json() == planted.to_json()
    page = series_html(back)
    assert page.count("<polyline") == 2
    assert page.count('class="whisker"') == 6
    assert "<script" not in page
    chinese = series_html(back, "zh")
    assert "学习曲线" in chinese
    assert "有文本" in chinese
    assert "with text" not in chinese.partition('id="about"')[0].partition('id="curve"')[2]
    with pytest.raises(DataError, match="dataset: Field required"):
        Series.from_json('{"kind": "learning-curve"}')


def test_names_of_data_are_escaped(planted: LearningCurve) -> None:
    facts = planted.dataset.model_copy(update={"name": "<b>x</b>"})
    assert "<b>x</b>" not in series_html(planted.model_copy(update={"dataset": facts}))
