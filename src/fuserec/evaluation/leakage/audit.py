"""The behavioural test for leaks: replace what is held out, fit again, and see whether any score moves.

A score is a function of the training data and of the query. Whatever way a held-out row takes into it, a column that
was
computed too early, a history that holds the target, a file on the side, a bug, the score changes with the row; and
where no score changes by a bit, nothing of the rows was known. So this finds leaks of which nobody has thought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuserec.data.splits import Split, SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import RequestError
from fuserec.features import item_features
from fuserec.scorers.base import Scorer

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import FeatureConfig
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scores

Scoring = Callable[["QueryBatch"], "Scores"]
Fit = Callable[["Dataset", Split], Scoring]
"""Fits a model on what the split lets it use of the whole dataset, and returns what scores queries."""


@dataclass(frozen=True)
class Audit:
    """What came of replacing the held-out rows.

    Parameters
    ----------
    verdict : {"clean", "leak", "unsteady"}
        ``clean``: equal to the last bit. ``leak``: scores depend on held-out rows. ``unsteady``: two fits on the very
        same
        data differ, so that nothing can be said.
    rows : int
        Held-out rows that were replaced.
    queries, changed : int
        Test queries, and those of them with another score.
    largest : float
        The largest change of a score.
    """

    verdict: Literal["clean", "leak", "unsteady"]
    rows: int
    queries: int
    changed: int = 0
    largest: float = 0.0

    @property
    def message(self) -> str:
        """What was found, in words."""
        if self.verdict == "clean":
            return f"no score of {self.queries:,} test queries hangs on the {self.rows:,} held-out rows"
        if self.verdict == "unsteady":
            return (
                "two fits on the same data score differently, so an audit says nothing: seed the model by run.rng, "
                "and keep "
                "the number of threads"
            )
        return (
            f"the scores of {self.changed:,} of {self.queries:,} test queries change, by up to {self.largest:.3g}, "
            "when the "
            f"{self.rows:,} held-out rows are replaced by others: the model knows them"
        )


def audit(
    model: Scorer | Fit,
    dataset: Dataset,
    split: SplitConfig | Split,
    *,
    run: RunOptions,
    features: FeatureConfig | None = None,
) -> Audit:
    """Fit a model twice, on the data as they are and with other held-out rows, and compare all scores bit for bit.

    Parameters
    ----------
    model : Scorer, or a function of (Dataset, Split) that returns a function of QueryBatch
        An unfitted scorer, which is given the training part and its features; or anything that fits on whole data
        and split, such as a pipeline of your own that computes columns first.
    dataset : Dataset
    split : SplitConfig or Split
    run : RunOptions
        Seed and threads are the same for all fits.
    features : FeatureConfig, optional
        How items are read for a Scorer.

    Returns
    -------
    Audit
        Costs two fits and two passes over the test queries; a third of each where scores differ.

    Raises
    ------
    RequestError
        Where the split does not say which rows it hides.

    Examples
    --------
    >>> from fuserec.data.splits import SplitConfig
    >>> from fuserec.run import RunOptions
    >>> from fuserec.scorers import create
    >>> from fuserec.testing import small_dataset
    >>> audit(create("popularity"), small_dataset(), SplitConfig(), run=RunOptions()).verdict
    'clean'
    """
    held = split_data(dataset, split, run.seed) if isinstance(split, SplitConfig) else split
    fit = _fitting(model, run, features) if isinstance(model, Scorer) else model
    other, changed = replaced(dataset, held, run)
    return verdict(
        lambda: _asking(fit(dataset, held), held),
        lambda: _asking(fit(other, changed), changed),
        held,
        run,
    )


Asking = Callable[[np.ndarray], "Scores"]
"""Scores the test queries of some rows."""


def verdict(
    known: Callable[[], Asking],
    changed: Callable[[], Asking],
    held: Split,
    run: RunOptions,
    again: Callable[[], Asking] | None = None,
) -> Audit:
    """Compare what two fits say of the test queries.

    Where they differ, the first is made again (by ``again``, where it is given), to see whether it is steady.
    """
    first = known()
    n, size = len(held.test), held.test.train.n_items
    differing, largest = _difference(first, changed(), n, size, run)
    rows = held.test.hidden.size
    if not differing:
        return Audit("clean", rows, n)
    unsteady, _ = _difference(first, (again or known)(), n, size, run)
    return Audit("unsteady" if unsteady else "leak", rows, n, differing, largest)


def replaced(dataset: Dataset, held: Split, run: RunOptions) -> tuple[Dataset, Split]:
    """Return data and split with other held-out rows: other items, the ratings turned over, the weights of other sign.

    Users, times and all that may be known stay as they are, so that an honest model cannot tell the two apart. Items
    are
    drawn from the whole catalogue alike, so that what is popular in the held-out rows changes too.
    """
    hidden = held.test.hidden
    if not hidden.size or dataset.n_items < 2:
        raise RequestError(
            "audit: the split hides no rows that could be replaced: make it by fuserec.data.splits.split"
        )
    rng, table = run.rng("audit"), dataset.interactions
    item, rating, weight = table.item.copy(), table.rating.copy(), table.weight.copy()
    item[hidden] = _others(item[hidden], dataset.n_items, rng)
    rated = rating[np.isfinite(rating)]
    turned = rated.min() + rated.max() if rated.size else np.float32(0)
    rating[hidden] = turned - rating[hidden]
    weight[hidden] = -weight[hidden]
    rows = replace(table, item=item, rating=rating, weight=weight)
    test = replace(
        held.test,
        items=_others(held.test.items, dataset.n_items, rng),
        ratings=(turned - held.test.ratings).astype(np.float32),
    )
    return replace(dataset, interactions=rows), replace(held, test=test)


def _others(items: np.ndarray, n_items: int, rng: np.random.Generator) -> np.ndarray:
    """Return int32 (n,): for each item another one, all alike."""
    return ((items + rng.integers(1, n_items, items.size)) % n_items).astype(np.int32)


def _fitting(scorer: Scorer, run: RunOptions, features: FeatureConfig | None) -> Fit:
    """Return how an unfitted scorer is fitted, and asked with the words that are known of each query."""
    from fuserec.encoders.features import FeatureConfig

    def fit(whole: Dataset, held: Split) -> Scoring:
        read = item_features(held.train, features or FeatureConfig(), run)
        fitted = scorer.fit(held.train, read, run)

        def scoring(q: QueryBatch) -> Scores:
            words = stored_words(whole, q.users, q.at, past_only=True)
            return fitted.score(with_words(q, words, read, run))

        return scoring

    return fit


def _asking(scoring: Scoring, held: Split) -> Asking:
    """Return what scores the test queries of some rows."""
    return lambda rows: scoring(held.test.queries.take(rows))


def _difference(
    one: Asking, other: Asking, n_queries: int, n_items: int, run: RunOptions
) -> tuple[int, float]:
    """Return how many queries have another score or abstention, and the largest change of a score."""
    step = int(np.clip(run.memory_mb * 2**20 // (16 * max(1, n_items)), 1, n_queries))
    changed, largest = 0, 0.0
    for lo in range(0, n_queries, step):
        run.check()
        run.progress("comparing scores", lo, n_queries)
        rows = np.arange(lo, min(lo + step, n_queries))
        a, b = _visible(one(rows)), _visible(other(rows))
        differ = a.view(np.int32) != b.view(np.int32)
        changed += int(np.count_nonzero(differ.any(axis=1)))
        both = differ & np.isfinite(a) & np.isfinite(b)
        largest = max(largest, float(np.abs(a[both] - b[both]).max(initial=0.0)))
    run.progress("comparing scores", n_queries, n_queries)
    return changed, largest


def _visible(scores: Scores) -> np.ndarray:
    """Return float32 (n, n_items): the scores, minus infinity where the model abstains."""
    return np.where(scores.answered, scores.values, np.float32(-np.inf))
