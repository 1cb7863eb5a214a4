from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fuserec.encoders.lstm import LstmEncoder, numbered
from fuserec.encoders.word_config import LstmConfig
from fuserec.encoders.words import Words
from fuserec.errors import DataError
from fuserec.run import CancelledError, RunOptions

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

from fuserec.neural.text_lstm import TextLstm, train_lstm, weights_of  # noqa: E402

RUN = RunOptions(threads=1, seed=2)
RUNS = (1, 2)
SMALL = {
    "embedding_dim": 12,
    "hidden_dim": 16,
    "epochs": 12,
    "batch_size": 32,
    "min_count": 1,
    "max_ngrams": 0,
}


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_numpy_reads_as_pytorch_does(pooling, bidirectional):
    config = LstmConfig(embedding_dim=10, hidden_dim=7, pooling=pooling, bidirectional=bidirectional)
    vocabulary = ["red", "green", "greenish", "boat", "house", "tree"]
    words = Words.of([vocabulary], RUNS, sizes=(3, 4), max_ngrams=20)
    rng = np.random.default_rng(1)
    model = TextLstm(
        torch.from_numpy(rng.normal(size=(words.n_rows, 10)).astype(np.float32)), config, 0
    ).eval()
    texts = [" ".join(rng.choice(vocabulary, n)) for n in (1, 5, 2, 30, 9)]
    rows, place = numbered(words.cut(texts), words, 64)
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(model(rows, words.reading(list(place))), dim=1).numpy()
    found = LstmEncoder(words, weights_of(model), config).encode(texts, RUN)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def orders(n=400, seed=0):
    """Return texts of two classes that hold the very same words: in one the colour comes first, in the other last."""
    rng = np.random.default_rng(seed)
    colours, things = ["red", "green", "blue", "white"], ["boat", "house", "shoe", "lamp"]
    classes = rng.integers(2, size=n)
    texts = []
    for one in classes:
        pair = [str(rng.choice(colours)), str(rng.choice(things))]
        texts.append(" ".join(pair if one else pair[::-1]))
    return texts, classes


def told_apart(vectors, classes):
    """Return how many of the second half are right by the nearest class mean of the first half."""
    half = len(classes) // 2
    means = np.stack([vectors[:half][classes[:half] == one].mean(axis=0) for one in (0, 1)])
    distance = np.linalg.norm(vectors[half:, None] - means, axis=2)
    return float((distance.argmin(axis=1) == classes[half:]).mean())


def tagged(classes):
    return sparse.csr_matrix(np.eye(2, dtype=np.float32)[classes])


def test_classes_that_differ_in_the_order_of_words_alone_are_told_apart():
    texts, classes = orders()
    half = len(texts) // 2
    config = LstmConfig(objective="tags", word_dropout=0.0, **SMALL)
    encoder = train_lstm(texts[:half], texts[:half], tagged(classes[:half]), config, RUNS, RUN)
    assert told_apart(encoder.encode(texts, RUN), classes) > 0.95
    words = np.array([[word in text.split() for word in encoder.words.terms] for text in texts], dtype=float)
    assert told_apart(words, classes) < 0.65  # a bag of words holds nothing of it


def test_shuffled_tags_teach_nothing():
    texts, classes = orders()
    half = len(texts) // 2
    shuffled = np.random.default_rng(5).permutation(classes)
    config = LstmConfig(objective="tags", word_dropout=0.0, **SMALL)
    encoder = train_lstm(texts[:half], texts[:half], tagged(shuffled[:half]), config, RUNS, RUN)
    assert abs(told_apart(encoder.encode(texts, RUN), shuffled) - 0.5) < 0.12


def scenes(n=450, seed=0):
    """Return texts about one of three things, without tags."""
    rng = np.random.default_rng(seed)
    about = [
        ["couch", "leather", "cushion", "corner", "seat", "legs"],
        ["tea", "green", "leaves", "cup", "hot", "herbal"],
        ["lamp", "bulb", "shade", "desk", "watt", "switch"],
    ]
    kinds = rng.integers(3, size=n)
    return [" ".join(map(str, rng.choice(about[kind], 4, replace=False))) for kind in kinds], kinds


def test_views_of_a_text_bring_texts_about_one_thing_together():
    texts, kinds = scenes()
    no_tags = sparse.csr_matrix((len(texts), 0), dtype=np.float32)
    encoder = train_lstm(texts, [""] * len(texts), no_tags, LstmConfig(**SMALL), RUNS, RUN)
    assert encoder.facts["objective"] == "contrastive"
    vectors = encoder.encode(texts, RUN)
    alike = vectors @ vectors.T
    same = kinds[:, None] == kinds
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_tags_are_not_copied_from_the_text_that_holds_them():
    texts, classes = orders()
    named = [f"{text} {'first' if one else 'last'}" for text, one in zip(texts, classes, strict=True)]
    config = LstmConfig(objective="tags", word_dropout=0.0, **SMALL)
    encoder = train_lstm(named, texts, tagged(classes), config, RUNS, RUN)
    assert told_apart(encoder.encode(texts, RUN), classes) > 0.95  # without the tag's word in it


def test_equal_seeds_give_equal_bits_and_a_stopped_training_goes_on(tmp_path):
    texts, _ = scenes(120)
    config = LstmConfig(**{**SMALL, "epochs": 3})
    asked = (texts, [""] * len(texts), sparse.csr_matrix((120, 0), dtype=np.float32), config, RUNS)
    whole = train_lstm(*asked, RUN)
    assert whole.fingerprint == train_lstm(*asked, RUN).fingerprint
    assert whole.fingerprint != train_lstm(*asked, RUN.with_seed(3)).fingerprint
    calls = iter(range(10_000))
    stopping = RunOptions(threads=1, seed=2, checkpoints=tmp_path, cancel=lambda: next(calls) > 10)
    with pytest.raises(CancelledError, match="lstm: the training was stopped in epoch 2"):
        train_lstm(*asked, stopping)
    again = train_lstm(*asked, RunOptions(threads=1, seed=2, checkpoints=tmp_path))
    assert again.fingerprint == whole.fingerprint


def test_without_tags_there_is_nothing_to_predict():
    texts, _ = orders(40)
    with pytest.raises(DataError, match='set objective = "contrastive"'):
        train_lstm(
            texts,
            texts,
            sparse.csr_matrix((40, 1), dtype=np.float32),
            LstmConfig(objective="tags"),
            RUNS,
            RUN,
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_what_numpy_reads():
    texts, classes = orders()
    config = LstmConfig(objective="tags", word_dropout=0.0, **SMALL)
    encoder = train_lstm(texts, texts, tagged(classes), config, RUNS, RunOptions(seed=2, device="cuda"))
    assert told_apart(encoder.encode(texts, RUN), classes) > 0.95
