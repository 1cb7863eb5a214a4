"""Sentence vectors against BERT written down in numpy, on small models and on the real MiniLM."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fuserec.encoders.base import WeightsError
from fuserec.encoders.engines import TorchEngine
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder
from fuserec.errors import ConfigError, MissingExtraError, ModelFormatError, RequestError
from fuserec.run import CancelledError, RunOptions

Maker = Callable[..., Path]
TEXTS = [
    "red car",
    "slow green boat",
    "apple",
    "the red river",
    "mountain train fast fast fast blue pear apple river",
    "car red",
]
SENTENCES = [
    "Moisturizing baby shampoo with oat extract, 12 oz",
    "A gentle hair wash for infants that does not sting the eyes",
    "Synthetic motor oil 5W-30 for petrol engines",
    "A detective hunts a killer who stages each murder after one of the seven deadly sins.",
    "Two imprisoned men bond over a number of years, finding solace through acts of common decency.",
    "OPI Limited Edition Euro Centrale Nail Lacquer Collection, My Vampire is Buff, 0.5 Fluid Ounce",
    "Sunflowers By Elizabeth Arden For Women. Eau De Toilette Spray 3.3 Ounces",
    "Toy Story",
    "The Adventures of Sherlock Holmes, short stories by Arthur Conan Doyle",
    "Wireless noise-cancelling over-ear headphones",
    "Bluetooth headset that blocks out noise",
    "An introduction to statistical learning with applications in R",
    "wood and water " * 60,
    "Über die Entstehung der Arten",
    "洗 shampoo for babies",
    "a",
]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def tiny(folder: Path, **options: object) -> SentenceEncoder:
    return SentenceEncoder(SentenceConfig(model=str(folder), **{"compute_type": "float32", **options}))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_small_models_equal_the_reference(kind, pooling, tiny_model: Maker, reference_vectors, run) -> None:
    folder = tiny_model(kind=kind, pooling=pooling, prefix="" if pooling == "mean" else f"{kind}.")
    expected = reference_vectors(folder, TEXTS, 24, pooling)
    vectors = tiny(folder).encode(TEXTS, run)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    quantised = tiny(folder, compute_type="int8_float32").encode(TEXTS, run)
    assert cosines(quantised, expected).min() > 0.99
    assert np.abs(quantised - expected).max() > 1e-5  # or it was not int8 at all


@pytest.mark.usefixtures("own_cache")
def test_the_tokenizers_own_padding_and_truncation_are_set_aside(
    tiny_model: Maker, reference_vectors, run
) -> None:
    packaged = tiny_model("packaged", fixed_padding=True)
    vectors = tiny(packaged).encode(TEXTS, run)
    np.testing.assert_allclose(vectors, reference_vectors(packaged, TEXTS, 24), atol=2e-6)
    assert tiny(packaged).fingerprint == tiny(tiny_model("plain")).fingerprint


@pytest.mark.usefixtures("own_cache")
def test_text_beyond_max_length_is_not_read(tiny_model: Maker, run) -> None:
    folder = tiny_model()
    short = tiny(folder, max_length=5)
    a, b = short.encode(["red car boat apple", "red car boat pear river"], run)
    np.testing.assert_array_equal(a, b)
    a, b = tiny(folder).encode(["red car boat apple", "red car boat pear river"], run)
    assert not np.allclose(a, b)
    assert tiny(folder, max_length=5000).encode(["red " * 100], run).shape == (
        1,
        32,
    )  # only 40 positions exist


@pytest.mark.usefixtures("own_cache")
def test_a_vector_depends_on_its_text_alone(tiny_model: Maker, run) -> None:
    encoder = tiny(tiny_model(), compute_type="int8_float32", batch_tokens=32)
    texts = [" ".join(np.random.default_rng(i).choice(TEXTS, 1 + i % 4)) for i in range(60)]
    together = encoder.encode(texts, run)
    alone = np.concatenate([encoder.encode([text], run) for text in texts])
    assert cosines(together, alone).min() > 0.9999
    backwards = encoder.encode(texts[::-1], run)[::-1]
    assert cosines(together, backwards).min() > 0.9999


@pytest.mark.usefixtures("own_cache")
def test_threads_do_not_change_vectors_and_callers_may_share(tiny_model: Maker) -> None:
    encoder = tiny(tiny_model(), batch_tokens=32)
    texts = TEXTS * 20
    one = encoder.encode(texts, RunOptions(threads=1))
    np.testing.assert_array_equal(one, encoder.encode(texts, RunOptions(threads=4)))
    fresh = tiny(Path(encoder.config.model), batch_tokens=32)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: fresh.encode(texts, RunOptions(threads=2)), range(16)):
            np.testing.assert_array_equal(one, vectors)


@pytest.mark.usefixtures("own_cache")
def test_empty_and_broken_texts(tiny_model: Maker, run) -> None:
    encoder = tiny(tiny_model(), prompt="blue ")
    vectors = encoder.encode(["", "red", " \n\t", "\ud800 car", "\0", "x" * 100_000], run)
    assert not vectors[[0, 2]].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[[1, 3, 4, 5]], axis=1), 1, rtol=1e-5)
    assert encoder.encode([], run).shape == (0, 32)
    with pytest.raises(RequestError, match=r"pass \[text\]"):
        encoder.encode("red", run)


@pytest.mark.usefixtures("own_cache")
def test_prompt_and_normalisation(tiny_model: Maker, run) -> None:
    plain, prompted = tiny(tiny_model("plain")), tiny(tiny_model("prompted", prompt="red "))
    np.testing.assert_array_equal(plain.encode(["red car"], run), prompted.encode(["car"], run))
    silent = tiny(Path(prompted.config.model), prompt="")
    np.testing.assert_array_equal(plain.encode(["car"], run), silent.encode(["car"], run))
    raw = tiny(Path(plain.config.model), normalize=False)
    lengths = np.linalg.norm(raw.encode(TEXTS, run), axis=1)
    assert np.ptp(lengths) > 0.01
    assert len({e.fingerprint for e in (plain, prompted, silent, raw)}) == 4


@pytest.mark.usefixtures("own_cache")
def test_fingerprint_names_what_makes_the_vectors(tiny_model: Maker, tmp_path: Path) -> None:
    folder = tiny_model("one")
    first = tiny(folder).fingerprint
    copied = tmp_path / "elsewhere"
    shutil.copytree(folder, copied)
    assert tiny(copied).fingerprint == first
    others = [
        tiny(tiny_model("other weights", seed=1)),
        tiny(tiny_model("other pooling", pooling="cls")),
        tiny(folder, compute_type="int8_float32"),
        tiny(folder, max_length=9),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 5


@pytest.mark.usefixtures("own_cache")
def test_conversion_happens_once(tiny_model: Maker, own_cache: Path, run) -> None:
    folder = tiny_model()
    vectors = tiny(folder).encode(TEXTS, run)
    converted = next(own_cache.glob("encoders/converted-*/model.bin"))
    before = converted.stat().st_mtime_ns
    np.testing.assert_array_equal(tiny(folder).encode(TEXTS, run), vectors)
    assert converted.stat().st_mtime_ns == before
    (converted.parent / "fuserec-encoder.json").unlink()  # a half-removed folder is made anew
    np.testing.assert_array_equal(tiny(folder).encode(TEXTS, run), vectors)
    assert not list(own_cache.glob("encoders/.staging-*"))


@pytest.mark.usefixtures("own_cache")
def test_bundle_needs_nothing_else(tiny_model: Maker, tmp_path: Path, own_cache: Path, run) -> None:
    folder = tiny_model()
    encoder = tiny(folder)
    vectors, (arrays, info) = encoder.encode(TEXTS, run), encoder.state()
    encoder.bundle(tmp_path / "bundle", run)
    shutil.rmtree(folder)
    shutil.rmtree(own_cache)
    again = SentenceEncoder.from_state(arrays, json.loads(json.dumps(info)), folder=tmp_path / "bundle")
    np.testing.assert_array_equal(again.encode(TEXTS, run), vectors)
    assert (again.fingerprint, again.dim) == (info["fingerprint"], 32)
    with pytest.raises(ConfigError, match="exists"):
        again.bundle(tmp_path / "bundle", run)
    with pytest.raises(ConfigError, match="holds float32 weights"):
        SentenceEncoder(SentenceConfig(compute_type="int8_float32"), tmp_path / "bundle").load(run)


@pytest.mark.usefixtures("own_cache")
def test_other_weights_than_those_saved_are_refused(tiny_model: Maker, run) -> None:
    _, info = tiny(tiny_model("one")).state()
    info["config"]["model"] = str(tiny_model("two", seed=2))
    with pytest.raises(ModelFormatError, match="install the same weights"):
        SentenceEncoder.from_state({}, info).encode(["red"], run)
    with pytest.raises(ModelFormatError, match="damaged"):
        SentenceEncoder.from_state({}, {"config": {"modle": 1}, "fingerprint": ""})


@pytest.mark.usefixtures("own_cache")
def test_models_that_cannot_run_are_named(tiny_model: Maker, run) -> None:
    strange = tiny_model("strange", kind="mpnet")
    with pytest.raises(ConfigError, match=r"architecture is 'mpnet'.*allowed is backend 'torch'"):
        tiny(strange, backend="ctranslate2").load(run)
    if importlib.util.find_spec("sentence_transformers") is None:
        for folder in (strange, tiny_model("pooled", pooling="max")):
            with pytest.raises(MissingExtraError, match=r"fuserec\[deep\]"):
                tiny(folder).load(run)


class TestSmallGpu:
    """A model of sentence-transformers on a GPU that has room for so many texts at once."""

    class Model:
        max_seq_length = 64

        def __init__(self, room: int, message: str) -> None:
            self.room, self.message, self.asked = room, message, []

        def encode(self, texts, *, prompt, batch_size, show_progress_bar):
            self.asked.append(batch_size)
            if batch_size > self.room:
                raise RuntimeError(self.message)
            return np.array([[len(text), 1.0] for text in texts])

    def engine(self, room: int, message: str = "CUDA error: out of memory\nand more") -> TorchEngine:
        engine = TorchEngine.__new__(TorchEngine)
        engine._model, engine._at_once, engine.dim = self.Model(room, message), 32, 2
        return engine

    def test_fewer_texts_at_once_give_the_same_vectors(self, run) -> None:
        texts = ["a" * n for n in range(1, 50)]
        small = self.engine(5)
        np.testing.assert_array_equal(small.encode(texts, run), self.engine(99).encode(texts, run))
        small.encode(texts, run)
        assert small._model.asked == [32, 16, 8, 4, 4]  # what has worked is kept

    def test_requests_side_by_side_do_not_lower_it_for_each_other(self, run) -> None:
        engine = self.engine(4)
        plain = engine._model.encode

        def beside(texts, **told):
            engine._at_once = 1  # somebody else's texts were longer
            return plain(texts, **told)

        engine._model.encode = beside
        assert engine.encode(["a", "bb"], run).tolist() == [[1, 1], [2, 1]]
        assert engine._model.asked == [32, 16, 8, 4]
        assert engine._at_once == 1

    def test_no_room_for_one_text_is_one_line(self, run) -> None:
        with pytest.raises(ConfigError, match=r"one text of 64 tokens: lower max_length of ") as caught:
            self.engine(0).encode(["a"], run)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("message", ["CUDA error: out of memory\nand more", "the header is damaged"])
    def test_no_room_for_the_model_itself_is_one_line(self, message, monkeypatch, tmp_path) -> None:
        def opened(*told, **options):
            raise RuntimeError(message)

        monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=opened))
        wanted = (ConfigError, "name a smaller model") if "CUDA" in message else (WeightsError, "the header")
        with pytest.raises(wanted[0], match=wanted[1]) as caught:
            TorchEngine(tmp_path / "large", None, "cuda")
        assert "\n" not in str(caught.value)

    def test_another_fault_stays_what_it_is(self, run) -> None:
        with pytest.raises(RuntimeError, match="an index is out of bounds"):
            self.engine(0, "an index is out of bounds").encode(["a"], run)


@pytest.mark.parametrize(
    ("file", "holds"),
    [
        ("config.json", {"hidden_size": 64}),
        ("config.json", {"hidden_size": "wide"}),
        ("config.json", {"vocab_size": 3}),
        ("config.json", {"num_attention_heads": 0}),  # CTranslate2 divides by it, which ends the process
        ("config.json", {"num_attention_heads": 5}),
        ("config.json", {"max_position_embeddings": -1}),
        ("config.json", {"max_position_embeddings": 7}),
        ("config.json", []),
        ("config.json", None),
        ("tokenizer.json", []),
        ("tokenizer.json", {"model": {"type": "WordLevel"}}),
        ("modules.json", {"a": 1}),
        ("modules.json", [1, 2]),
        ("1_Pooling/config.json", [1]),
        ("sentence_bert_config.json", {"max_seq_length": "long"}),
        ("config_sentence_transformers.json", {"prompts": [1], "default_prompt_name": "a"}),
        ("modules.json", "nested without end"),
        ("fuserec-facts.json", None),  # no fault: it is read as if it were not there
    ],
)
def test_files_of_another_shape_give_one_line(file, holds, tiny_model: Maker, own_cache: Path, run) -> None:
    folder = tiny_model()
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    told = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**told, **holds} if isinstance(holds, dict) and told else holds))
    if holds == "nested without end":
        path.write_text("[" * 100_000)
    if file == "fuserec-facts.json":
        tiny(folder).load(run)
        return
    with pytest.raises((WeightsError, ConfigError)) as caught:
        tiny(folder).load(run)
    assert "\n" not in str(caught.value)
    assert folder.name in str(caught.value)
    assert not list(own_cache.glob("encoders/*"))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("backend", ["ctranslate2", "torch"])
def test_weights_that_are_no_numbers_are_refused(backend, tmp_path: Path, run) -> None:
    pytest.importorskip({"torch": "sentence_transformers"}.get(backend, backend))
    pytest.importorskip("torch")
    from safetensors.numpy import load_file, save_file

    from fuserec.testing.language import tiny_model

    folder = tiny_model(tmp_path / "tiny", "bert", ["red", "car"])
    tensors = load_file(folder / "model.safetensors")
    name = next(key for key in tensors if key.endswith("word_embeddings.weight"))
    save_file(
        {**tensors, name: np.full_like(tensors[name], np.nan)}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(WeightsError, match="not finite"):
        tiny(folder, backend=backend).load(run)


@pytest.mark.usefixtures("own_cache")
def test_a_tokenizer_with_more_tokens_than_the_weights_is_refused(tiny_model: Maker, run) -> None:
    folder = tiny_model()
    told = json.loads((folder / "tokenizer.json").read_text())
    told["model"]["vocab"]["beyond"] = 10_000
    (folder / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(WeightsError, match="10,001 tokens, the weights"):
        tiny(folder).load(run)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("damage", ["cut", "lacking", "no config", "bad config"])
def test_damaged_folders_give_one_line(damage, tiny_model: Maker, own_cache: Path, run) -> None:
    folder = tiny_model()
    weights = folder / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "lacking":
        from safetensors.numpy import load_file, save_file

        kept = load_file(weights)
        kept.pop("encoder.layer.1.output.dense.bias")
        save_file(kept, weights)
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError) as caught:
        tiny(folder, backend="ctranslate2" if damage in ("cut", "lacking") else "auto").load(run)
    assert "\n" not in str(caught.value)
    assert not list(own_cache.glob("encoders/*"))


def test_unknown_models(monkeypatch: pytest.MonkeyPatch, run) -> None:
    with pytest.raises(WeightsError, match="has no name"):
        SentenceEncoder(SentenceConfig(model=" ")).load(run)
    with pytest.raises(WeightsError, match="there is no folder"):
        SentenceEncoder(SentenceConfig(model="/nowhere/at/all")).load(run)
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("FUSEREC_OFFLINE", "1")
    with pytest.raises(WeightsError, match="forbidden by FUSEREC_OFFLINE"):
        SentenceEncoder(SentenceConfig(model="nobody/nothing-like-this")).load(run)


@pytest.mark.usefixtures("own_cache")
def test_progress_and_cancellation(tiny_model: Maker, run) -> None:
    encoder = tiny(tiny_model(), batch_tokens=32)
    seen: list[tuple[int, int]] = []
    encoder.encode(TEXTS * 10, replace(run, progress=lambda _, done, total: seen.append((done, total))))
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == (60, 60)
    with pytest.raises(CancelledError):
        encoder.encode(TEXTS * 1000, replace(run, progress=lambda *_: None, cancel=lambda: len(seen) > 3))


@pytest.mark.encoder
@pytest.mark.usefixtures("use_minilm")
def test_minilm_equals_the_reference(use_minilm: Path, reference_vectors, run) -> None:
    folder = next(use_minilm.glob("encoders/all-MiniLM-L6-v2-*"))
    expected = reference_vectors(folder, SENTENCES, 256)
    exact = SentenceEncoder(SentenceConfig(compute_type="float32")).encode(SENTENCES, run)
    assert cosines(exact, expected).min() >= 0.99999
    encoder = SentenceEncoder()
    fast = encoder.encode(SENTENCES, run)
    assert cosines(fast, expected).mean() >= 0.993
    assert cosines(fast, expected).min() >= 0.985
    alone = np.concatenate([encoder.encode([text], run) for text in SENTENCES])
    assert cosines(fast, alone).min() >= 0.999
    assert encoder.dim == 384
    assert encoder.fingerprint.endswith(":ctranslate2:int8_float32:256")


@pytest.mark.encoder
@pytest.mark.usefixtures("use_minilm")
def test_minilm_understands(run) -> None:
    vectors = SentenceEncoder().encode(SENTENCES, run)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2] + 0.2  # baby shampoo: infants' hair wash, not motor oil
    assert likeness[9, 10] == np.sort(likeness[9])[-2]  # headphones and a headset share hardly a word


@pytest.mark.usefixtures("own_cache")
def test_a_text_that_the_model_was_not_taught_to_read_has_no_vector(tiny_model: Maker, run) -> None:
    """Unknown tokens give noise that looks like meaning: a Chinese query must not find what shares only that."""
    encoder = tiny(tiny_model())
    vectors = encoder.encode(["red car", "qwx zyx red", "zyx", "red car zyx"], run)
    assert vectors.any(axis=1).tolist() == [True, False, False, True]


@pytest.mark.encoder
@pytest.mark.usefixtures("use_minilm")
def test_minilm_reads_english_and_not_chinese(run) -> None:
    vectors = SentenceEncoder().encode(
        ["oolong tea", "乌龙茶", "三体 (The Three-Body Problem), science fiction"], run
    )
    assert vectors.any(axis=1).tolist() == [True, False, True]
