"""Rolling replay: what is known when, what an update loses, pooled figures, and going on after a stop."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits.windows import windows
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError, DataError, RequestError
from fuserec.evaluation.replay import Replay, replay
from fuserec.evaluation.results import EvaluationResults
from fuserec.fusion.config import FusionConfig
from fuserec.run import CancelledError, RunOptions
from fuserec.testing import dataset_of, small_dataset

WORDS = FeatureConfig(use_sentence="never")
WAYS = ("update", "refit", "nothing")


def config(*parts: str) -> RecommenderConfig:
    return RecommenderConfig(
        features=WORDS, fusion=FusionConfig(tune=False), parts={name: {} for name in parts}
    )


def drifting(n_users: int = 60, n_items: int = 40) -> Dataset:
    """What is popular changes with time: each person takes five of the ten items of their day, who come one a day."""
    rng = np.random.default_rng(0)
    fashion = lambda day: (day // 15) * 10 + np.arange(10)  # noqa: E731 - four fashions of ten items
    picks = [rng.choice(fashion(user), 5, replace=False).tolist() for user in range(n_users)]
    return dataset_of(
        picks, n_items, days=[[user + 0.1 * step for step in range(5)] for user in range(n_users)]
    )


def figures(results: EvaluationResults) -> dict[str, object]:
    return {
        "metrics": {name: model.metrics for name, model in results.models.items()},
        "comparisons": results.comparisons,
        "rounds": [(one.name, one.models, one.train) for one in results.rounds],
        "notes": results.notes,
    }


@pytest.fixture(scope="module")
def drift() -> EvaluationResults:
    lately = config("popularity").model_copy(update={"parts": {"popularity": {"half_life_days": 4.0}}})
    return replay(drifting(), lately, plan=Replay(5, 0.6, WAYS), ks=(10,), run=RunOptions(threads=1))


def test_an_update_that_counts_equals_a_refit_and_doing_nothing_loses(drift: EvaluationResults) -> None:
    """Popularity is updated exactly, and its scores are all there is: the lists are the same."""
    for one in drift.rounds:
        assert one.models["update"] == one.models["refit"]
    assert drift.rounds[0].models["nothing"] == drift.rounds[0].models["update"]  # before anything came
    update, nothing = (drift.models[name].metrics["recall@10"].value or 0 for name in ("update", "nothing"))
    assert update > 1.5 * nothing
    lost = drift.comparisons[0]
    assert lost.reference == "update"
    assert (lost.models["nothing"].high or 0) < 0
    assert lost.models["refit"].difference == 0


def test_windows_know_more_and_more(drift: EvaluationResults) -> None:
    data = drifting()
    spans = windows(data, 5, 0.6)
    assert [one.train for one in drift.rounds] == [
        int((data.interactions.time < span.start).sum()) for span in spans
    ]
    assert drift.split["kind"] == "replay"
    assert drift.split["windows"] == 5
    assert drift.split["test"] == sum(one.targets for one in drift.rounds)
    assert any("update fits once" in note for note in drift.notes)
    assert not any("Leak" in note for note in drift.notes)
    assert all(one.seconds["refit"] is not None for one in drift.rounds)


def test_one_window_is_worked_by_hand() -> None:
    days = [[0, 1], [0.5, 1.5, 9], [2, 9.5], [9.7]]
    data = dataset_of([[0, 1], [0, 1, 2], [1, 0], [1]], 4, days=days)
    # Known: item 0 twice, item 1 three times. From day 9 on user 1 takes 2 (unknown: in no list), user 2 takes 0 (of 0,
    # 2 and 3 the first), user 3, who is new, takes 1 (first of all).
    results = replay(
        data, config("popularity"), plan=Replay(1, 0.25, ("refit",)), ks=(1,), run=RunOptions(threads=1)
    )
    assert results.models["refit"].metrics["recall@1"].value == pytest.approx(2 / 3)
    assert results.rounds[0].users == 3
    assert results.rounds[0].train == 5


def test_people_of_several_windows_count_once(drift: EvaluationResults) -> None:
    results = replay(
        small_dataset(),
        config("popularity", "item_knn"),
        plan=Replay(3, 0.5),
        ks=(5,),
        run=RunOptions(threads=1),
    )
    asked = sum(one.users for one in results.rounds)
    assert results.models["update"].users < asked
    assert results.split["test_users"] == asked
    estimate = results.models["update"].metrics["ndcg@5"]
    assert (estimate.low or 0) < (estimate.value or 0) < (estimate.high or 0)


@pytest.mark.parametrize("ways", [("update",), ("refit", "update")])
def test_a_stopped_replay_goes_on_as_if_it_had_not_stopped(tmp_path, ways) -> None:
    data, plan, seen = drifting(), Replay(4, 0.5, ways), []
    whole = replay(data, config("popularity", "item_knn"), plan=plan, ks=(5,), run=RunOptions(threads=1))

    def watching(stop: bool) -> RunOptions:
        return RunOptions(
            threads=1,
            checkpoints=tmp_path,
            progress=lambda label, done, total: seen.append(label),
            cancel=lambda: stop and any(label.startswith("window 3/4: scoring") for label in seen),
        )

    with pytest.raises(CancelledError):
        replay(data, config("popularity", "item_knn"), plan=plan, ks=(5,), run=watching(True))
    assert len(list(tmp_path.iterdir())) == 2
    seen.clear()
    again = replay(data, config("popularity", "item_knn"), plan=plan, ks=(5,), run=watching(False))
    assert not any(label.startswith("window 1/4") for label in seen)
    assert figures(again) == figures(whole)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"windows": 0}, RequestError, "0 windows: name 1 to 1000"),
        ({"share": 1.0}, RequestError, "share 1: has to lie between 0 and 1"),
        ({"between": ("udpate",)}, ConfigError, "did you mean 'update'"),
        ({"between": ()}, ConfigError, "name each of refit, update, nothing at most once"),
        ({"between": ("update", "update")}, ConfigError, "at most once"),
        ({"targets": "some"}, ConfigError, "name all or next"),
    ],
)
def test_a_plan_that_cannot_be(values, error, said) -> None:
    with pytest.raises(error, match=said):
        Replay(**values)


def test_rows_without_a_time_cannot_be_replayed() -> None:
    data = dataset_of([[0, 1, 2]] * 3, days=[[float("nan")] * 3] * 3)
    with pytest.raises(DataError, match="a replay needs a time for every interaction"):
        replay(data, config("popularity"), plan=Replay(2), run=RunOptions())


def test_a_window_of_repeats_has_nobody_to_ask() -> None:
    days = [[0, 1, 2, 3, 4, 5]] * 3
    data = dataset_of([[0, 1, 0, 1, 0, 1]] * 3, days=days)
    with pytest.raises(DataError, match="nobody takes anything new"):
        replay(data, config("popularity"), plan=Replay(1, 0.3), run=RunOptions())
