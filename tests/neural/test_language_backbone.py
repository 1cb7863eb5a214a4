"""Backbones: three families of transformers read texts, alone or together alike, and say in one line what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_language import RUN, WORDS

from fuserec.encoders.base import WeightsError
from fuserec.errors import ConfigError

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")

from fuserec.neural.language.backbone import (  # noqa: E402
    Backbone,
    by_length,
    open_backbone,
    pooled,
)
from fuserec.testing.language import tiny_model  # noqa: E402

TEXTS = ["red0", "blue1 oak2 sea3 w4 w5 w6", "", "red0 red0 red1", "\ud800 red2", "strange words only"]
KINDS = {
    "bert": ("encoder", "mean"),
    "gpt2": ("decoder", "last"),
    "qwen2": ("decoder", "last"),
    "t5": ("encoder_decoder", "mean"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_model(root / kind, kind, WORDS) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
class TestFamilies:
    def test_each_kind_reads_in_its_own_way(self, folders, kind):
        backbone = open_backbone(str(folders[kind]), RUN)
        assert (backbone.family, backbone.pooling) == KINDS[kind]
        assert backbone.dim == 32
        assert backbone.max_length == 40

    def test_a_text_alone_and_among_others_has_the_same_vector(self, folders, kind):
        backbone = open_backbone(str(folders[kind]), RUN)
        together = backbone.encode(TEXTS, RUN)
        alone = np.vstack([backbone.encode([text], RUN) for text in TEXTS])
        assert np.isfinite(together).all()
        np.testing.assert_allclose(together, alone, atol=1e-5)
        # Texts that differ are told apart: the test above could not fail if all vectors were one.
        assert np.abs(together[0] - together[1]).max() > 1e-3

    def test_a_small_budget_changes_nothing(self, folders, kind):
        backbone = open_backbone(str(folders[kind]), RUN)
        np.testing.assert_allclose(
            backbone.encode(TEXTS, RUN, budget=4), backbone.encode(TEXTS, RUN), atol=1e-5
        )

    def test_long_texts_are_cut(self, folders, kind):
        backbone = open_backbone(str(folders[kind]), RUN, max_length=8)
        assert max(len(ids) for ids, _ in backbone.tokens(["red0 " * 30])) == 8
        assert max(len(ids) for ids, _ in backbone.tokens(["red0 " * 30], length=5)) == 5
        assert len(backbone.tokens(["red0 " * 30], length=500)[0][0]) == 8


class TestReading:
    def test_the_mean_is_over_tokens_and_never_over_padding(self):
        hidden = torch.tensor([[[2.0], [4.0], [99.0]], [[1.0], [1.0], [4.0]]])
        mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
        assert pooled(hidden, mask, "mean").flatten().tolist() == [3.0, 2.0]
        assert pooled(hidden, mask, "last").flatten().tolist() == [4.0, 4.0]
        assert pooled(hidden, mask, "cls").flatten().tolist() == [2.0, 1.0]

    def test_a_reader_of_one_direction_is_pooled_where_it_has_read_all(self, folders):
        backbone = open_backbone(str(folders["gpt2"]), RUN)
        a, b = backbone.encode(["red0 red1", "red2 red1"], RUN)
        assert np.abs(a - b).max() > 1e-3  # the last token has seen the first
        first = open_backbone(str(folders["gpt2"]), RUN, pooling="cls")
        a, b = first.encode(["red0 red1", "red0 red2"], RUN)
        np.testing.assert_allclose(a, b, atol=1e-6)  # the first has seen nothing

    def test_pairs_tell_their_two_texts_apart(self, folders):
        backbone = open_backbone(str(folders["bert"]), RUN)
        ((ids, kinds),) = backbone.tokens(["red0 red1"], ["blue0"])
        assert kinds == [0, 0, 0, 0, 1, 1]
        assert len(ids) == 6
        other = backbone.batch([(ids, [0] * 6)])
        told = backbone.batch([(ids, kinds)])
        assert (backbone(told) - backbone(other)).abs().max() > 1e-3

    def test_pooling_stands_in_the_folder(self, folders, tmp_path):
        folder = tiny_model(tmp_path / "cls", "bert", WORDS)
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
        assert open_backbone(str(folder), RUN).pooling == "cls"

    def test_batches_fit_the_budget_and_hold_every_text_once(self):
        lengths = [3, 9, 1, 9, 2, 30]
        cut = list(by_length(lengths, 20))
        assert sorted(np.concatenate(cut).tolist()) == list(range(6))
        assert all(max(lengths[i] for i in batch) * len(batch) <= 20 for batch in cut if len(batch) > 1)


class TestFaults:
    def fault(self, work, kind=WeightsError):
        with pytest.raises(kind) as told:
            work()
        line = str(told.value)
        assert "\n" not in line
        return line

    def test_a_folder_without_tokenizer(self, tmp_path):
        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        for path in folder.glob("tokenizer*"):
            path.unlink()
        assert "tokenizer" in self.fault(lambda: open_backbone(str(folder), RUN))

    def test_broken_weights(self, tmp_path):
        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        (folder / "model.safetensors").write_bytes(b"not weights")
        line = self.fault(lambda: open_backbone(str(folder), RUN))
        assert "its weights cannot be read" in line
        assert "name a whole folder" in line

    def test_weights_of_another_size(self, tmp_path):
        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        other = tiny_model(tmp_path / "n", "bert", WORDS[:4])
        (other / "model.safetensors").replace(folder / "model.safetensors")
        assert "(their sizes are not those of config.json)" in self.fault(
            lambda: open_backbone(str(folder), RUN)
        )

    def test_weights_that_lie_there_for_some_layers_alone(self, tmp_path):
        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        told = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**told, "num_hidden_layers": 3}))
        line = self.fault(lambda: open_backbone(str(folder), RUN))
        assert "its weights lack 'encoder.layer.2." in line
        assert "and 15 more" in line

    def test_weights_that_are_no_numbers(self, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        tensors = load_file(folder / "model.safetensors")
        tensors["embeddings.LayerNorm.bias"][0] = float("inf")
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        line = self.fault(lambda: open_backbone(str(folder), RUN))
        assert "'embeddings.LayerNorm.bias' holds values that are not finite" in line

    @pytest.mark.parametrize("told", ["[1]", '{"max_seq_length": "x"}', '{"max_seq_length": -5}'])
    def test_a_length_that_is_none_is_not_read(self, tmp_path, told):
        folder = tiny_model(tmp_path / "m", "bert", WORDS)
        (folder / "sentence_bert_config.json").write_text(told)
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text("[1]")
        assert open_backbone(str(folder), RUN).max_length == (3 if "-5" in told else 40)

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "m").mkdir()
        assert "its configuration" in self.fault(lambda: open_backbone(str(tmp_path / "m"), RUN))

    def test_a_tokenizer_with_more_words_than_the_weights(self, tmp_path):
        folder = tiny_model(tmp_path / "m", "bert", WORDS[:4])
        other = tiny_model(tmp_path / "n", "bert", WORDS)
        (other / "tokenizer.json").replace(folder / "tokenizer.json")
        assert "do not belong together" in self.fault(lambda: open_backbone(str(folder), RUN))

    def test_a_hub_that_cannot_be_reached(self, monkeypatch):
        monkeypatch.setenv("FUSEREC_OFFLINE", "1")
        assert "someone/some-model-nobody-has" in self.fault(
            lambda: open_backbone("someone/some-model-nobody-has", RUN)
        )

    def test_a_model_of_another_kind(self, tmp_path):
        folder = tmp_path / "m"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "bart", "is_encoder_decoder": True}))
        tiny = tiny_model(tmp_path / "n", "bert", WORDS)
        for path in tiny.glob("tokenizer*"):
            path.replace(folder / path.name)
        assert "BERT-, GPT- or T5-like" in self.fault(lambda: open_backbone(str(folder), RUN), ConfigError)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_vectors_are_those_of_the_cpu(folders):
    backbone: Backbone = open_backbone(str(folders["bert"]), RUN)
    expected = backbone.encode(TEXTS, RUN)
    np.testing.assert_allclose(backbone.to("cuda").encode(TEXTS, RUN), expected, atol=1e-4)
