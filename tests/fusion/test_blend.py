from __future__ import annotations

import logging
from typing import ClassVar

import numpy as np
import pytest

from fuserec.config import create_parts
from fuserec.data.query import QueryBatch
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, NotFittedError
from fuserec.fusion.base import held_with_words
from fuserec.fusion.blend import Blend
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.candidates import candidate_table
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS, item_cohorts
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.learning import Learnt
from fuserec.fusion.search import BlendWeights, Objective
from fuserec.numerics.hashing import reseed
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores
from fuserec.settings import Settings
from fuserec.testing import small_dataset, small_features, small_queries

RUN = RunOptions(seed=7, threads=1)


class Paper(Scorer):
    """Scores written on paper; NaN where it abstains."""

    name: ClassVar[str] = "paper"
    Config = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="exact")

    def __init__(self, values, queries=None):
        super().__init__()
        self.values = np.array(values, np.float32)
        self.queries = np.ones(len(self.values), bool) if queries is None else np.array(queries)
        self._fitted = True

    def _fit(self, train, features, run):
        raise NotImplementedError

    def score(self, q, items=None):
        values = self.values if items is None else np.take_along_axis(self.values, items, 1)
        return Scores(
            np.nan_to_num(values),
            ~np.isnan(values).any(axis=0) if items is None else ~np.isnan(values),
            self.queries,
        )

    def evidence(self, q, items):
        values = self.score(q, items).values
        return [[[Evidence("paper", "scorer", None, float(v), "exact")] for v in row] for row in values]

    def state(self):
        return {}, {}

    def _restore(self, arrays, meta):
        pass


def blend(parts, weights, constants=None, offsets=(0.0, 0.0, 0.0), counts=(9, 9, 9)):
    """Return a fusion whose numbers are written on paper, the same for all query cohorts."""
    n, rows = len(parts), len(QUERY_COHORTS)
    made = Blend(parts={f"p{i}": part for i, part in enumerate(parts)})
    made._learnt = Learnt(
        BlendWeights(
            np.tile(np.array(weights, float), (rows, 1)),
            np.tile(np.array(constants or [1.0] * n, float), (rows, 1)),
            np.array(offsets),
        ),
        Calibration(np.zeros(1), np.zeros(1)),
        np.zeros(n),
        {},
    )
    made._cohorts, made._threads, made._fitted = item_cohorts(np.array(counts)), 1, True
    return made


ONE = QueryBatch.of_histories([[0]])


def test_weighted_sum_of_scaled_scores():
    fused = blend([Paper([[2, 4, 6]]), Paper([[10, 0, 20]])], [0.25, 0.75], constants=[2.0, 10.0])
    np.testing.assert_allclose(fused.score(ONE).values, [[0.25 + 0.75, 0.5, 0.75 + 1.5]])


def test_a_part_that_abstains_is_left_out_and_the_weights_renormalised():
    """The strong warm part 0 does not know item 2: it gets part 1 at full weight, not a quarter of it."""
    fused = blend([Paper([[8, 1, np.nan]]), Paper([[1, 1, 6]])], [0.75, 0.25])
    scores = fused.score(ONE)
    np.testing.assert_allclose(scores.values, [[6.25, 1.0, 6.0]])
    assert scores.answered.all()


def test_a_query_that_a_part_cannot_answer_is_left_to_the_others():
    fused = blend([Paper([[8, 1, 1], [8, 1, 1]], [True, False]), Paper([[1, 2, 3], [1, 2, 3]])], [0.5, 0.5])
    np.testing.assert_allclose(
        fused.score(QueryBatch.of_histories([[0], []])).values, [[4.5, 1.5, 2], [1, 2, 3]]
    )


def test_where_every_part_abstains_the_fusion_does():
    fused = blend([Paper([[8, np.nan, np.nan]]), Paper([[1, 1, np.nan]])], [0.5, 0.5])
    assert fused.score(ONE).answered.tolist() == [[True, True, False]]
    silent = blend([Paper([[8, 1, 1]], [False])], [1.0]).score(ONE)
    assert not silent.queries.any()
    assert not silent.answered.any()


def test_a_part_without_weight_answers_when_no_other_can():
    parts = [Paper([[1, 2, 3], [1, 2, 3]], [True, False]), Paper([[6, 5, 4], [6, 5, 4]])]
    found = blend(parts, [1.0, 0.0]).score(QueryBatch.of_histories([[0], []]))
    np.testing.assert_allclose(found.values, [[1, 2, 3], [6, 5, 4]])
    assert found.queries.all()


