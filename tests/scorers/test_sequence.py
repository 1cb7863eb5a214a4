"""The sequence scorer learns an order where there is one, and nothing where there is none."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from planted_walks import CHANCE, RUN, SMALL, N, learnt, ndcg, ring, shuffled

from fuserec import neural
from fuserec.data.query import QueryBatch
from fuserec.errors import ConfigError, MissingExtraError
from fuserec.neural.windows import newest
from fuserec.scorers import create
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import small_features

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

ARCHITECTURES = ("transformer", "masked", "gru", "cnn")
LOSSES = ("softmax", "sampled_softmax", "gbce", "bpr")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
MARGIN = 0.1
"""Three standard errors of the figure of so many strangers."""


def strangers():
    """Return walks of people who are not in the training data."""
    return ring(96, 20, seed=5)


class TestOrder:
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_a_planted_order_is_learnt(self, architecture, loss):
        scorer = learnt(ring(), architecture=architecture, loss=loss, item_vectors="ids")
        assert ndcg(scorer, strangers()) > 0.95

    @pytest.mark.parametrize("vectors", ["initialised", "union", "sum", "experts"])
    def test_it_is_learnt_from_any_item_vectors(self, vectors):
        assert ndcg(learnt(ring(), item_vectors=vectors), strangers()) > 0.9

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_it_is_learnt_in_half_precision(self, architecture, monkeypatch):
        """As on a processor that multiplies bfloat16; what is kept and asked is float32 all the same."""
        from fuserec.neural.sequence import fit as sequence_fit

        monkeypatch.setattr(sequence_fit, "fast_type", lambda device: torch.bfloat16)
        scorer = learnt(ring(), architecture=architecture, item_vectors="ids")
        assert {array.dtype for array in scorer.state()[0].values()} <= {np.dtype("f4"), np.dtype(bool)}
        assert ndcg(scorer, strangers()) > 0.95

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_a_shuffled_order_teaches_nothing(self, architecture):
        """The same histories in orders of their own: what comes next is a matter of popularity, which is equal."""
        scorer = learnt(shuffled(ring()), architecture=architecture, item_vectors="ids")
        assert abs(ndcg(scorer, shuffled(strangers(), seed=2)) - CHANCE) < MARGIN
        assert ndcg(scorer, strangers()) < CHANCE + 0.25  # twelve walks that differ: three standard errors

    def test_targets_permuted_between_users_are_guessed_at_chance(self):
        """The leak alarm: a scorer that guesses its own targets guesses nobody else's."""
        scorer = learnt(ring(), item_vectors="ids")
        others = np.random.default_rng(3).permutation(strangers()[:, 7])
        assert abs(ndcg(scorer, strangers(), others) - CHANCE) < MARGIN
        assert ndcg(scorer, strangers()) > 0.95

    def test_the_order_of_a_query_matters(self):
        scorer = learnt(ring(), item_vectors="ids")
        there, back = (scorer.score(QueryBatch.of_histories([h])).values[0] for h in ([3, 4, 5], [5, 4, 3]))
        assert there.argmax() == 6
        assert back.argmax() != 6

    def test_only_the_newest_events_are_read(self):
        scorer = learnt(ring(), item_vectors="ids", epochs=2)
        q = QueryBatch.of_histories([[9, 2, *range(4)], [*range(4)], [7, *range(4)]])
        values = scorer.score(q).values
        np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
        np.testing.assert_allclose(values[0], values[2], rtol=1e-5)


class TestBatches:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_who_else_asks_changes_nothing_but_rounding(self, architecture):
        scorer = learnt(ring(), architecture=architecture, item_vectors="ids", epochs=2)
        histories = [[3], [1, 2, 3, 4, 5], [], [7, 8, 9], [0, 10]]
        together = scorer.score(QueryBatch.of_histories(histories))
        assert together.queries.tolist() == [True, True, False, True, True]
        assert not together.values[2].any()
        for row, history in enumerate(histories):
            alone = scorer.score(QueryBatch.of_histories([history])).values[0]
            np.testing.assert_allclose(together.values[row], alone, rtol=1e-4, atol=1e-6)

    def test_many_queries_are_read_in_pieces(self, monkeypatch):
        from fuserec.scorers import sequence

        scorer, q = (
            learnt(ring(), item_vectors="ids", epochs=1),
            QueryBatch.of_histories(list(ring(50)[:, :7])),
        )
        whole = scorer.score(q).values
        monkeypatch.setattr(sequence, "CHUNK", 7)
        np.testing.assert_allclose(scorer.score(q).values, whole, rtol=1e-4, atol=1e-6)

    def test_scores_are_probabilities_to_a_power(self):
        scorer = learnt(ring(), epochs=2, sharpness=0.5)
        values = scorer.score(QueryBatch.of_histories([[1, 2, 3], [9]])).values
        np.testing.assert_allclose(np.square(values).sum(axis=1), 1.0, rtol=1e-4)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("values", "says"),
        [
            ({"heads": 3, "embedding_dim": 16}, r"heads = 3 has to divide embedding_dim = 16"),
            ({"heads": 3, "embedding_dim": 16, "architecture": "masked"}, r"heads = 3 has to divide"),
            ({"architecture": "transfomer"}, r"architecture = 'transfomer'.*did you mean 'transformer'"),
            ({"architecture": "lstm"}, r"architecture = 'lstm'.*'gru'"),
            ({"loss": "sofmax"}, r"loss = 'sofmax'.*did you mean 'softmax'"),
            ({"item_vectors": "unions"}, r"item_vectors = 'unions'.*did you mean 'union'"),
            ({"epochs": 0}, r"epochs = 0.*greater than or equal to 1"),
            ({"dropout": 1.0}, r"dropout = 1\.0.*less than 1"),
            ({"learning_rate": float("nan")}, r"learning_rate = nan"),
            ({"block": 2}, r"unknown key 'block'.*did you mean 'blocks'"),
        ],
    )
    def test_what_is_not_allowed_is_one_clear_line(self, values, says):
        with pytest.raises(ConfigError, match=says) as caught:
            create("sequence", values, "[parts.sequence]")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("architecture", ["gru", "cnn"])
    def test_heads_are_no_matter_where_nothing_attends(self, architecture):
        scorer = create("sequence", {"heads": 3, "embedding_dim": 16, "architecture": architecture})
        assert scorer.config.heads == 3

    def test_ids_alone_do_not_answer_words(self):
        assert create("sequence", {"item_vectors": "ids"}).capabilities.answers == {"history"}
        assert create("sequence", {"item_vectors": "sum"}).capabilities.answers == {"history", "text"}

    def test_the_size_is_fitted_to_the_time(self):
        data = dataset_of(ring(), N)
        features = small_features(data, RUN)
        scorer = create("sequence", {**SMALL, "epochs": 8})
        enough, said = scorer.within(600.0, data, features, RUN)
        assert enough.config == scorer.config
        assert "8 epochs" in said
        none, said = scorer.within(0.0, data, features, RUN)
        assert none is None
        assert "too little" in said

    @pytest.mark.parametrize("dim", [12, 36])
    def test_smaller_sizes_keep_to_what_heads_allow(self, dim, monkeypatch):
        from fuserec.neural.sequence import fit as sequence_fit

        tried = []

        def slow(config, *args):
            create("sequence", config.model_dump())  # the size is one that may be configured
            tried.append(config.embedding_dim)
            return 1e9

        monkeypatch.setattr(sequence_fit, "seconds_per_epoch", slow)
        data = dataset_of(ring(), N)
        scorer = create("sequence", {**SMALL, "embedding_dim": dim, "heads": 4})
        assert scorer.within(60.0, data, small_features(data, RUN), RUN)[0] is None
        assert tried[0] == dim


