"""Learning the weights of a blend on validation: coordinate ascent on NDCG from the best part and from their mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

if TYPE_CHECKING:
    from fuserec.fusion.candidates import CandidateTable
    from fuserec.run import RunOptions

STEPS = (0.0, 0.4, 0.6, 0.75, 0.87, 1.15, 1.33, 1.7, 2.5)
"""A weight is tried at these multiples of itself."""

FRESH = (0.02, 0.06, 0.15, 0.4)
"""A weight of zero is tried at these shares of the sum."""

OFFSETS = (-2.0, -1.0, -0.5, -0.25, -0.1, -0.04, 0.04, 0.1, 0.25, 0.5, 1.0, 2.0)
"""An offset is tried at these distances from where it stands; 1 is about the tenth best score of a part."""

ROUNDS = 4
CAUTION = 0.01
"""An offset of 1 has to gain this share of the objective: without evidence a cohort is neither lifted nor sunk."""

SURE = 2.0
"""An offset is kept where its gain, query by query, is above this many standard errors: the best of two dozen trials
gains something on noise as well."""

FLOOR = 0.02
"""Least weight of the parts that read words, together: without it an item added a second ago would have no score."""

FEW = 50
"""Validation targets under which the parts' mean is mixed in: n of them count n / FEW of what they say."""

SHRINK = 200
"""A cohort with this many validation targets stands half on its own weights; with fewer it takes the global ones."""

WORDS_SHARE = 0.5
"""Least share of the parts that read words, together, where words are all that a query has."""

WORDS_ALONE = QUERY_COHORTS.index("none+text")


@dataclass(frozen=True)
class BlendWeights:
    """What a blend has learnt.

    Parameters
    ----------
    weights : float64 (n_query_cohorts, n_parts)
        Non-negative, each row sums to 1.
    constants : float64 (n_query_cohorts, n_parts)
        What each part's scores are divided by.
    offsets : float64 (n_item_cohorts,)
        Added to the items of a cohort; ``head`` is 0.
    """

    weights: np.ndarray
    constants: np.ndarray
    offsets: np.ndarray


def constants(table: CandidateTable) -> np.ndarray:
    """Return float64 (n_query_cohorts, n_parts): mean of the tenth best score, shrunk to that of all queries."""
    n_parts = len(table.names)
    overall = np.array([_mean(table.scale[:, p], 1.0, 0) for p in range(n_parts)])
    rows = [
        [_mean(table.scale[table.cohorts == c, p], overall[p], SHRINK) for p in range(n_parts)]
        for c in range(len(QUERY_COHORTS))
    ]
    return np.array(rows)


def _mean(values: np.ndarray, prior: float, strength: float) -> float:
    """Return the mean of the finite, positive values, pulled to a prior."""
    heard = values[np.isfinite(values) & (values > 0)]
    weight = heard.size + strength
    return float((heard.sum(dtype=np.float64) + strength * prior) / weight) if weight else prior


@kernel
def _blended_gains(
    indptr: np.ndarray,
    queries: np.ndarray,
    scores: np.ndarray,
    target: np.ndarray,
    item_cohort: np.ndarray,
    n_targets: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    depth: int,
    out: np.ndarray,
    lo: int,
    hi: int,
) -> None:
    """Fill NDCG at ``depth`` of queries[lo:hi] under one weight vector; NaN marks a part that abstains."""
    n_parts = weights.size
    total = weights.sum()
    for index in range(lo, hi):
        q = queries[index]
        start, size = indptr[q], indptr[q + 1] - indptr[q]
        fused = np.empty(size, np.float32)
        for c in range(size):
            value, heard = 0.0, 0.0
            for p in range(n_parts):
                score = scores[start + c, p]
                if score == score:
                    value += weights[p] * score
                    heard += weights[p]
            fused[c] = value * total / heard + offsets[item_cohort[start + c]] if heard > 0 else -np.inf
        gain, ideal = 0.0, 0.0
        for t in range(size):
            if target[start + t]:
                above, equal = 0, 0
                for c in range(size):
                    above += fused[c] > fused[t]
                    equal += fused[c] == fused[t]
                rank = above + 0.5 * (equal + 1)
                if rank <= depth:
                    gain += 1.0 / np.log2(1.0 + rank)
        for r in range(min(depth, n_targets[q])):
            ideal += 1.0 / np.log2(2.0 + r)
        out[index] = gain / ideal if ideal > 0 else 0.0


def ranked_gains(
    indptr: np.ndarray, scores: np.ndarray, target: np.ndarray, n_targets: np.ndarray, depth: int
) -> np.ndarray:
    """Return float64 (n,): NDCG at ``depth`` of each query whose candidates have scores already.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    scores : float (n_candidates,)
    target : bool (n_candidates,)
    n_targets : int64 (n,)
        Targets outside of the candidates included.
    depth : int
    """
    n = n_targets.size
    out, alike = np.zeros(n, np.float64), np.zeros(scores.size, np.int8)
    one = scores.astype(np.float32)[:, None]
    _blended_gains(
        indptr, np.arange(n), one, target, alike, n_targets, np.ones(1), np.zeros(1), depth, out, 0, n
    )
    return out


