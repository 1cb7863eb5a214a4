"""Smaller encoders: what is taken away, what is taught again, and that what is written is read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from small_language import RUN, WORDS, Calls, readers, titles

from fuserec.data.splits import SplitConfig
from fuserec.encoders.tuned import Seen
from fuserec.errors import ConfigError
from fuserec.run import CancelledError

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder  # noqa: E402
from fuserec.neural.language.adapt import CompressConfig, compress  # noqa: E402
from fuserec.neural.language.adapt.adaptation import ground_of  # noqa: E402
from fuserec.neural.language.adapt.compress import keep_layers, scored_lesson  # noqa: E402
from fuserec.neural.language.adapt.students import Sparse, VectorsTask  # noqa: E402
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.neural.language.tuning import blocks_of  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_model(root / kind, kind, WORDS, layers=4) for kind in ("bert", "gpt2", "qwen2", "t5")}


def config(**changes):
    return CompressConfig.parse({"batch_size": 16, "learning_rate": 2e-3, **changes}, "test")


def near(a, b):
    """Return the mean cosine of two backbones' vectors of the catalogue."""
    first, second = (each.encode(titles(), RUN) for each in (a, b))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return float((first * second).sum(axis=1).mean())


class TestLayers:
    @pytest.mark.parametrize(
        ("count", "which", "kept"),
        [
            (2, "spread", [0, 3]),
            (2, "first", [0, 1]),
            (1, "spread", [0]),
            (3, "first", [0, 1, 2]),
            (None, "spread", [0, 3]),
        ],
    )
    def test_which_stay(self, folders, count, which, kept):
        backbone = open_backbone(str(folders["bert"]), RUN)
        blocks = list(blocks_of(backbone.model))
        assert keep_layers(backbone, count, which) == kept
        assert [blocks.index(block) for block in blocks_of(backbone.model)] == kept

    @pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
    def test_what_is_cut_is_read_again(self, folders, kind, tmp_path):
        compress(str(folders[kind]), tmp_path / "small", config(form="layers", layers=2, epochs=0), RUN)
        cut = open_backbone(str(folders[kind]), RUN)
        keep_layers(cut, 2, "spread")
        again = open_backbone(str(tmp_path / "small"), RUN)
        assert len(blocks_of(again.model)) == 2
        np.testing.assert_allclose(again.encode(titles(), RUN), cut.encode(titles(), RUN), atol=1e-5)
        assert near(again, open_backbone(str(folders[kind]), RUN)) < 0.999

    def test_no_more_than_there_are(self, folders):
        with pytest.raises(ConfigError, match=r"layers = 4: this model has 4; name fewer"):
            keep_layers(open_backbone(str(folders["bert"]), RUN), 4, "first")

    def test_teaching_brings_it_back_to_its_teacher(self, folders, tmp_path):
        teacher = open_backbone(str(folders["bert"]), RUN)
        compress(str(folders["bert"]), tmp_path / "cut", config(form="layers", layers=2, epochs=0), RUN)
        told = config(form="layers", layers=2, epochs=20)
        facts = compress(str(folders["bert"]), tmp_path / "taught", told, RUN, data=readers())
        before = near(open_backbone(str(tmp_path / "cut"), RUN), teacher)
        after = near(open_backbone(str(tmp_path / "taught"), RUN), teacher)
        assert after > before + 0.1
        step = facts["compression"][-1]
        assert (step["form"], step["kept"], step["taught_by"]) == ("layers", [0, 3], "vectors")
        assert step["held_out"][-1] > step["held_out"][0]

    def test_data_are_needed_to_teach(self, folders, tmp_path):
        with pytest.raises(ConfigError, match=r"--data DIR.*epochs = 0"):
            compress(str(folders["bert"]), tmp_path / "x", config(form="layers"), RUN)
        assert not (tmp_path / "x").exists()