class TestWithoutPyTorch:
    def test_a_fit_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(neural, "available", lambda: False)
        with pytest.raises(
            MissingExtraError, match=r"sequence needs .*pip install 'fuserec\[deep\]'"
        ) as caught:
            learnt(ring())
        assert caught.value.extra == "deep"
        assert "\n" not in str(caught.value)

    def test_a_model_answers_without_it(self, monkeypatch):
        scorer = learnt(ring(), epochs=1)
        q = QueryBatch.of_histories([[0, 1, 2], [5]])
        wanted = scorer.score(q).values
        arrays, meta = scorer.state()
        for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "torch", None)
        found = type(scorer).from_state(scorer.config, arrays, meta, None)
        assert np.array_equal(found.score(q).values, wanted)

    def test_it_can_be_configured(self, monkeypatch):
        """As it is where PyTorch is not installed: nothing is imported before a fit."""
        for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "torch", None)
        assert not neural.available()
        scorer = create("sequence", SMALL)
        with pytest.raises(MissingExtraError):
            scorer.fit(dataset_of(ring(), N), None, RUN)


class TestDevices:
    def test_a_gpu_that_is_not_there_is_one_clear_line(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        data = dataset_of(ring(), N)
        scorer = create("sequence", {**SMALL, "item_vectors": "ids"})
        with pytest.raises(ConfigError, match="device 'cuda': PyTorch sees no GPU here; choose") as caught:
            scorer.fit(data, small_features(data, RUN), replace(RUN, device="cuda"))
        assert "\n" not in str(caught.value)

    @GPU
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_a_gpu_gives_the_same_ranking(self, architecture):
        """Of models that have learnt the order: what is half learnt is ranked otherwise by every other seed, too."""
        cpu, gpu = (
            learnt(ring(), replace(RUN, device=name), architecture=architecture, item_vectors="ids")
            for name in ("cpu", "cuda")
        )
        q = QueryBatch.of_histories(list(strangers()[:, :7]))
        assert (cpu.score(q).values.argmax(axis=1) == gpu.score(q).values.argmax(axis=1)).mean() > 0.98
        assert min(ndcg(cpu, strangers()), ndcg(gpu, strangers())) > 0.98

    @pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_what_is_kept_reads_as_the_trained_model_did(self, architecture, device, monkeypatch):
        """Equal weights, equal numbers: PyTorch where it was trained, and numpy on the processor."""
        from fuserec.neural.sequence import fit as sequence_fit

        trained, kept = [], sequence_fit._kept

        def listening(config, ready):
            trained.append(ready.model)
            return kept(config, ready)

        monkeypatch.setattr(sequence_fit, "_kept", listening)
        run = replace(RUN, device=device)
        scorer = learnt(ring(), run, architecture=architecture, item_vectors="ids", epochs=2)
        walks, model = strangers()[:12, :7].astype(np.int64), trained[0].eval()
        indptr = np.arange(0, walks.size + 1, walks.shape[1])
        inputs, lengths = (
            torch.from_numpy(array).to(device)
            for array in newest(indptr, walks.ravel(), scorer.config.max_length)
        )
        with torch.inference_mode():
            wanted = model.last(model.items(), inputs, lengths).float().cpu().numpy()
        found = scorer._model.ends(indptr, walks.ravel(), np.zeros((0, wanted.shape[1]), np.float32))
        assert np.abs(found - wanted).max() < {"cpu": 1e-4, "cuda": 0.01}[device] * np.abs(wanted).max()