def test_an_item_that_only_parts_without_weight_know_stands_behind_the_others():
    parts = [Paper([[8, 1, np.nan, np.nan]]), Paper([[1, 1, 6, 9]]), Paper([[1, 1, 2, np.nan]])]
    fused = blend(parts, [1.0, 0.0, 0.0], constants=[1.0, 3.0, 2.0], counts=(9, 9, 0, 0))
    found = fused.score(ONE)
    assert found.answered.all()
    np.testing.assert_allclose(found.values, [[8, 1, (2 + 1) / 2 - 10, 3 - 10]])
    some = np.array([[3, 0]])
    np.testing.assert_allclose(fused.score(ONE, some).values, [[-7, 8]])
    rows = fused.evidence(ONE, np.array([[2, 0]]))[0]
    assert [[(r.scorer, r.key, pytest.approx(r.contribution)) for r in cell] for cell in rows] == [
        [("p1", None, 1.0), ("p2", None, 0.5), ("fused", "cold", -10.0)],
        [("p0", None, 8.0)],
    ]


def test_offsets_are_added_and_are_an_evidence_row():
    fused = blend([Paper([[1, 1, 1]])], [1.0], offsets=(0.5, -0.25, 0.0), counts=(0, 3, 80))
    np.testing.assert_allclose(fused.score(ONE).values, [[1.5, 0.75, 1.0]])
    rows = fused.evidence(ONE, np.array([[0, 1, 2]]))[0]
    assert [[(r.scorer, r.kind, r.key, r.contribution) for r in cell[1:]] for cell in rows] == [
        [("fused", "offset", "cold", 0.5)],
        [("fused", "offset", "tail", -0.25)],
        [],
    ]


def test_evidence_is_in_units_of_the_fused_score():
    fused = blend([Paper([[2, 4, np.nan]]), Paper([[10, 0, 20]])], [0.25, 0.75], constants=[2.0, 10.0])
    rows = fused.evidence(ONE, np.array([[0, 2]]))[0]
    assert [[(r.scorer, pytest.approx(r.contribution)) for r in cell] for cell in rows] == [
        [("p0", 0.25), ("p1", 0.75)],
        [("p1", 2.0)],
    ]


def test_weights_are_those_of_the_query_cohort():
    fused = blend([Paper([[1, 0, 0]] * 2), Paper([[0, 1, 0]] * 2)], [1.0, 0.0])
    fused._learnt.weights.weights[QUERY_COHORTS.index("long")] = [0.0, 1.0]
    found = fused.score(QueryBatch.of_histories([[0], [0] * 6])).values
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 1, 0]])


NAMES = ("popularity", "cooccurrence", "item_knn", "ease", "content", "als", "svd")


@pytest.fixture(scope="module")
def data():
    return small_dataset()


@pytest.fixture(scope="module")
def features(data):
    return small_features(data, RUN)


@pytest.fixture(scope="module")
def fitted(data, features):
    return Blend(parts=create_parts({name: {} for name in NAMES})).fit(data, features, RUN)


def test_on_validation_never_below_the_best_part(fitted):
    figures = dict(fitted.learnt.figures)
    assert set(figures) == {"fused", *NAMES}
    assert figures.pop("fused") >= max(figures.values()) - 1e-12


def test_what_is_learnt_is_what_is_scored(data, features):
    """The table's fused scores, on which weights are chosen, equal those of ``score`` where the fusion answers."""
    held = held_with_words(hold_out(data, SplitConfig(), 7, "validation"), data, features, RUN)
    parts = {n: create(n).fit(held.train, features, RUN) for n in ("popularity", "cooccurrence", "content")}
    fused = Blend(FusionConfig(tune=False), parts).taught(held, RUN)
    table = candidate_table(parts, held, 20, reseed(data.items.hashes, 0), RUN)
    cohorts = item_cohorts(held.train.item_counts)
    scores = fused.score(held.queries)
    objective = Objective(table, cohorts, 10, 1)
    for q in (0, 5, 17, 40):
        span = slice(table.indptr[q], table.indptr[q + 1])
        weights = fused.learnt.weights.weights[table.cohorts[q]]
        heard = np.where(table.answered[span], weights, 0.0)
        constants = fused.learnt.weights.constants[table.cohorts[q]]
        known = heard.sum(axis=1) > 0
        value = (heard * table.scores[span] / constants).sum(axis=1)[known] / heard.sum(axis=1)[known]
        expected = value + fused.learnt.weights.offsets[cohorts[table.items[span]]][known]
        np.testing.assert_allclose(scores.values[q, table.items[span]][known], expected, rtol=1e-4, atol=1e-5)
        visible = np.where(
            scores.answered[q, table.items[span]], scores.values[q, table.items[span]], -np.inf
        )
        mine = visible[table.target[span]][0]
        rank = np.sum(visible > mine) + 0.5 * (np.sum(visible == mine) + 1)
        gain = objective.gains(weights, fused.learnt.weights.offsets, np.array([q]))[0]
        assert gain == pytest.approx(1 / np.log2(1 + rank) if rank <= 10 else 0.0, abs=1e-6)


