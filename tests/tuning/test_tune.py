"""Searching: never worse than the default, blind to the test part, resumable, and pruned."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fuserec import RecommenderConfig, RunOptions, load_config, tune
from fuserec.data.dataset import Dataset
from fuserec.data.splits import SplitConfig, hold_out, split
from fuserec.errors import ConfigError, DataError, MissingExtraError
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.scorers.cooccurrence import Cooccurrence
from fuserec.testing.planted import dataset_of
from fuserec.tuning import storage, verification
from fuserec.tuning.ground import Ground, looks
from fuserec.tuning.objective import Objective
from fuserec.tuning.result import TuneResult

optuna = pytest.importorskip("optuna", reason="the extra `tune` is not installed")


def trials(path: Path, part: str = "cooccurrence") -> list[tuple[str, str, dict, float | None]]:
    """Return (kind, state, changes, value) of the trials that count."""
    with storage.storage(path) as kept:
        study = optuna.load_study(study_name=part, storage=kept)
        return [
            (t.user_attrs["kind"], t.state.name, t.user_attrs["values"], t.value)
            for t in study.trials
            if t.state.name in ("COMPLETE", "PRUNED")
        ]


@pytest.fixture(scope="module")
def found(chained: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneResult, Path]:
    """Return one tuning, and its study."""
    from .conftest import PARTS

    config = RecommenderConfig.parse({"features": {"use_sentence": "never"}, "parts": PARTS}, "test")
    path = tmp_path_factory.mktemp("tuned") / "study.db"
    return tune(chained, config, trials=20, study=path, run=RunOptions(threads=1)), path


def test_a_bad_start_is_left_behind(found: tuple[TuneResult, Path], chained: Dataset) -> None:
    result, path = found
    part = result.parts["cooccurrence"]
    assert part.before is not None
    assert part.after is not None
    assert part.after > 1.2 * part.before
    assert result.fused is not None
    assert result.fused[1] >= result.fused[0]
    assert "popularity" not in result.parts  # nothing in it can be searched
    first, *_ = trials(path)
    assert first[:3] == ("default", "COMPLETE", {})
    assert first[3] == part.before
    # what is reported is what a fit by hand reaches
    held = split(chained, SplitConfig(), 0).validation
    run = RunOptions(threads=1)
    ground = Ground.prepare(
        chained, result.config.features, SplitConfig(), Objective.parse("ndcg@10"), 10_000, run
    )
    assert len(ground.held) == len(held)
    made = create("cooccurrence", result.config.parts["cooccurrence"])
    assert ground.value(ground.fit(made, run), run) == pytest.approx(part.after, abs=1e-6)


def test_trials_are_pruned_and_changes_without_gain_undone(found: tuple[TuneResult, Path]) -> None:
    result, path = found
    told = trials(path)
    assert sum(state == "PRUNED" for _, state, *_ in told) == result.parts["cooccurrence"].pruned > 0
    assert len([kind for kind, *_ in told if kind != "simpler"]) == 20
    assert any(kind == "simpler" for kind, *_ in told)
    best = max(value for _, state, _, value in told if state == "COMPLETE" and value is not None)
    assert result.parts["cooccurrence"].after == pytest.approx(best, abs=1e-6)
    complete = [values for _, state, values, value in told if state == "COMPLETE" and value == best]
    assert len(result.parts["cooccurrence"].changes) == min(map(len, complete))
    importance = result.parts["cooccurrence"].importance
    assert importance
    assert sum(importance.values()) == pytest.approx(1, abs=0.01)


def test_the_configuration_says_where_it_comes_from(found: tuple[TuneResult, Path], tmp_path: Path) -> None:
    result, path = found
    result.save(tmp_path / "tuned.toml")
    text = (tmp_path / "tuned.toml").read_text(encoding="utf-8")
    part = result.parts["cooccurrence"]
    for said in (str(path), f"{part.before:.4f} -> {part.after:.4f}", f"{part.trials} trials", "last-out"):
        assert any(said in line for line in text.splitlines() if line.startswith("#"))
    assert load_config(tmp_path / "tuned.toml") == result.config
    assert tomllib.loads(text)["features"] == {"use_sentence": "never"}
    assert list(tmp_path.iterdir()) == [tmp_path / "tuned.toml"]


def test_it_is_searched_again_alike(
    found: tuple[TuneResult, Path], chained: Dataset, config: RecommenderConfig, run: RunOptions
) -> None:
    again = tune(chained, config, trials=20, run=run)
    assert again.parts == found[0].parts
    assert again.config == found[0].config
    other = tune(chained, config, trials=3, run=run.with_seed(1), verified=False)
    assert other.parts["cooccurrence"].before != found[0].parts["cooccurrence"].before or (
        other.config != found[0].config
    )


@pytest.mark.parametrize("protocol", ["last-out", "temporal", "random"])
def test_the_test_part_is_never_touched(
    protocol: str, chained: Dataset, config: RecommenderConfig, run: RunOptions, tmp_path: Path
) -> None:
    """Other items in the test rows change no trial at all; other ones in the validation rows do."""
    protocol_of = SplitConfig.parse({"protocol": protocol}, "test")
    rng = np.random.default_rng(5)
    kept = hold_out(chained, protocol_of, 0, "test").train.interactions
    pairs = set(zip(kept.user.tolist(), kept.time.tolist(), strict=True))
    rows = chained.interactions
    in_test = np.array(
        [pair not in pairs for pair in zip(rows.user.tolist(), rows.time.tolist(), strict=True)]
    )
    assert 0 < in_test.sum() < in_test.size / 2
    seen = {(u, i) for u, i in zip(rows.user.tolist(), rows.item.tolist(), strict=True)}

    def changed(where: np.ndarray) -> Dataset:
        item = rows.item.copy()
        for row in np.flatnonzero(where):
            free = [i for i in range(chained.n_items) if (int(rows.user[row]), i) not in seen]
            item[row] = rng.choice(free)
        return replace(chained, interactions=replace(rows, item=item))

    def searched(data: Dataset, name: str) -> list:
        path = tmp_path / f"{name}.db"
        tune(data, config, trials=5, split=protocol_of, study=path, verified=False, run=run)
        return trials(path)

    before = searched(chained, "before")
    assert searched(changed(in_test), "test") == before
    elsewhere = np.roll(in_test, -1) & ~in_test
    assert searched(changed(elsewhere), "elsewhere") != before


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(
    found: tuple[TuneResult, Path],
    chained: Dataset,
    config: RecommenderConfig,
    run: RunOptions,
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits = 0
    fit = Cooccurrence._fit

    def stopped(self: Cooccurrence, *arguments: object) -> None:
        nonlocal fits
        fits += 1
        if fits == 8:
            raise KeyboardInterrupt
        fit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Cooccurrence, "_fit", stopped)
        broken = tune(chained, config, trials=20, study=study, run=run)
    assert broken.interrupted
    assert broken.fused is None
    assert len(trials(study)) == 7
    best = max(value for _, state, _, value in trials(study) if state == "COMPLETE" and value is not None)
    assert broken.parts["cooccurrence"].after == best
    assert "Interrupted" in broken.to_toml()
    whole = tune(chained, config, trials=20, study=study, run=run)
    assert trials(study) == trials(found[1])
    assert whole.config == found[0].config
    fits = 100
    monkeypatch.setattr(Cooccurrence, "_fit", stopped)
    done = tune(chained, config, trials=20, study=study, run=run, verified=False)
    assert fits == 100  # nothing is left to try
    assert done.config == found[0].config


def test_an_interruption_before_anything_is_known_is_one(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CancelledError):
        tune(chained, config, trials=3, run=replace(run, cancel=lambda: True))

    def stopped(self: Cooccurrence, *arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Cooccurrence, "_fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        tune(chained, config, trials=3, run=run)


def test_a_study_belongs_to_its_data(
    found: tuple[TuneResult, Path], chained: Dataset, config: RecommenderConfig, run: RunOptions
) -> None:
    _, path = found
    other = replace(chained, interactions=chained.interactions.take(np.arange(chained.n_interactions - 1)))
    cases = (
        ({"dataset": other}, "another dataset"),
        ({"split": SplitConfig(protocol="temporal")}, 'another split ({"protocol": "last-out"} there'),
        ({"run": run.with_seed(4)}, "another seed (0 there, 4 here)"),
        ({"objective": "recall@20"}, "another objective (ndcg@10 there, recall@20 here)"),
        ({"queries": 100}, "another queries"),
        ({"space": {"cooccurrence": {"decay": [0.1, 0.2]}}}, "another space"),
        (
            {"config": config.model_copy(update={"parts": {"cooccurrence": {"decay": 0.5}}})},
            'another configuration ({"decay": 1.0, "backward": 1.0,',
        ),
    )
    for given, said in cases:
        with pytest.raises(ConfigError) as caught:
            tune(**{"dataset": chained, "config": config, "trials": 21, "study": path, "run": run, **given})
        assert said in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_study(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("nothing of the kind", encoding="utf-8")
    for path, said in (
        (tmp_path / "text.db", "is not the file of a study"),
        (tmp_path, "name a file"),
        (tmp_path / "gone" / "study.db", "in a folder that exists"),
    ):
        with pytest.raises(ConfigError) as caught:
            tune(chained, config, trials=1, study=path, run=run)
        assert said in str(caught.value)
    assert (tmp_path / "text.db").read_text(encoding="utf-8") == "nothing of the kind"


def test_what_cannot_be_tuned(chained: Dataset, config: RecommenderConfig, run: RunOptions) -> None:
    for given, said in (
        ({"parts": ["cooccurence"]}, "did you mean 'cooccurrence'?"),
        ({"parts": ["popularity"]}, "nothing to search in popularity"),
        ({"space": {"als": {}}}, "[tune.als]: no such part"),
        ({"space": {"cooccurrence": {"widnow": [1, 2]}}}, "did you mean 'window'?"),
        ({"space": {"cooccurrence": {"window": [9, 2]}}}, "below the second"),
        ({"objective": "accuracy@10"}, "no such ranking metric"),
        ({"trials": 0}, "trials = 0: has to be above 0"),
        ({"seconds": -1}, "seconds = -1: has to be above 0"),
    ):
        with pytest.raises(ConfigError) as caught:
            tune(chained, config, run=run, **given)
        assert said in str(caught.value)
    with pytest.raises(DataError, match="nothing can be held out"):
        tune(dataset_of([[0, 1]] * 5), config, run=run)


def test_a_part_that_never_works_says_so_and_one_that_sometimes_does_goes_on(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Cooccurrence._fit

    def picky(self: Cooccurrence, *arguments: object) -> None:
        if self.config.decay < 0.5:
            raise ConfigError("too little decay")
        fit(self, *arguments)

    monkeypatch.setattr(Cooccurrence, "_fit", picky)
    result = tune(chained, config, trials=10, run=run, verified=False)
    part = result.parts["cooccurrence"]
    assert 0 < part.faulty < part.trials
    assert part.changes.get("decay", 1.0) >= 0.5
    below = config.model_copy(update={"parts": {"cooccurrence": {"decay": 0.1}}})
    with pytest.raises(ConfigError, match="too little decay"):
        tune(chained, below, trials=10, run=run)


def test_the_time_is_kept(chained: Dataset, config: RecommenderConfig, run: RunOptions) -> None:
    result = tune(chained, config, seconds=0.001, run=run, verified=False)
    assert result.parts["cooccurrence"].trials == 1  # the default is measured in any case
    assert result.parts["cooccurrence"].changes == {}
    assert result.config.parts == config.parts


def test_a_refit_that_falls_short_and_a_fusion_that_loses_undo_a_change(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(verification, "NOISE", -1.0)
        result = tune(chained, config, trials=6, run=run)
    part = result.parts["cooccurrence"]
    assert part.remark.startswith("a refit reached")
    assert result.config.parts == config.parts
    assert part.after == part.before
    figures = iter((0.5, 0.4))
    monkeypatch.setattr(verification, "_fused", lambda *arguments: next(figures))
    result = tune(chained, config, trials=6, run=run)
    assert "the fusion of all lost by it" in result.parts["cooccurrence"].remark
    assert result.config.parts == config.parts
    assert result.fused == (0.5, 0.5)


def test_the_fusion_keeps_the_changes_that_it_gains_by(monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {"a": 0.02, "b": -0.05, "c": 0.01}
    monkeypatch.setattr(
        verification,
        "_fused",
        lambda parts, *rest: 0.3 + sum(worth[n] for n, p in parts.items() if p == "new"),
    )
    before, better = dict.fromkeys(worth, "old"), dict.fromkeys(worth, "new")
    value, kept = verification._joined(before, better, ["b", "a", "c"], 0.3, None, None, None)
    assert kept == ["a", "c"]
    assert value == pytest.approx(0.33)


def test_looks_double() -> None:
    assert looks(20) == (20,)
    assert looks(99) == (99,)
    assert looks(100) == (50, 100)
    assert looks(800) == (100, 200, 400, 800)
    assert looks(10_001) == (1250, 2500, 5000, 10_001)


def test_a_training_that_tells_its_figures_is_pruned_while_it_trains(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Cooccurrence._fit
    epochs: list[int] = []

    def trained(self: Cooccurrence, train: Dataset, features: object, how: RunOptions) -> None:
        epochs.append(0)
        for epoch in range(10):
            how.track(
                "cooccurrence", epoch, {"loss": 1.0, "ndcg@10": 1 - abs(self.config.decay - 0.5) + epoch}
            )
            epochs[-1] += 1
        fit(self, train, features, how)

    monkeypatch.setattr(Cooccurrence, "_fit", trained)
    result = tune(chained, config, trials=14, study=study, verified=False, run=run)
    assert result.parts["cooccurrence"].pruned > 0
    assert set(epochs) == {2, 10}  # after the warm-up, in the middle of the fit


def test_without_optuna_it_says_what_to_install(
    chained: Dataset, config: RecommenderConfig, run: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fuserec\[tune\]'"):
        tune(chained, config, run=run)