class Objective:
    """NDCG of a candidate table under weights and offsets, for some of its queries.

    ``reads`` (bool (n_parts,)) marks the parts that read words: they alone know items that nobody has taken yet, so
    their weights may not fall under :data:`FLOOR` together. Where all of them are 0, the best of them alone gets it.
    """

    def __init__(
        self,
        table: CandidateTable,
        item_cohort: np.ndarray,
        depth: int,
        threads: int,
        reads: np.ndarray | None = None,
    ) -> None:
        self.table, self.depth, self.threads = table, depth, threads
        self.reads = np.zeros(len(table.names), dtype=bool) if reads is None else reads
        self.constants = constants(table)
        divided = table.scores / self.constants[table.cohorts[table.rows]]
        self.scores = np.where(table.answered, divided, np.nan).astype(np.float32)
        self.item_cohort = item_cohort[table.items]

    def allowed(self, weights: np.ndarray) -> np.ndarray:
        """Return float64 (n_parts,): the weights with the floor kept, summing to 1."""
        weights = weights / weights.sum()
        share = float(weights[self.reads].sum())
        if share >= FLOOR or not self.reads.any():
            return weights
        floor = (
            np.eye(weights.size)[self.keeper] if share == 0 else np.where(self.reads, weights, 0.0) / share
        )
        return np.asarray(np.where(self.reads, 0.0, weights) * (1.0 - FLOOR) / (1.0 - share) + FLOOR * floor)

    @cached_property
    def keeper(self) -> int:
        """Which of the parts that read words is best alone."""
        zero, everyone = np.zeros(len(ITEM_COHORTS)), np.arange(len(self.table))
        return max(
            np.flatnonzero(self.reads).tolist(),
            key=lambda part: self(np.eye(self.reads.size)[part], zero, everyone),
        )

    def gains(self, weights: np.ndarray, offsets: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return float64 (n,): NDCG of each of the queries."""
        out = np.zeros(queries.size, np.float64)
        t = self.table

        def work(lo: int, hi: int) -> None:
            _blended_gains(
                t.indptr, queries, self.scores, t.target, self.item_cohort, t.n_targets, weights, offsets, self.depth,
                out, lo, hi,
            )  # fmt: skip

        over_ranges(work, queries.size, self.threads)
        return out

    def __call__(self, weights: np.ndarray, offsets: np.ndarray, queries: np.ndarray) -> float:
        """Return the mean NDCG of the queries."""
        return float(self.gains(weights, offsets, queries).mean())


def learn(
    table: CandidateTable,
    item_cohort: np.ndarray,
    run: RunOptions,
    depth: int = 10,
    reads: np.ndarray | None = None,
) -> BlendWeights:
    """Return the weights, constants and offsets that rank the held-out targets best.

    Parameters
    ----------
    table : CandidateTable
    item_cohort : int8 (n_items,)
        Cohort of every item in the training data.
    run : RunOptions
    depth : int
        NDCG is cut here.
    reads : bool (n_parts,), optional
        The parts that read the words of a query.
    """
    objective = Objective(table, item_cohort, depth, run.threads, reads)
    everyone = np.arange(len(table))
    n_parts = len(table.names)
    starts = [objective.allowed(w) for w in (*np.eye(n_parts), np.full(n_parts, 1.0 / n_parts))]
    zero = np.zeros(len(ITEM_COHORTS))
    ranked = sorted(starts, key=lambda w: objective(w, zero, everyone), reverse=True)
    alone = max(np.eye(n_parts), key=lambda w: objective(w, zero, everyone))
    found = [_ascend(objective, w, zero, everyone, run, offsets_too=True) for w in (ranked[0], starts[-1])]
    best, tried, _ = max(found, key=lambda f: f[2])
    offsets = _proven(objective, best, tried, everyone)
    if (offsets != tried).any():  # the weights were found beside other offsets
        again = [_ascend(objective, w, offsets, everyone, run, offsets_too=False) for w in (best, ranked[0])]
        best = max(again, key=lambda f: f[2])[0]
    if objective(alone, zero, everyone) > objective(
        best, offsets, everyone
    ):  # never below the best part alone
        best, offsets = alone, zero
    rows = np.tile(best, (len(QUERY_COHORTS), 1))
    for cohort in range(len(QUERY_COHORTS)):
        queries = np.flatnonzero(table.cohorts == cohort)
        if table.n_targets[queries].sum() >= SHRINK:
            rows[cohort] = _cohort_weights(objective, best, offsets, queries, run)
    found_all = _trusted(
        objective, BlendWeights(rows, objective.constants, offsets), int(table.n_targets.sum())
    )
    if reads is not None and reads.any():
        alone_queries = np.flatnonzero(table.cohorts == WORDS_ALONE)
        row = found_all.weights[WORDS_ALONE]
        found_all.weights[WORDS_ALONE] = _heeding(objective, row, found_all.offsets, alone_queries, reads)
    return found_all


def _trusted(objective: Objective, learnt: BlendWeights, n_targets: int) -> BlendWeights:
    """Return what was learnt, pulled to equal weights and no offsets where validation has under :data:`FEW` targets.

    A dozen of people cannot tell which of several parts is best: their mean is seldom far from it, a wrong choice is.
    """
    trust = min(1.0, n_targets / FEW)
    n_parts = learnt.weights.shape[1]
    equal = objective.allowed(np.full(n_parts, 1.0 / n_parts))
    return BlendWeights(
        trust * learnt.weights + (1.0 - trust) * equal, learnt.constants, trust * learnt.offsets
    )


def _proven(
    objective: Objective, weights: np.ndarray, offsets: np.ndarray, queries: np.ndarray
) -> np.ndarray:
    """Return the offsets that validation bears out, shrunk by how many targets it holds; the others as 0.

    Few queries cannot tell an offset from luck: one is dropped unless the paired gains of the queries differ from
    none by :data:`SURE` standard errors, and n targets count n / (n + :data:`SHRINK`) of what they say.
    """
    kept = offsets.copy()
    for cohort in np.flatnonzero(offsets):
        without = kept.copy()
        without[cohort] = 0.0
        gained = objective.gains(weights, kept, queries) - objective.gains(weights, without, queries)
        if gained.mean() <= SURE * gained.std() / np.sqrt(gained.size):
            kept = without
    n_targets = int(objective.table.n_targets[queries].sum())
    return kept * (n_targets / (n_targets + SHRINK))


def _cohort_weights(
    objective: Objective, start: np.ndarray, offsets: np.ndarray, queries: np.ndarray, run: RunOptions
) -> np.ndarray:
    """Return a cohort's own weights pulled to the global ones, or those of a part that alone does better."""
    own, _, _ = _ascend(objective, start, offsets, queries, run, offsets_too=False)
    trust = queries.size / (queries.size + SHRINK)
    choices = [trust * own + (1 - trust) * start, start, *np.eye(start.size)]
    return max(choices, key=lambda w: objective(w, offsets, queries))


def _heeding(
    objective: Objective, row: np.ndarray, offsets: np.ndarray, queries: np.ndarray, reads: np.ndarray
) -> np.ndarray:
    """Return weights under which words are heard where they are all there is, unless validation says otherwise.

    Validation seldom holds queries without a history, and weights learnt where a history tells more may give the
    parts that read words none.
    """
    heard = heeding_words(row, reads)
    if queries.size and objective(heard, offsets, queries) < objective(row, offsets, queries):
        return row
    return heard


def heeding_words(row: np.ndarray, reads: np.ndarray) -> np.ndarray:
    """Return the weights with at least :data:`WORDS_SHARE` on the parts that read words."""
    share = float(row[reads].sum())
    if share >= WORDS_SHARE or not reads.any():
        return row
    heard = row * (1.0 - WORDS_SHARE) / (1.0 - share)
    heard[reads] = row[reads] * WORDS_SHARE / share if share > 0 else WORDS_SHARE / reads.sum()
    return heard


def _ascend(
    objective: Objective,
    weights: np.ndarray,
    offsets: np.ndarray,
    queries: np.ndarray,
    run: RunOptions,
    *,
    offsets_too: bool,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Change one weight or offset at a time to its best value until a whole round gains nothing."""
    weights, offsets = weights.copy(), offsets.copy()
    best = objective(weights, offsets, queries)
    price = CAUTION * best
    for round_ in range(ROUNDS):
        before = best
        for part in range(weights.size):
            run.check()
            for trial in map(objective.allowed, _trials(weights, part)):
                value = objective(trial, offsets, queries)
                if value > best:
                    best, weights = value, trial
        for cohort in range(len(ITEM_COHORTS) - 1) if offsets_too else ():
            for step in OFFSETS:
                moved = offsets.copy()
                moved[cohort] += step
                value = objective(weights, moved, queries)
                dearer = price * (np.abs(moved).sum() - np.abs(offsets).sum())
                if value - dearer > best:
                    best, offsets = value, moved
        run.progress("weights of the fusion", round_ + 1, ROUNDS)
        if best <= before + 1e-5:
            break
    return weights, offsets, best


def _trials(weights: np.ndarray, part: int) -> list[np.ndarray]:
    """Return the weight vectors that differ in one part; they need not sum to 1."""
    values = weights[part] * np.array(STEPS) if weights[part] > 0 else np.array(FRESH)
    trials = []
    for value in values:
        trial = weights.copy()
        trial[part] = value
        if trial.sum() > 0:
            trials.append(trial)
    return trials


def singles(
    table: CandidateTable, item_cohort: np.ndarray, run: RunOptions, depth: int = 10
) -> dict[str, float]:
    """Return each part's own NDCG on the table."""
    objective = Objective(table, item_cohort, depth, run.threads)
    zero, everyone = np.zeros(len(ITEM_COHORTS)), np.arange(len(table))
    return {
        name: objective(unit, zero, everyone)
        for name, unit in zip(table.names, np.eye(len(table.names)), strict=True)
    }
