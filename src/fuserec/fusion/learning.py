"""What a blend learns on validation: tuned parts, weights, calibration, and weights of predicted ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fuserec.data.splits import Holdout
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.candidates import CandidateTable, candidate_table
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS, item_cohorts
from fuserec.fusion.search import (
    WORDS_ALONE,
    BlendWeights,
    Objective,
    constants,
    heeding_words,
    learn,
    singles,
)
from fuserec.fusion.tuning import tuned
from fuserec.numerics.hashing import reseed
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer


class FusionLearning(Settings):
    """How weights are learnt from held-out queries."""

    depth: int = Field(default=10, ge=1, description="The weights maximise NDCG at this depth.")
    max_queries: int = Field(default=20_000, ge=100, description="Validation queries used, drawn at random.")
    per_part: int = Field(default=60, ge=10, description="Best candidates of each part that are weighed.")
    tune: bool = Field(
        default=True, description="Also try other values of the parts' query-side hyperparameters."
    )
    tune_queries: int = Field(default=5000, ge=100, description="Validation queries used for that.")


@dataclass(frozen=True)
class Learnt:
    """What validation has taught, and what was seen there.

    Parameters
    ----------
    weights : BlendWeights
    calibration : Calibration
    ratings : float64 (n_parts,)
        Weight of each part in a predicted rating.
    figures : dict
        NDCG on validation of the fusion (``fused``) and of every part alone; forms beside the blend add what they
        were compared with, under names with a space, which no part has. Empty where nothing could be held out.
    """

    weights: BlendWeights
    calibration: Calibration
    ratings: np.ndarray
    figures: dict[str, float]


@dataclass(frozen=True)
class Lesson:
    """What was learnt on validation, and what it was learnt from: forms beside the blend learn on.

    Parameters
    ----------
    parts : dict
        With tuned query-side hyperparameters.
    learnt : Learnt
        By a blend of them.
    sample : Holdout
        The queries.
    table : CandidateTable
        Of these queries.
    item_cohorts : int8 (n_items,)
    """

    parts: dict[str, Scorer]
    learnt: Learnt
    sample: Holdout
    table: CandidateTable
    item_cohorts: np.ndarray


def teach(parts: Mapping[str, Scorer], held: Holdout, config: FusionLearning, run: RunOptions) -> Lesson:
    """Tune the query-side hyperparameters of the parts and learn a blend of them."""
    rng = run.rng("fusion")
    sample = held.take(np.sort(rng.permutation(len(held))[: config.max_queries]))
    if config.tune:
        few = sample.take(np.sort(rng.permutation(len(sample))[: config.tune_queries]))
        parts = {name: tuned(part, few, config.depth, run) for name, part in parts.items()}
    cohorts = item_cohorts(held.train.item_counts)
    table = candidate_table(
        dict(parts), sample, config.per_part, reseed(held.train.items.hashes, run.seed), run
    )
    reads = np.array(["text" in part.capabilities.answers for part in parts.values()])
    weights = learn(table, cohorts, run, config.depth, reads)
    calibration = Calibration.fit(_fused_cells(table, weights, cohorts), table.target)
    figures = _figures(table, weights, cohorts, config.depth, run)
    learnt = Learnt(weights, calibration, _rating_weights(parts, sample), figures)
    return Lesson(dict(parts), learnt, sample, table, cohorts)


def untaught(parts: Mapping[str, Scorer], train: Dataset, config: FusionLearning, run: RunOptions) -> Learnt:
    """Return what stands in where nothing can be held out: equal weights, constants from the stored histories."""
    n_parts = len(parts)
    users = np.flatnonzero(np.diff(train.indptr) > 0)[: config.max_queries]
    nothing = Holdout(
        train,
        train.queries(users),
        np.zeros(users.size + 1, np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.float32),
    )
    scale = np.ones((len(QUERY_COHORTS), n_parts))
    if users.size:
        ties = reseed(train.items.hashes, run.seed)
        scale = constants(candidate_table(dict(parts), nothing, config.per_part, ties, run))
    weights = np.full((len(QUERY_COHORTS), n_parts), 1.0 / n_parts)
    reads = np.array(["text" in part.capabilities.answers for part in parts.values()])
    weights[WORDS_ALONE] = heeding_words(weights[WORDS_ALONE], reads)
    blend = BlendWeights(weights, scale, np.zeros(len(ITEM_COHORTS)))
    return Learnt(blend, Calibration(np.zeros(1), np.zeros(1)), np.zeros(n_parts), {})


def _fused_cells(table: CandidateTable, weights: BlendWeights, cohorts: np.ndarray) -> np.ndarray:
    """Return float64 (n_candidates,): the fused score of the table's candidates."""
    rows = table.cohorts[table.rows]
    heard = weights.weights[rows] * table.answered
    answering = heard.sum(axis=1)
    value = (heard * table.scores / weights.constants[rows]).sum(axis=1)
    fused = np.divide(value, answering, out=np.zeros_like(value), where=answering > 0)
    return np.asarray(fused + weights.offsets[cohorts[table.items]])


def _figures(
    table: CandidateTable, weights: BlendWeights, cohorts: np.ndarray, depth: int, run: RunOptions
) -> dict[str, float]:
    """Return NDCG on validation of the fusion and of every part alone."""
    objective = Objective(table, cohorts, depth, run.threads)
    total = 0.0
    for cohort in np.unique(table.cohorts):
        queries = np.flatnonzero(table.cohorts == cohort)
        total += float(objective.gains(weights.weights[cohort], weights.offsets, queries).sum())
    return {"fused": total / max(1, len(table)), **singles(table, cohorts, run, depth)}


def _rating_weights(parts: Mapping[str, Scorer], held: Holdout) -> np.ndarray:
    """Return float64 (n_parts,): non-negative least squares of held-out ratings on the parts' predictions."""
    weights = np.zeros(len(parts))
    rated = np.isfinite(held.ratings)
    able = [p for p, part in enumerate(parts.values()) if part.can_predict]
    if not able or rated.sum() < 50:
        return weights
    from scipy.optimize import nnls

    q = held.queries.take(held.rows[rated])
    items = held.items[rated][:, None]
    columns = [list(parts.values())[p].predict(q, items)[:, 0] for p in able]
    weights[able] = nnls(
        np.stack(columns, axis=1).astype(np.float64), held.ratings[rated].astype(np.float64)
    )[0]
    return weights