def test_somebody_unknown_gets_what_is_popular(data, features, fitted):
    found = fitted.score(QueryBatch.of_histories([[]]))
    popular = fitted.parts["popularity"].score(QueryBatch.of_histories([[]]))
    assert found.queries.all()
    warm = np.flatnonzero(data.item_counts > 5)
    np.testing.assert_array_equal(np.argsort(found.values[0, warm]), np.argsort(popular.values[0, warm]))


def test_a_sentence_alone_finds_cold_items(features, fitted):
    q = with_words(
        QueryBatch.of_histories([[]]), [Words("detective murder alibi witness police poison")], features, RUN
    )
    scores = fitted.score(q)
    assert scores.queries.all()
    assert scores.answered[0, 37]  # cold, with text
    assert not scores.answered[0, 39]  # cold, without
    crime = np.arange(40) % 4 == 1
    assert scores.values[0, :34][crime[:34]].mean() > scores.values[0, :34][~crime[:34]].mean()


def test_parts_are_refitted_on_everything_with_the_values_tuned(data, features, fitted):
    for name, part in fitted.parts.items():
        again = type(part)(part.config).fit(data, features, RUN)
        q = data.queries(np.arange(5, 9))
        np.testing.assert_allclose(
            part.score(q).values, again.score(q).values, rtol=1e-5, atol=1e-6, err_msg=name
        )
        np.testing.assert_array_equal(part.score(q).answered, again.score(q).answered, err_msg=name)


def test_parts_that_bring_nothing_are_left_out_but_for_the_last_resort(data, features, caplog):
    with caplog.at_level(logging.INFO, logger="fuserec"):
        parts = {
            "popularity": {},
            "cooccurrence": {},
            "again": {"scorer": "cooccurrence"},
            "ease": {},
            "item_knn": {},
        }
        fused = Blend(parts=create_parts(parts)).fit(data, features, RUN)
    left = [record.getMessage() for record in caplog.records if "brings nothing" in record.getMessage()]
    assert len(left) == len(parts) - len(fused.parts)
    assert left, "of two equal parts one has to go"
    assert "popularity" in fused.parts
    assert fused.learnt.weights.weights.shape == (len(QUERY_COHORTS), len(fused.parts))
    assert list(fused.weights_table()) == list(QUERY_COHORTS)
    assert list(fused.weights_table()["long"]) == list(fused.parts)


def test_a_part_above_its_catalogue_limit_is_left_out_with_a_line(data, features, caplog):
    class Small(type(create("ease"))):
        capabilities = Capabilities(evidence="exact", max_items=39)

    fused = Blend(parts={"popularity": create("popularity"), "ease": Small()}).fit(data, features, RUN)
    assert list(fused.parts) == ["popularity"]
    assert "part ease is left out: 40 items, it takes 39" in caplog.text
    with pytest.raises(ConfigError, match="no part of the fusion can take this catalogue"):
        Blend(parts={"ease": Small()}).fit(data, features, RUN)


def test_a_fusion_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="at least one part"):
        Blend()


def test_ratings_are_predicted_by_the_parts_that_can(data, features):
    config = FusionConfig(validation=SplitConfig(protocol="random", share=0.3), tune=False)
    fused = Blend(config, create_parts({"popularity": {}, "svd": {}, "nmf": {}})).fit(data, features, RUN)
    assert fused.predicts
    q, items = data.queries(np.array([9, 20])), np.array([[1, 2, 3], [4, 5, 6]])
    found = fused.predict(q, items)
    weights = dict(zip(fused.parts, fused.learnt.ratings, strict=True))
    assert weights["popularity"] == 0
    expected = sum(w * fused.parts[n].predict(q, items) for n, w in weights.items() if w) / sum(
        weights.values()
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert 1 <= found.min() <= found.max() <= 5


def test_without_a_part_that_can_predict_it_says_so(data, features):
    fused = Blend(parts=create_parts({"popularity": {}})).fit(data, features, RUN)
    assert not fused.predicts
    with pytest.raises(NotFittedError, match="does not predict ratings"):
        fused.predict(data.queries(np.array([9])), np.array([[1]]))


def test_probabilities_grow_with_scores(data, features, fitted):
    q = small_queries(data, features, RUN)
    scores = np.sort(fitted.score(q).values.ravel())
    found = fitted.probability(scores)
    assert np.all(np.diff(found) >= 0)
    assert 0 <= found[0] < found[-1] <= 1


def test_words_stored_before_the_moment_are_read(data, features):
    held = held_with_words(hold_out(data, SplitConfig(), 0, "validation"), data, features, RUN)
    profile = np.array([user % 6 == 5 for user in held.queries.users])
    searched = np.array([user in range(4, 40, 4) for user in held.queries.users])
    np.testing.assert_array_equal(held.queries.has_text, profile | searched)
    assert ITEM_COHORTS == ("cold", "tail", "head")
