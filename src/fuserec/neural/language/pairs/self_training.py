"""Self-training: pairs that the model is sure of are taught to its successor, as long as held-out events gain by it.

Lee 2013, "Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks"; a new
model from the pretrained weights each round, as Xie et al. 2020, "Self-training with noisy student". How sure a logit
is comes from held-out events (Platt 1999, "Probabilistic outputs for support vector machines"), never from the model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.neural.language.pairs.config import SelfTrainingConfig
    from fuserec.neural.language.pairs.task import PairTask

log = logging.getLogger("fuserec")

FEWEST = 10
"""Held-out pairs of each class without which no logit can be called sure."""

BALANCE = 4
"""At most so many times as many pairs of one class as of the other are taught."""

RIDGE = 1e-3
STEPS = 50

Successor = Callable[[int, "PseudoPairs"], "PairTask"]
"""Trains the model of a round from the pretrained weights, with what the one before was sure of."""


@dataclass(frozen=True)
class PseudoPairs:
    """Pairs whose label nobody gave.

    Parameters
    ----------
    at : int64 (n,)
        Events whose person is asked about, at the moment before it.
    items : int64 (n,)
    labels : float32 (n,)
        1 or 0, as the model was sure of.
    weight : float
        Of their mean loss, beside that of labelled pairs.
    """

    at: np.ndarray
    items: np.ndarray
    labels: np.ndarray
    weight: float

    def __len__(self) -> int:
        return self.at.size


@dataclass(frozen=True)
class Calibration:
    """p(match) = σ(slope · logit + offset)."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray) -> Calibration:
        """Fit by Newton's method, on targets that Platt draws in a little so that few cases claim no certainty.

        Parameters
        ----------
        logits, labels : float64 (n,)
            Of both classes.
        """
        yes, no = float((labels > 0).sum()), float((labels <= 0).sum())
        wanted = np.where(labels > 0, (yes + 1) / (yes + 2), 1 / (no + 2))
        scale = float(logits.std()) or 1.0
        x = np.stack([logits / scale, np.ones(logits.size)], axis=1)
        beta = np.zeros(2)
        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
            slope = x.T @ (p - wanted) + RIDGE * beta
            curve = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(2)
            step = np.linalg.solve(curve, slope)
            beta = beta - step / max(1.0, float(np.abs(step).max()))
            if float(np.abs(step).max()) < 1e-9:
                break
        return cls(float(beta[0]) / scale, float(beta[1]))

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """Return float64 (n,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.slope * logits + self.offset, -700, 700))))


def self_trained(
    first: PairTask, config: SelfTrainingConfig, successor: Successor, rng: np.random.Generator
) -> tuple[PairTask, list[dict[str, Any]]]:
    """Return the best model of all rounds, and a report of each: how many pairs, how right, what held-out events say.

    Parameters
    ----------
    first : PairTask
        Trained on labels alone.
    config : SelfTrainingConfig
    successor : callable
    rng : numpy.random.Generator

    Raises
    ------
    DataError
        Where too little is held out to know what is sure.
    """
    best, reports = first, []
    cases = first.judge() if config.rounds else None
    for turn in range(1, config.rounds + 1):
        logits, labels = best.outputs(best.plan.negatives)
        if min((labels > 0).sum(), (labels <= 0).sum()) < FEWEST or cases is None:
            raise DataError(
                f"language_pair: self_training needs {FEWEST} held-out likings at least to know what is sure, "
                f"there are {int((labels > 0).sum())}: raise held_out (or labels), or set self_training.rounds = 0"
            )
        pseudo, found = sure_pairs(best, Calibration.fit(logits, labels), config, rng)
        report = {"round": turn, **found, **precision(logits, labels, config)}
        reports.append(report)
        if not (found["positive"] and found["negative"]):
            report["kept"] = False
            log.info("self-training, round %d: only one class is sure, nothing is taught", turn)
            break
        other = successor(turn, pseudo)
        judged = other.judge()
        assert judged is not None
        gains = judged - cases
        error = float(gains.std() / np.sqrt(gains.size))
        report |= {"gain": round(float(gains.mean()), 5), "error": round(error, 5)}
        report["kept"] = bool(gains.mean() > error)
        log.info("self-training: %s", ", ".join(f"{key} {value}" for key, value in report.items()))
        if not report["kept"]:
            break
        best, cases = other, judged
    return best, reports


def sure_pairs(
    task: PairTask, calibration: Calibration, config: SelfTrainingConfig, rng: np.random.Generator
) -> tuple[PseudoPairs, dict[str, int]]:
    """Return the unlabelled pairs that the model is sure of, and how many there are of each class.

    Pairs are those of people as they were before training events, with items that they never met; and events whose
    label is not used. Of the larger class those that are surest are taught, ``BALANCE`` times the smaller one at most.
    """
    at, items = task.unlabelled(config.pairs, rng)
    p = calibration.probability(task.logits(at, items))
    yes, no = np.flatnonzero(p >= config.positive), np.flatnonzero(p <= config.negative)
    told = {"judged": int(at.size), "positive": int(yes.size), "negative": int(no.size)}
    yes = yes[np.argsort(-p[yes], kind="stable")[: BALANCE * max(1, no.size)]]
    no = no[np.argsort(p[no], kind="stable")[: BALANCE * max(1, yes.size)]]
    which = np.concatenate([yes, no])
    labels = np.concatenate([np.ones(yes.size), np.zeros(no.size)]).astype(np.float32)
    return PseudoPairs(at[which], items[which], labels, config.weight), {**told, "taught": int(which.size)}


def precision(
    logits: np.ndarray, labels: np.ndarray, config: SelfTrainingConfig
) -> dict[str, float | int | None]:
    """Return how right the thresholds are on held-out pairs: half of them calibrates what the other half is told.

    Parameters
    ----------
    logits, labels : float64 (n,)
    config : SelfTrainingConfig
    """
    p = np.zeros(logits.size)
    half = np.zeros(logits.size, dtype=bool)
    for kind in (labels > 0, labels <= 0):
        half[np.flatnonzero(kind)[::2]] = True
    for part in (half, ~half):
        p[part] = Calibration.fit(logits[~part], labels[~part]).probability(logits[part])
    told: dict[str, float | int | None] = {}
    for name, sure, right in (
        ("positive", p >= config.positive, labels > 0),
        ("negative", p <= config.negative, labels <= 0),
    ):
        told[f"held_{name}"] = int(sure.sum())
        told[f"held_{name}_right"] = round(float(right[sure].mean()), 4) if sure.any() else None
    return told
