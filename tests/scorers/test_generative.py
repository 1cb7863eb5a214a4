"""Generative retrieval spells what comes next where there is an order to learn, and only ids that there are."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from planted_walks import CHANCE, RUN, N, ndcg, ring, shuffled

from fuserec import neural
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError
from fuserec.recommender import Recommender
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import small_dataset, small_features

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

SMALL = {
    "embedding_dim": 24,
    "heads": 2,
    "text_dim": 16,
    "levels": 2,
    "codebook_size": 4,
    "max_length": 4,
    "batch_size": 64,
    "learning_rate": 0.02,
    "dropout": 0.1,
    "patience": 0,
    "epochs": 8,
}
MARGIN = 0.1
"""Three standard errors of the figure of so many strangers."""


def learnt(walks, n_items=N, run=RUN, **changes):
    """The scorer after a training on some histories."""
    data = dataset_of(walks, n_items)
    return create("generative", {**SMALL, **changes}).fit(data, small_features(data, RUN), run)


def strangers():
    """Walks of people who are not in the training data."""
    return ring(96, 20, seed=5)


def shaken(model):
    """Random numbers on top of all weights: a generator with opinions."""
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=drawn))
    return model


@pytest.fixture(scope="module")
def walker():
    """A generator that has learnt to walk the ring."""
    return learnt(ring())


class TestOrder:
    @pytest.mark.parametrize("beside", ["nothing", "text", "ids", "both"])
    def test_a_planted_order_is_learnt(self, beside):
        assert ndcg(learnt(ring(), beside=beside), strangers()) > 0.95

    def test_it_is_learnt_from_digits_that_mean_the_same_everywhere(self):
        assert ndcg(learnt(ring(), own_dim=0, beside="nothing", epochs=12), strangers()) > 0.95

    def test_smoothed_it_is_learnt_and_less_sure(self, walker):
        smooth = learnt(ring(), label_smoothing=0.2)
        assert ndcg(smooth, strangers()) > 0.95
        q = QueryBatch.of_histories(list(strangers()[:, :7]))
        assert smooth.score(q).values.max(axis=1).mean() < walker.score(q).values.max(axis=1).mean() - 0.1

    def test_it_is_learnt_in_half_precision(self, monkeypatch):
        from fuserec.neural.generative import fit as generative_fit

        monkeypatch.setattr(generative_fit, "fast_type", lambda device: torch.bfloat16)
        scorer = learnt(ring())
        assert {array.dtype.kind for array in scorer.state()[0].values()} <= {"f", "i", "b"}
        assert ndcg(scorer, strangers()) > 0.95

    def test_a_shuffled_order_teaches_nothing(self):
        """The same histories in orders of their own: what comes next is a matter of popularity, which is equal."""
        scorer = learnt(shuffled(ring()))
        assert abs(ndcg(scorer, shuffled(strangers(), seed=2)) - CHANCE) < MARGIN
        assert ndcg(scorer, strangers()) < CHANCE + 0.25

    def test_targets_permuted_between_users_are_guessed_at_chance(self, walker):
        others = np.random.default_rng(3).permutation(strangers()[:, 7])
        assert abs(ndcg(walker, strangers(), others) - CHANCE) < MARGIN
        assert ndcg(walker, strangers()) > 0.95

    def test_only_the_newest_events_are_read(self, walker):
        values = walker.score(QueryBatch.of_histories([[9, 2, *range(4)], [*range(4)]])).values
        np.testing.assert_array_equal(values[0], values[1])


class TestIds:
    """What the generator can say at all, whatever its weights are."""

    @pytest.mark.parametrize("seed", range(4))
    def test_random_weights_spell_only_ids_of_the_catalogue(self, walker, seed):
        rng = np.random.default_rng(seed)
        model = walker._model
        wild = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in model.weights.items()}
        wild = replace(model, weights=wild)
        ends = rng.normal(size=(20, SMALL["embedding_dim"])).astype(np.float32)
        for width in (1, 3, 100):
            rows, items, logs = wild.beam(ends, width)
            codes = model.ids.digits[items]
            assert np.array_equal(model.ids.decoded(codes), items)
            assert (logs <= 1e-5).all()
            assert np.bincount(rows, minlength=20).min() >= 1
        assert np.array_equal(np.bincount(rows, minlength=20), np.full(20, N))
        np.testing.assert_allclose(np.bincount(rows, np.exp(logs.astype(float))), 1.0, rtol=1e-4)

    def test_scores_are_probabilities_to_a_power(self):
        scorer = learnt(ring(), epochs=2, sharpness=0.5)
        values = scorer.score(QueryBatch.of_histories([[1, 2, 3], [9]])).values
        np.testing.assert_allclose(np.square(values).sum(axis=1), 1.0, rtol=1e-4)

    def test_what_the_beam_leaves_out_scores_zero_and_is_no_abstention(self, walker):
        narrow = create("generative", {**SMALL, "beam": 2})
        narrow._model, narrow._fitted = walker._model, True
        q = QueryBatch.of_histories([[3, 4, 5], [8]])
        some, every = narrow.score(q), walker.score(q)
        assert some.answered.all()
        assert ((some.values > 0).sum(axis=1) == 2).all()
        there = some.values > 0
        np.testing.assert_array_equal(some.values[there], every.values[there])
        assert some.values[0].argmax() == 6

    def test_a_narrow_beam_hangs_on_the_query_alone(self, walker):
        """Neither on who else asks nor on which candidates are asked for."""
        narrow = create("generative", {**SMALL, "beam": 3})
        narrow._model, narrow._fitted = walker._model, True
        q = QueryBatch.of_histories([[3], [1, 2, 3, 4, 5], [], [7, 8, 9]])
        whole = narrow.score(q).values
        assert ((whole > 0).sum(axis=1) == [3, 3, 0, 3]).all()
        for row in range(4):
            np.testing.assert_allclose(
                narrow.score(q.take([row])).values[0], whole[row], rtol=1e-4, atol=1e-7
            )
        some = np.array([6, 0, 4, 10])
        np.testing.assert_array_equal(narrow.score(q, some).values, whole[:, some])

    def test_the_loss_is_minus_the_log_of_the_score(self):
        """What training lowers, by PyTorch, is what answering says, by numpy: teacher forcing against the trie."""
        from fuserec.neural.generative.config import GenerativeConfig
        from fuserec.neural.generative.fit import prepared
        from fuserec.neural.windows import Batch

        data = dataset_of(ring(), N)
        config = GenerativeConfig(**SMALL)
        ready, task = prepared(config, data, small_features(data, RUN), RUN)
        task.dtype = torch.float32
        shaken(ready.model).eval()
        inputs = np.array([[3, 1, 4, 1], [5, 9, 0, 0], [2, 0, 0, 0]])
        targets = np.array([[-1, -1, -1, 5], [-1, 2, -1, -1], [6, -1, -1, -1]])
        with torch.no_grad():
            lost = float(task.loss(Batch(inputs, np.array([4, 2, 1]), targets)))
        scorer = create("generative", SMALL)
        scorer._model, scorer._fitted = ready.kept(), True
        q = QueryBatch.of_histories([[3, 1, 4, 1], [5, 9], [2]])
        p = scorer.score(q).values[np.arange(3), [5, 2, 6]]
        assert lost == pytest.approx(float(-np.log(p.astype(float)).mean()), rel=1e-3)

    def test_what_nobody_has_taken_is_not_learnt_to_be_wrong(self):
        """Its branches get no gradient: biases stay where they began, though its siblings are taken all the time."""
        scorer = learnt(ring(), n_items=N + 3)
        model = scorer._model
        paths = dict(zip(model.trie.leaves.tolist(), model.trie.paths.tolist(), strict=True))
        taken = {node for item in range(N) for node in enumerate(paths[item])}
        alone = [node for item in range(N, N + 3) for node in enumerate(paths[item]) if node not in taken]
        assert alone
        for level, node in alone:
            assert model.weights[f"decoder.bias.{level}"][node] == 0.0
        assert model.weights["decoder.bias.0"].any()


TITLES = [f"{('red', 'green', 'blue')[i % 3]} thing {i}" for i in range(24)]


class TestCatalogue:
    def data(self, n_items=24):
        """People keep to a colour; the last two items are taken by nobody."""
        rng = np.random.default_rng(0)
        walks = [rng.permutation(np.arange(u % 3, 22, 3))[:6].tolist() for u in range(60)]
        return dataset_of(walks, n_items, titles=TITLES[:n_items])

    def fitted(self, data, **changes):
        return create("generative", {**SMALL, "behaviour_share": 0.3, **changes}).fit(
            data, small_features(data, RUN), RUN
        )

    def test_collisions_are_among_the_facts(self):
        scorer = self.fitted(self.data(), codebook_size=2, levels=1)
        codes = {tuple(code) for code in scorer._model.ids.digits[:, :-1].tolist()}
        assert scorer.facts["code_collisions"] == 24 - len(codes) > 0
        assert scorer.facts["code_collision_share"] == pytest.approx(
            scorer.facts["code_collisions"] / 24, abs=1e-6
        )

    def test_an_item_that_nobody_has_taken_is_spelt_by_its_text(self):
        scores = self.fitted(self.data()).score(QueryBatch.of_histories([[1, 4, 7], [2, 5, 8]]))
        assert scores.items.all()
        assert scores.values[0, 22] > 0  # 22 % 3 == 1: it is green, as the first history is
        assert scores.values[0, 22] > scores.values[1, 22]
        assert scores.values[1, 23] > scores.values[0, 23]

    def test_new_items_get_a_code_of_their_own(self):
        data = self.data()
        scorer = self.fitted(data)
        new = dataset_of([[0]], 26, titles=[*TITLES, "green thing 1", "green thing 1"])
        whole = replace(data, items=new.items, item_table=new.item_table)
        features = small_features(data, RUN).extended(whole, RUN)
        later = scorer.updated(whole, features, RUN)
        codes = later._model.ids.digits
        assert np.array_equal(codes[:24], scorer._model.ids.digits)
        assert len({tuple(code) for code in codes.tolist()}) == 26
        assert later._model.ids.decoded(codes[24:]).tolist() == [24, 25]
        q = QueryBatch.of_histories([[1, 4, 7], [2, 5, 8], [24, 25]])
        scores = later.score(q)
        assert scores.answered.all()
        np.testing.assert_allclose(scores.values.sum(axis=1), 1.0, rtol=1e-4)
        assert (scores.values[0, 24:] > scores.values[1, 24:]).all()
        before = scorer.score(
            q.take([0, 1])
        ).values  # old ids keep their odds against each other, but for siblings
        assert np.corrcoef(before.ravel(), scores.values[:2, :24].ravel())[0, 1] > 0.9
        self.assert_branches_kept(scorer._model, later._model)
        again = type(scorer).from_state(later.config, *later.state(), features)
        assert np.array_equal(again.score(q).values, scores.values)

    @staticmethod
    def assert_branches_kept(before, after):
        """What the branches to each earlier id have learnt is still theirs, though branches in between are new."""
        places = [
            dict(zip(m.trie.leaves.tolist(), m.trie.paths.tolist(), strict=True)) for m in (before, after)
        ]
        old, new = (np.array([place[item] for item in range(24)]) for place in places)
        assert (old != new).any()
        for level in range(old.shape[1]):
            for name in (f"decoder.bias.{level}", f"decoder.nodes.{level}.table"):
                there = after.weights[name][new[:, level]]
                np.testing.assert_array_equal(there, before.weights[name][old[:, level]])

    def test_words_are_read_as_an_item_is(self):
        data = self.data()
        scorer, features = self.fitted(data), small_features(data, RUN)
        q = with_words(
            QueryBatch.of_histories([[], [], []]),
            [Words("green thing"), Words("blue thing"), Words("zzz")],
            features,
            RUN,
        )
        scores = scorer.score(q)
        assert scores.queries.tolist() == [True, True, False]
        green, blue = (scores.values[:2, colour:22:3].sum(axis=1) for colour in (1, 2))
        assert green[0] > green[1]
        assert blue[1] > blue[0]

    def test_without_text_ids_come_from_behaviour(self):
        data = dataset_of([r.tolist() for r in ring(20, 8)], N)
        data = replace(data, item_table=pl.DataFrame({"title": [None] * N}, schema={"title": pl.String}))
        scorer = create("generative", SMALL).fit(data, small_features(data, RUN), RUN)
        assert scorer.score(QueryBatch.of_histories([[1, 2]])).answered.all()
        bare = create("generative", {**SMALL, "behaviour_share": 0.0})
        with pytest.raises(DataError, match=r"generative: .*neither text.*behaviour_share") as caught:
            bare.fit(data, small_features(data, RUN), RUN)
        assert "\n" not in str(caught.value)

    def test_dislikes_are_not_read(self):
        scorer = self.fitted(self.data())
        q = QueryBatch.of_histories([[0, 4, 3]]).with_weights(np.array([1.0, -0.5, 0.7]))
        wanted = scorer.score(QueryBatch.of_histories([[0, 3]])).values
        np.testing.assert_array_equal(scorer.score(q).values, wanted)

    def test_evidence_is_what_the_score_loses_without_an_event(self):
        scorer = self.fitted(self.data())
        rows = scorer.evidence(QueryBatch.of_histories([[1, 4, 7]]), np.array([[10]]))[0][0]
        found = {row.key: row.contribution for row in rows if row.kind == "item"}
        whole, *without = scorer.score(QueryBatch.of_histories([[1, 4, 7], [4, 7], [1, 7], [1, 4]])).values[
            :, 10
        ]
        lost = {key: float(whole - one) for key, one in zip((1, 4, 7), without, strict=True)}
        assert found == pytest.approx(lost, rel=1e-3, abs=1e-6)
        assert max(map(abs, lost.values())) > 1e-3
        assert sum(row.contribution for row in rows) == pytest.approx(float(whole), rel=1e-5)


def test_a_recommender_tells_the_collisions_and_keeps_the_ids(tmp_path):
    config = {
        "features": {"use_sentence": "never", "codes": {"levels": 2}},
        "parts": {"generative": {**SMALL, "epochs": 1}, "popularity": {}},
    }
    model = Recommender(RecommenderConfig.parse(config, "test")).fit(small_dataset(), RUN)
    told = model.info()["told"]["generative"]
    assert told["codes"] == 39
    assert 0 <= told["code_collision_share"] < 1
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.info()["told"]["generative"] == told
    asked = {"history": ["item-1", "item-5"], "text": "robot", "k": 5, "explain": True}
    assert again.recommend(**asked).to_json() == model.recommend(**asked).to_json()
    later = again.update(items=[{"item_id": "new", "title": "galaxy robot orbit"}])
    codes = later.fitted.fused.parts["generative"]._model.ids
    assert codes.decoded(codes.digits[[40]]).tolist() == [40]
    assert later.fitted.features.codes.coded[40]


class TestTraining:
    def test_stopped_it_goes_on_bit_equal(self, tmp_path):
        wanted = learnt(ring(), epochs=3).state()[0]
        kept, calls = replace(RUN, checkpoints=tmp_path), iter(range(12))
        with pytest.raises(CancelledError, match="goes on from its checkpoint"):
            learnt(ring(), epochs=3, run=replace(kept, cancel=lambda: next(calls, None) is None))
        found = learnt(ring(), epochs=3, run=kept).state()[0]
        assert wanted.keys() == found.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(array, found[name], err_msg=name)

    def test_the_size_is_fitted_to_the_time(self):
        data = dataset_of(ring(), N)
        features = small_features(data, RUN)
        scorer = create("generative", SMALL)
        enough, said = scorer.within(600.0, data, features, RUN)
        assert enough.config == scorer.config
        assert "8 epochs" in said
        none, said = scorer.within(0.0, data, features, RUN)
        assert none is None
        assert "too little" in said

    def test_held_out_histories_are_judged_as_the_answer_ranks(self):
        from fuserec.neural.generative.config import GenerativeConfig
        from fuserec.neural.generative.fit import prepared

        walks = ring(90, 4)
        data = dataset_of(walks, N)
        ready, task = prepared(GenerativeConfig(**SMALL), data, small_features(data, RUN), RUN)
        histories, targets = task.held
        shaken(ready.model)
        scorer = create("generative", SMALL)
        scorer._model, scorer._fitted = ready.kept(), True
        asked = [histories.items[a:b] for a, b in zip(histories.indptr, histories.indptr[1:], strict=False)]
        values = scorer.score(QueryBatch.of_histories(asked)).values
        for row, history in enumerate(asked):
            values[row, history] = -1.0
        ranks = 1 + (values > values[np.arange(len(asked)), targets][:, None]).sum(axis=1)
        wanted = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)
        np.testing.assert_allclose(task.judge(), wanted, rtol=1e-6)
        assert len(set(ranks.tolist())) > 2


class TestConfiguration:
    @pytest.mark.parametrize(
        ("values", "says"),
        [
            ({"heads": 3, "embedding_dim": 16}, r"heads = 3 has to divide embedding_dim = 16"),
            ({"levels": 0}, r"levels = 0.*greater than or equal to 1"),
            ({"codebook_size": 512}, r"codebook_size = 512.*less than or equal to 256"),
            ({"beside": "txt"}, r"beside = 'txt'.*did you mean 'text'"),
            ({"behaviour_share": 1.0}, r"behaviour_share = 1\.0.*less than 1"),
            ({"beams": 5}, r"unknown key 'beams'.*did you mean 'beam'"),
        ],
    )
    def test_what_is_not_allowed_is_one_clear_line(self, values, says):
        with pytest.raises(ConfigError, match=says) as caught:
            create("generative", values, "[parts.generative]")
        assert "\n" not in str(caught.value)

    def test_an_order_of_nothing_is_refused(self):
        data = dataset_of([[0], [1]], 12, titles=[f"a b{i}" for i in range(12)])
        with pytest.raises(DataError, match=r"generative: no history holds two events"):
            create("generative", SMALL).fit(data, small_features(data, RUN), RUN)


class TestWithoutPyTorch:
    def test_a_fit_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(neural, "available", lambda: False)
        with pytest.raises(MissingExtraError, match=r"generative needs .*pip install 'fuserec\[deep\]'"):
            learnt(ring())

    def test_a_model_answers_without_it(self, walker, monkeypatch):
        q = QueryBatch.of_histories([[0, 1, 2], [5]])
        wanted, (arrays, meta) = walker.score(q).values, walker.state()
        for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "torch", None)
        found = type(walker).from_state(walker.config, arrays, meta, None)
        assert np.array_equal(found.score(q).values, wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_a_gpu_gives_the_same_ranking(walker):
    there = learnt(ring(), run=replace(RUN, device="cuda"))
    assert abs(ndcg(there, strangers()) - ndcg(walker, strangers())) < 0.02