class TestStudents:
    def test_a_student_of_another_width_learns_how_texts_stand_to_one_another(self, folders, tmp_path):
        small = tiny_model(tmp_path / "student", "bert", WORDS, layers=1, dim=16, seed=4)
        teacher = open_backbone(str(folders["bert"]), RUN)

        def apart(backbone):
            vectors = [each.encode(titles(), RUN) for each in (backbone, teacher)]
            units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
            return float(np.mean((units[0] @ units[0].T - units[1] @ units[1].T) ** 2))

        before = apart(open_backbone(str(small), RUN))
        told = config(form="layers", epochs=20)
        facts = compress(
            str(folders["bert"]), tmp_path / "out", told, RUN, data=readers(), student=str(small)
        )
        assert apart(open_backbone(str(tmp_path / "out"), RUN)) < 0.5 * before
        assert facts["compression"][-1]["form"] == "student"

    def test_scores_of_pairs_teach_too(self, folders, tmp_path):
        """The teacher likes even numbers in w..; the student's own cosines did not know."""

        def likes(people, items):
            return np.array([float(int(item.split("w")[-1]) % 2 == 0) for item in items])

        told = config(form="layers", layers=2, epochs=6, candidates=3, batch_size=64, texts=800)
        facts = compress(str(folders["bert"]), tmp_path / "out", told, RUN, data=readers(), scores=likes)
        step = facts["compression"][-1]
        assert step["taught_by"] == "scores of pairs"
        assert step["losses"][-1] < 0.7 * step["losses"][0]

    def test_the_next_item_comes_first_and_never_again(self):
        asked = []

        def teacher(people, items):
            asked.append((people, items))
            return np.arange(len(people), dtype=float)

        ground = ground_of(readers(), config().text, RUN, None)
        lesson = scored_lesson(ground, config(candidates=5, texts=120), RUN, teacher)
        assert lesson.scores.shape == (20, 6)
        for told, row in zip(lesson.asked, lesson.items, strict=True):
            assert row[0] not in row[1:]
            assert row[0] not in told.split("\n")
        people, items = asked[0]
        assert people[:6] == [lesson.asked[0]] * 6
        assert items[:6] == lesson.items[0]

    def test_scores_that_are_none_are_refused(self):
        ground = ground_of(readers(), config().text, RUN, None)
        with pytest.raises(ConfigError, match="one finite number a pair"):
            scored_lesson(ground, config(), RUN, lambda people, items: np.full(len(people), np.nan))


class TestPruned:
    def test_the_smallest_of_each_map_are_zero(self):
        model = torch.nn.Module()
        model.layers = torch.nn.ModuleList([torch.nn.Linear(4, 2)])
        with torch.no_grad():
            model.layers[0].weight.copy_(torch.tensor([[5.0, -1, 2, -8], [3, 4, -6, 7]]))
        zeros = Sparse.pruned(model, 0.25)
        assert model.layers[0].weight.tolist() == [[5, 0, 0, -8], [3, 4, -6, 7]]
        sizes = zeros.sizes()
        assert sizes["zeros"] == 0.25

    def test_what_a_step_moved_is_zero_before_the_next_one(self, folders):
        backbone = open_backbone(str(folders["bert"]), RUN)
        zeros = Sparse.pruned(backbone.model, 0.5)
        wanted = np.eye(36, 32, dtype=np.float32)
        task = VectorsTask(backbone, titles(), wanted, config(), 0, torch.float32, zeros)
        weight = next(p for p in blocks_of(backbone.model).parameters() if p.ndim == 2)
        with torch.no_grad():
            weight.add_(1.0)
        task.loss(np.arange(4, 8))
        assert float((weight == 0).float().mean()) == 0.5

    def test_they_stay_zero_while_it_is_taught(self, folders, tmp_path):
        told = config(form="pruned", share=0.6, epochs=4)
        facts = compress(str(folders["bert"]), tmp_path / "out", told, RUN, data=readers())
        step = facts["compression"][-1]
        assert step["zeros"] == pytest.approx(0.6, abs=0.01)
        assert step["sparse_megabytes"] < step["dense_megabytes"]
        again = open_backbone(str(tmp_path / "out"), RUN)
        for parameter in blocks_of(again.model).parameters():
            if parameter.ndim == 2:
                assert float((parameter == 0).float().mean()) == pytest.approx(0.6, abs=0.01)
        compress(str(folders["bert"]), tmp_path / "cut", config(form="pruned", share=0.6, epochs=0), RUN)
        teacher = open_backbone(str(folders["bert"]), RUN)
        assert near(again, teacher) > near(open_backbone(str(tmp_path / "cut"), RUN), teacher)


