"""What lists tell: of who the user is, of their history, and of their group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.statistics import Estimate
from fuserec.metrics.ethics import list_topics
from fuserec.metrics.information import Information, mutual_information, personalisation
from fuserec.metrics.information_null import Null, permutation_null
from fuserec.metrics.masses import distributions, labels, pooled

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Yardstick

EXPECTED = 5
"""An item counts by itself where so many users of the smallest group are expected to see it."""


def information(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return personalisation, and the information between history and list and between group and list, at one k."""
    k, audit = yardstick.main_k, yardstick.audit
    shown = _lists(outcome, k, yardstick.train.n_items)
    whole = {f"personalisation@{k}": _bits(personalisation(shown))}
    if audit.topics is not None:
        history = distributions(audit.history_topics(k))
        topics = distributions(list_topics(outcome.lists, outcome.counts, k, audit.topics))
        whole |= _shared(history, topics, yardstick, "history_information", f"@{k}", normalised=True)
    for groups in audit.groups:
        inside = groups.codes >= 0
        codes = labels(groups.codes[inside], len(groups))
        share = np.bincount(groups.codes[inside], minlength=len(groups)).min() / np.count_nonzero(inside)
        items = pooled(shown[inside], EXPECTED / share)
        whole |= _shared(
            items, codes, yardstick, "group_information", f":{groups.name}@{k}", normalised=False
        )
    return Measured(whole=whole)


def _lists(outcome: Outcome, k: int, n_items: int) -> Any:
    """Return each list as a distribution over items: CSR float64 (n, n_items)."""
    table = outcome.lists[:, :k]
    there = np.arange(table.shape[1]) < outcome.counts[:, None]
    items = table[there].astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
    return distributions(sp.csr_array((np.ones(items.size), items, indptr), shape=(len(table), n_items)))


def _shared(
    x: Any, y: Any, yardstick: Yardstick, name: str, suffix: str, *, normalised: bool
) -> dict[str, Estimate]:
    """Return the information between two variables, its null and its p-value, under their names."""
    found = mutual_information(x, y)
    mean = (found.x_entropy + found.y_entropy) / 2 if normalised else 1.0
    if not found.users or not mean > 0:
        return {}
    null = permutation_null(
        x, y, rng=yardstick.run.rng("permutations"), n_permutations=yardstick.audit.config.permutations
    )
    return {
        f"{name}{suffix}": _bits(found, mean),
        f"{name}_null{suffix}": _chance(null, mean),
        f"{name}_p{suffix}": Estimate(null.p),
    }


def _bits(found: Information, unit: float = 1.0) -> Estimate:
    """Return information as an estimate; nothing where there are no lists.

    The correction for bias can carry a figure below 0, which no information is.
    """
    if not found.users:
        return Estimate(None)
    return Estimate(max(0.0, found.value) / unit, max(0.0, found.low) / unit, max(0.0, found.high) / unit)


def _chance(null: Null, unit: float) -> Estimate:
    """Return a null as an estimate: its mean and central 95 %."""
    return Estimate(null.mean / unit, null.low / unit, null.high / unit)
