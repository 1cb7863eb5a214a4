"""What a folder says of its tuning, when an evaluation with it is not honest, and what an encoder keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.splits import SplitConfig, split
from fuserec.encoders.features import FeatureConfig
from fuserec.encoders.kept import Probe, cosines, general_pairs, spearman
from fuserec.encoders.sentence import SentenceConfig
from fuserec.encoders.tuned import leak, leak_of, read_tuning, seen_by, write_tuning
from fuserec.errors import ModelFormatError
from fuserec.evaluation.leakage.notes import leak_notes
from fuserec.testing.planted import dataset_of


def people(shift=0):
    return dataset_of([[(u + s + shift) % 12 for s in range(5)] for u in range(12)], 12)


def tuned(folder, data, train, **told):
    folder.mkdir()
    seen = {"name": data.info.name, "dataset": data.fingerprint, "train": train.fingerprint, "split": told}
    write_tuning(folder, {"seen": [seen]})
    return FeatureConfig(sentence=SentenceConfig(model=str(folder)))


class TestLeaks:
    def test_the_same_split_is_honest(self, tmp_path):
        data = people()
        train = split(data, SplitConfig(), 0).train
        config = tuned(tmp_path / "m", data, train, protocol="last-out", seed=0)
        assert leak(config, data, train) is None

    def test_another_split_has_seen_what_is_held_out(self, tmp_path):
        data = people()
        train = split(data, SplitConfig(), 0).train
        other = split(data, SplitConfig(protocol="random"), 0).train
        config = tuned(tmp_path / "m", data, train, protocol="last-out", seed=0)
        told = leak(config, data, other)
        assert "tuned on the split last-out, seed 0" in told
        assert "same --split" in told
        assert "\n" not in told

    def test_all_rows(self, tmp_path):
        data = people()
        config = tuned(tmp_path / "m", data, data, protocol="none")
        assert "was tuned on all rows" in leak(config, data, split(data, SplitConfig(), 0).train)

    @pytest.mark.parametrize(
        "where",
        [
            {"parts": {"language_pair": {"model": "HERE"}}},
            {"parts": {"averaged": {"of": "language_pair", "options": {"model": "HERE"}}}},
            {"fusion": {"last_stage": {"scorer": {"scorer": "language_pair", "model": "HERE"}}}},
        ],
    )
    def test_a_model_that_a_part_begins_from(self, tmp_path, where, caplog):
        data = people()
        tuned(tmp_path / "m", data, data, protocol="none")
        told = json.loads(json.dumps(where).replace("HERE", (tmp_path / "m").as_posix()))
        config = RecommenderConfig.parse({"features": {"use_sentence": "never"}, **told}, "test")
        held = split(data, SplitConfig(), 0)
        notes = [note for note in leak_notes(data, held, [config]) if "was tuned on" in note]
        assert notes == [leak_of(str(tmp_path / "m"), data, held.train)]
        assert notes[0] in caplog.messages

    def test_data_that_have_changed_since(self, tmp_path):
        data, now = people(), people(shift=1)
        config = tuned(tmp_path / "m", data, split(data, SplitConfig(), 0).train, protocol="last-out")
        assert "another state of paper" in leak(config, now, split(now, SplitConfig(), 0).train)

    def test_other_data_and_other_models_are_no_leak(self, tmp_path):
        from dataclasses import replace

        data = people()
        config = tuned(tmp_path / "m", data, data, protocol="none")
        other = people(shift=2)
        other = replace(other, info=replace(other.info, name="another"))
        assert leak(config, other, other) is None
        assert leak(FeatureConfig(), data, data) is None
        never = config.model_copy(update={"use_sentence": "never"})
        assert leak(never, data, split(data, SplitConfig(), 0).train) is None

    def test_a_damaged_file_is_said(self, tmp_path):
        (tmp_path / "fuserec-tuning.json").write_text("{")
        with pytest.raises(ModelFormatError, match="tune the model again"):
            read_tuning(tmp_path)
        (tmp_path / "fuserec-tuning.json").write_text(json.dumps({"format": 99}))
        with pytest.raises(ModelFormatError, match="not of a format"):
            seen_by(tmp_path)
        for told in ({"seen": "abc"}, {"seen": [{"x": 1}]}, {"seen": [3]}, {"compression": 5}):
            (tmp_path / "fuserec-tuning.json").write_text(json.dumps({"format": 1, **told}))
            with pytest.raises(ModelFormatError, match="not of a format"):
                read_tuning(tmp_path)
        assert read_tuning(tmp_path / "nowhere") is None


class TestKept:
    def test_rank_correlation_is_that_of_scipy(self):
        from scipy.stats import spearmanr

        rng = np.random.default_rng(0)
        a = rng.integers(5, size=40).astype(float)  # with ties
        b = a + rng.normal(size=40)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
        assert spearman(a, np.zeros(40)) == 0.0

    def test_the_bundled_pairs(self):
        pairs = general_pairs()
        assert len(pairs.left) == len(pairs.right) == pairs.grades.size == 60
        assert set(pairs.grades.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
        assert len({*pairs.left, *pairs.right}) == 120
        assert all(text == text.strip() and text.endswith(".") for text in (*pairs.left, *pairs.right))

    def test_cosines_read_each_text_once(self):
        asked = []

        def encode(texts):
            asked.extend(texts)
            return np.array([[len(text), 1.0] for text in texts], np.float32)

        found = cosines(encode, ["a", "bb"], ["bb", "a"])
        assert asked == ["a", "bb"]
        assert found == pytest.approx([3 / np.sqrt(10)] * 2, abs=1e-6)

    def test_pairs_of_the_catalogue_are_of_items_that_nobody_took_both(self):
        data = people()
        texts = [f"t{i}" for i in range(11)] + [""]
        probe = Probe.of(data, texts, np.random.default_rng(0), size=50)
        assert probe.left
        taken = data.matrix("one").toarray()
        for a, b in zip(probe.left, probe.right, strict=True):
            assert not (taken[:, texts.index(a)] * taken[:, texts.index(b)]).any()
            assert a
            assert b
            assert a != b

    def test_an_encoder_keeps_all_of_itself_and_nothing_of_noise(self):
        probe = Probe((), (), general_pairs())
        rng = np.random.default_rng(0)
        mine = probe.cosines(lambda texts: rng.normal(size=(len(texts), 8)))
        noise = probe.cosines(lambda texts: rng.normal(size=(len(texts), 8)))
        assert probe.figures(mine, mine)["general"] == pytest.approx(1.0)
        assert abs(probe.figures(mine, noise)["general"]) < 0.4

    @pytest.mark.encoder
    def test_minilm_agrees_with_people(self, use_minilm, run):
        from fuserec.encoders.sentence import SentenceEncoder

        encoder = SentenceEncoder(SentenceConfig())
        probe = Probe((), (), general_pairs())
        found = probe.cosines(lambda texts: encoder.encode(texts, run))
        assert 0.85 < probe.figures(found, found)["graded"] < 0.97