class TestInt8:
    def test_it_is_read_without_the_original(self, folders, tmp_path, monkeypatch):
        pytest.importorskip("ctranslate2")
        monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "cache"))
        compress(str(folders["bert"]), tmp_path / "int8", config(), RUN)
        assert not list((tmp_path / "int8").glob("*.safetensors"))
        made = SentenceEncoder(SentenceConfig(model=str(tmp_path / "int8"))).encode(titles(), RUN)
        wanted = open_backbone(str(folders["bert"]), RUN).encode(titles(), RUN)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        assert float((made * wanted).sum(axis=1).min()) > 0.99
        told = json.loads((tmp_path / "int8" / "fuserec-tuning.json").read_text())
        assert told["compression"][-1]["form"] == "int8"

    def test_what_ctranslate2_cannot_run_is_said(self, folders, tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be made int8.*gpt2.*choose form"):
            compress(str(folders["gpt2"]), tmp_path / "x", config(), RUN)


def test_what_teacher_and_student_saw_is_remembered(folders, tmp_path):
    told = config(form="layers", layers=2, epochs=1)
    facts = compress(str(folders["bert"]), tmp_path / "a", told, RUN, data=readers(), split=SplitConfig())
    assert [each["split"]["protocol"] for each in facts["seen"]] == ["last-out"]
    told = config(form="layers", layers=1, epochs=1)
    facts = compress(str(tmp_path / "a"), tmp_path / "b", told, RUN, data=readers(seed=1))
    assert [each["split"]["protocol"] for each in facts["seen"]] == ["last-out", "none"]
    assert [step["form"] for step in facts["compression"]] == ["layers", "layers"]


def test_what_a_student_and_a_teacher_of_pairs_saw_is_remembered(folders, tmp_path):
    told = config(form="layers", layers=2, epochs=1)
    seen = compress(str(folders["bert"]), tmp_path / "a", told, RUN, data=readers(seed=2))["seen"]
    taught_on = Seen("pairs", "1", "2", {"protocol": "none"})
    facts = compress(
        str(folders["bert"]),
        tmp_path / "b",
        config(epochs=1, texts=60),
        RUN,
        data=readers(),
        split=SplitConfig(),
        student=str(tmp_path / "a"),
        scores=lambda people, items: np.arange(len(people), dtype=float),
        taught_on=[taught_on],
    )
    assert facts["seen"][:2] == [*seen, asdict(taught_on)]
    assert [each["split"]["protocol"] for each in facts["seen"]] == ["none", "none", "last-out"]


def test_a_student_that_is_not_taught_is_refused(folders, tmp_path):
    with pytest.raises(ConfigError, match="a student learns nothing with epochs = 0"):
        compress(str(folders["bert"]), tmp_path / "x", config(epochs=0), RUN, student=str(folders["bert"]))
    assert not (tmp_path / "x").exists()


def test_stopped_teaching_goes_on_as_if_nothing_had_happened(folders, tmp_path):
    told = config(form="pruned", share=0.5, epochs=6)
    compress(str(folders["bert"]), tmp_path / "whole", told, RUN, data=readers())
    kept = replace(RUN, checkpoints=tmp_path / "kept")
    with pytest.raises(CancelledError):
        compress(str(folders["bert"]), tmp_path / "x", told, replace(kept, cancel=Calls(8)), data=readers())
    assert not (tmp_path / "x").exists()
    compress(str(folders["bert"]), tmp_path / "again", told, kept, data=readers())
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "again"))
    assert a == b
