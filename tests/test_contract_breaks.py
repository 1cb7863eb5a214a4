"""The contract suite has to fail where a promise is broken: one scorer broken on purpose for each."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from fuserec.config import create_parts
from fuserec.fusion.blend import Blend
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.run import RunOptions
from fuserec.scorers.als import ImplicitALS
from fuserec.scorers.base import Capabilities, Evidence
from fuserec.scorers.content import Content
from fuserec.scorers.cooccurrence import Cooccurrence
from fuserec.scorers.ease import EASE
from fuserec.scorers.history import DenseMap, HistoryScorer, SparseMap
from fuserec.scorers.popularity import Popularity
from fuserec.scorers.svd import BiasedSVD
from fuserec.scorers.user_knn import UserKNN
from fuserec.testing import check_list, check_scorer, small_dataset, small_features, small_queries
from fuserec.testing.contract import subject_of
from fuserec.testing.form import (
    abstains_on_items_it_cannot_judge,
    abstains_on_queries_it_cannot_answer,
    batch_equals_singles,
    candidates_equal_the_slice,
    odd_queries_get_answers,
    order_of_queries_is_free,
    predicts_in_the_scale,
    values_are_finite_float32,
)
from fuserec.testing.life import (
    asks_to_be_fitted,
    fit_leaves_the_original_alone,
    hyperparameters_are_checked,
    inputs_stay_untouched,
    many_may_ask_at_once,
    retuning_equals_refitting,
    same_seed_same_bits,
    state_round_trip,
    threads_do_not_matter,
    update_knows_what_is_new,
)
from fuserec.testing.meaning import (
    equals_its_definition,
    evidence_sums_to_the_score,
    exact_evidence_is_exact,
    order_counts_where_it_is_needed,
    own_row_is_left_out,
    users_are_only_left_out,
)

RUN = RunOptions(seed=7, threads=1)
BREAKS = []


def breaks(*checks):
    """Register a scorer and the checks that have to fail for it."""

    def register(make):
        BREAKS.extend(pytest.param(make, check, id=f"{make.__name__}-{check.__name__}") for check in checks)
        return make

    return register


@breaks(equals_its_definition)
class TransposedEASE(EASE):
    def _fit(self, train, features, run):
        super()._fit(train, features, run)
        self._map = DenseMap(np.ascontiguousarray(self._map.matrix.T))


@breaks(equals_its_definition, order_counts_where_it_is_needed)
class TransposedCooccurrence(Cooccurrence):
    def _fit(self, train, features, run):
        super()._fit(train, features, run)
        m = self._map.matrix
        self._map = DenseMap(m.T.copy()) if isinstance(self._map, DenseMap) else SparseMap(m.T.tocsr())


@breaks(order_counts_where_it_is_needed)
class FitIgnoresOrder(Cooccurrence):
    """Counts pairs both ways alike."""

    def __init__(self, config=None):
        super().__init__(config or self.Config(backward=1.0))


@breaks(order_counts_where_it_is_needed, equals_its_definition)
class HistoryOrderIgnored(Cooccurrence):
    def inputs(self, q):
        return q.weights * self.scale[q.items]


@breaks(evidence_sums_to_the_score)
class EvidenceDoesNotSum(EASE):
    def evidence(self, q, items):
        return [[rows[:-1] for rows in row] for row in super().evidence(q, items)]


@breaks(exact_evidence_is_exact)
class EvidenceBlamesTheWrongItem(EASE):
    """The rows still sum to the score, but their contributions are handed round."""

    def evidence(self, q, items):
        def turned(rows):
            given = [row.contribution for row in rows]
            return [replace(row, contribution=c) for row, c in zip(rows, given[1:] + given[:1], strict=True)]

        return [[turned(rows) for rows in row] for row in super().evidence(q, items)]


@breaks(exact_evidence_is_exact)
class EvidenceIsOneRow(EASE):
    def evidence(self, q, items):
        values = self.score(q, items).values
        return [[[Evidence(self.name, "scorer", None, float(v), "exact")] for v in row] for row in values]


@breaks(evidence_sums_to_the_score)
class EvidenceNamesStrangers(EASE):
    def evidence(self, q, items):
        return [
            [[replace(row, key=row.key + 1) for row in rows] for rows in row]
            for row in super().evidence(q, items)
        ]


@breaks(evidence_sums_to_the_score)
class EvidenceClaimsToBeExact(UserKNN):
    capabilities: ClassVar[Capabilities] = replace(UserKNN.capabilities, evidence="exact")


@breaks(batch_equals_singles)
class NormalisesOverTheBatch(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(
            scores, values=scores.values / max(1e-9, float(np.abs(scores.values).max(initial=0.0)))
        )


@breaks(order_of_queries_is_free, batch_equals_singles)
class LooksAtTheNeighbouringQuery(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, values=scores.values + np.float32(0.5) * np.roll(scores.values, 1, axis=0))


@breaks(candidates_equal_the_slice)
class NormalisesOverTheCandidates(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, values=scores.values - scores.values.mean(axis=1, keepdims=True))


@breaks(candidates_equal_the_slice)
class IgnoresTheOrderOfCandidates(EASE):
    def score(self, q, items=None):
        return super().score(q, None if items is None else np.sort(items))


@breaks(values_are_finite_float32, odd_queries_get_answers)
class MinusInfinityForUnknown(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, values=np.where(scores.answered, scores.values, np.float32(-np.inf)))


@breaks(values_are_finite_float32)
class DoublePrecision(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, values=scores.values.astype(np.float64))


@breaks(abstains_on_items_it_cannot_judge, abstains_on_queries_it_cannot_answer)
class NeverAbstains(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, items=np.ones_like(scores.items), queries=np.ones(len(q), dtype=bool))


@breaks(abstains_on_items_it_cannot_judge, abstains_on_queries_it_cannot_answer)
class AlwaysAbstains(EASE):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, items=np.zeros_like(scores.items), queries=np.zeros(len(q), dtype=bool))


@breaks(abstains_on_items_it_cannot_judge)
class JudgesItemsWithoutAnything(Content):
    def _fit(self, train, features, run):
        super()._fit(train, features, run)
        self._items = np.ones(train.n_items, dtype=bool)


@breaks(predicts_in_the_scale)
class PredictsBeyondTheScale(BiasedSVD):
    def predict(self, q, items):
        return super().predict(q, items) + np.float32(1.0)


@breaks(inputs_stay_untouched)
class WritesToTheQuery(EASE):
    def inputs(self, q):
        q.weights[:] = np.abs(q.weights)
        return q.weights


@breaks(inputs_stay_untouched)
class WritesToTheDataset(Popularity):
    def _fit(self, train, features, run):
        train.interactions.weight[train.interactions.weight < 0] = 0.0
        super()._fit(train, features, run)


@breaks(fit_leaves_the_original_alone)
class FitsItself(Popularity):
    def fit(self, train, features, run):
        self._fit(train, features, run)
        self._fitted = True
        return self


@breaks(asks_to_be_fitted)
class AnswersBeforeFit(Popularity):
    _scores = np.zeros(40, np.float32)
    _items = np.zeros(40, dtype=bool)

    def require_fitted(self):
        pass


@breaks(same_seed_same_bits)
class RandomWithoutSeed(EASE):
    def _fit(self, train, features, run):
        super()._fit(train, features, run)
        noise = np.random.default_rng().normal(scale=1e-6, size=self._map.matrix.shape)
        self._map = DenseMap(self._map.matrix + noise.astype(np.float32))


@breaks(threads_do_not_matter)
class DependsOnThreads(EASE):
    def _fit(self, train, features, run):
        super()._fit(train, features, run)
        self._map = DenseMap(self._map.matrix * np.float32(1.0 + 1e-4 * run.threads))


@breaks(many_may_ask_at_once)
class KeepsTheQuery(EASE):
    """Keeps what is asked on itself, and takes long enough for another thread to ask."""

    def score(self, q, items=None):
        import time

        self._asked = q
        time.sleep(0.002)
        return super().score(self._asked, items)


@breaks(state_round_trip)
class ForgetsOnSaving(Popularity):
    def state(self):
        arrays, meta = super().state()
        return {**arrays, "scores": np.round(arrays["scores"], 1)}, meta


@breaks(state_round_trip)
class SavesObjects(Popularity):
    def state(self):
        arrays, meta = super().state()
        return {**arrays, "names": np.array(["a", None], dtype=object)}, meta


@breaks(state_round_trip)
class SavesWhatIsNoJson(Popularity):
    def state(self):
        arrays, meta = super().state()
        return arrays, {**meta, "when": {1, 2}}


@breaks(update_knows_what_is_new)
class UpdateDoesNothing(Cooccurrence):
    def updated(self, train, features, run):
        return self


@breaks(update_knows_what_is_new)
class UpdateForgetsTheNewItems(ImplicitALS):
    def updated(self, train, features, run):
        other = super().updated(train, features, run)
        other._items = other._items & (np.arange(train.n_items) < 40)
        return other


@breaks(update_knows_what_is_new)
class KeepsWhatWasCached(HistoryScorer):
    """Caches which items speak and takes the cache along into the next fit."""

    name: ClassVar[str] = "keeps"
    Config = EASE.Config
    capabilities: ClassVar[Capabilities] = EASE.capabilities
    _fit, inputs = EASE._fit, EASE.inputs

    @property
    def _speaks(self):
        if "_kept" not in self.__dict__:
            self._kept = np.concatenate([self._map.speaks(), np.zeros(59, dtype=bool)])
        return self._kept[: self._items.size]


@breaks(retuning_equals_refitting)
class RetunedHalfway(Cooccurrence):
    """``decay`` acts on the fit: it cannot be tuned without one."""

    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"decay": (0.5, 0.9)}


@breaks(retuning_equals_refitting)
class RetunesItself(Cooccurrence):
    def retuned(self, **changes):
        self.config = self.config.model_copy(update=changes)
        return self


@breaks(hyperparameters_are_checked)
class AnythingGoes(Popularity):
    class Config(Popularity.Config):
        model_config: ClassVar = {"extra": "ignore", "frozen": True}


@breaks(users_are_only_left_out)
class LooksUsersUp(Popularity):
    def score(self, q, items=None):
        scores = super().score(q, items)
        return replace(scores, values=scores.values + q.users[:, None].astype(np.float32))


@breaks(own_row_is_left_out)
class AnswersFromTheOwnRow(UserKNN):
    def _own(self, q):
        return np.full(len(q), -1, np.int32)


@breaks(abstains_on_queries_it_cannot_answer)
def fusion_that_says_nothing_to_strangers():
    class Silent(Blend):
        def _factors(self, scores, q, shape):
            factors, behind, pattern = super()._factors(scores, q, shape)
            return factors * (q.lengths > 0)[None, :, None].astype(np.float32), behind, pattern

    return Silent(parts=create_parts({"popularity": {}, "cooccurrence": {}}))


@breaks(exact_evidence_is_exact, evidence_sums_to_the_score)
def fusion_whose_evidence_is_in_the_parts_units():
    class Unscaled(Blend):
        def _cell(self, found, factors, query, column):
            return super()._cell(found, np.ones_like(factors), query, column)

    return Unscaled(parts=create_parts({"popularity": {}, "cooccurrence": {}}))


@pytest.mark.parametrize(("make", "check"), BREAKS)
def test_a_broken_scorer_fails(make, check):
    with pytest.raises(AssertionError):
        check(subject_of(make()))


def test_the_whole_suite_names_the_broken_promise():
    with pytest.raises(AssertionError, match="ease: equals_its_definition: its definition"):
        check_scorer(TransposedEASE())


def test_a_sound_scorer_passes_the_whole_suite():
    check_scorer(Popularity())


def lists(k=30, *, exclude=True):
    dataset = small_dataset()
    features = small_features(dataset, RUN)
    q = small_queries(dataset, features, RUN)
    scores = EASE().fit(dataset, features, RUN).score(q).values
    ties = reseed(dataset.items.hashes, 0)
    items, values, counts = top_k(scores, k, exclude=q.seen() if exclude else None, ties=ties)
    for row, n in enumerate(counts):
        seen = q.items[q.indptr[row] : q.indptr[row + 1]]
        yield (
            items[row, :n],
            values[row, :n],
            {"k": k, "seen": set(seen.tolist()), "n_items": dataset.n_items},
        )


def test_lists_of_top_k_pass():
    for items, values, asked in lists():
        check_list(items, values, **asked)
    for items, values, asked in lists(k=40):
        assert len(items) == 40 - len(asked["seen"])  # short where nothing more may be returned
        check_list(items, values, **asked)


def test_a_seen_item_returned_fails():
    returned = [rows for rows in lists(exclude=False) if set(rows[0].tolist()) & rows[2]["seen"]]
    assert returned
    for items, values, asked in returned:
        with pytest.raises(AssertionError, match="came back"):
            check_list(items, values, **asked)


def test_each_promise_of_a_list_is_checked():
    items, values = np.array([3, 1, 2]), np.array([0.9, 0.5, 0.1])
    asked = {"k": 3, "seen": {7}, "n_items": 9}
    check_list(items, values, **asked)
    with pytest.raises(AssertionError, match="twice"):
        check_list(np.array([3, 1, 3]), values, **asked)
    with pytest.raises(AssertionError, match="filters"):
        check_list(items, values, **asked, eligible={1, 2, 4, 5})
    with pytest.raises(AssertionError, match="best first"):
        check_list(items, values[::-1], **asked)
    with pytest.raises(AssertionError, match="2 items for k = 3"):
        check_list(items[:2], values[:2], **asked)
    check_list(items[:2], values[:2], **asked, eligible={3, 1, 7})
