"""The contract of every scorer: what it answers, how it scores, how it explains, what it keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from fuserec.errors import NotFittedError
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

EvidenceKind = Literal[
    "item", "word", "tag", "text", "column", "popularity", "bias", "offset", "residual", "scorer", "rest"
]
EvidenceMethod = Literal["exact", "attributed", "scorer", "shapley"]


@dataclass(frozen=True)
class Capabilities:
    """What a scorer can do and what it needs.

    Parameters
    ----------
    answers : set of {"history", "text", "anyone"}
        What a query must bring (any one of them); ``anyone`` answers empty queries too.
    needs : set of {"rating", "order", "time", "text"}
        What the dataset must have.
    update : {"exact", "folded", "refit"}
        Whether ``updated`` equals a refit, folds new rows in, or leaves the scorer stale until a refit.
    evidence : {"exact", "attributed", "scorer"}
    max_items : int or None
        Above this catalogue size the scorer is left out, with a line saying so.
    predicts : bool
        Whether ``predict`` gives ratings in their own scale.
    trained : bool
        Whether it is learnt by gradient steps: sums in another order (other threads, another device) grow, step by
        step, into somewhat other weights. Equal threads give equal ones.
    columns : bool
        Whether it reads columns: those of users and circumstances from the context of a query, those of items to judge
        what nobody has taken.
    """

    answers: frozenset[str] = frozenset({"history"})
    needs: frozenset[str] = frozenset()
    update: Literal["exact", "folded", "refit"] = "exact"
    evidence: Literal["exact", "attributed", "scorer"] = "scorer"
    max_items: int | None = None
    predicts: bool = False
    trained: bool = False
    columns: bool = False


@dataclass(frozen=True)
class Scores:
    """Scores of ``n`` queries for ``m`` items, and where the scorer abstains.

    Parameters
    ----------
    values : float32 (n, m)
        Finite everywhere; without meaning where the scorer abstains.
    items : bool (m,) or (n, m)
        False where an item is one the scorer cannot judge (never seen in training, no text).
    queries : bool (n,)
        False where a query is one the scorer cannot answer (no history it knows, no text).
    """

    values: np.ndarray
    items: np.ndarray
    queries: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        """Bool (n, m): where the scorer has an answer."""
        items = self.items if self.items.ndim == 2 else self.items[None, :]
        return np.broadcast_to(items & self.queries[:, None], self.values.shape)


@dataclass(frozen=True)
class Evidence:
    """One row of evidence: what contributed how much to a score.

    Parameters
    ----------
    scorer : str
        The part it belongs to.
    kind : str
        What ``key`` is: a history item, a word, a tag, the query's text, popularity, ...
    key : int, str or None
        Item index for ``item``; the word, tag, column (with a value: ``column=value``) or name otherwise.
    contribution : float
        In units of the score; all rows of a score sum to it.
    method : {"exact", "attributed", "scorer", "shapley"}
    """

    scorer: str
    kind: EvidenceKind
    key: int | str | None
    contribution: float
    method: EvidenceMethod


class Scorer(ABC):
    """Scores queries; immutable once fitted, so that threads, hot swap and rollback need no lock."""

    name: ClassVar[str]
    Config: ClassVar[type[Settings]]
    capabilities: ClassVar[Capabilities]
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Hyperparameters that act on queries only, with values worth trying: no refit is needed to change them."""
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What an ablation leaves out or puts in its place: a name to the hyperparameters that it changes."""

    def __init__(self, config: Settings | None = None) -> None:
        self.config = config if config is not None else self.Config()
        self._fitted = False

    def fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return a fitted scorer; this one stays as it is.

        Parameters
        ----------
        train : Dataset
            Its vocabularies fix the indices of users and items.
        features : ItemFeatures
            Content of all items, in the same order.
        run : RunOptions
        """
        fitted = copy(self)
        fitted._fit(train, features, run)
        fitted._fitted = True
        return fitted

    @abstractmethod
    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        """Learn; called on a fresh copy."""

    @abstractmethod
    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return scores of the whole catalogue, of ``items`` (m,) or of candidates a query ``items`` (n, m)."""

    @property
    def can_predict(self) -> bool:
        """Whether this fitted scorer predicts ratings: some only do where the training data had them."""
        return self.capabilities.predicts

    @property
    def facts(self) -> dict[str, Any]:
        """What the fit found that is worth telling in ``info``: JSON; most scorers have nothing to tell."""
        return {}

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): predicted ratings, in their own scale, of candidates a query (n, m)."""
        raise NotFittedError(f"scorer {self.name!r} ranks but does not predict ratings")

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return, for each query and each of its candidates (n, m), rows that sum to the score."""
        scores = self.score(q, items).values
        return [[[Evidence(self.name, "scorer", None, float(v), "scorer")] for v in row] for row in scores]

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer for a dataset that grew: ``train`` is the whole of it, with indices kept.

        Counting scorers learn in one pass, so an exact update is a refit; others override this.
        """
        return self.fit(train, features, run) if self.capabilities.update == "exact" else self

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the unfitted scorer in the largest size that can be fitted in a time, and what was decided, in words.

        Parameters
        ----------
        seconds : float
            What the fit may take; None is returned where that is too little for any size worth fitting.
        train, features, run
            As in :meth:`fit`.
        """
        return self, ""

    def for_candidates(self) -> Self:
        """Return the unfitted scorer as it judges what others have chosen; most scorers make no choice of their own."""
        return self

    def without_user(self, user: int) -> Self:
        """Return the scorer without the stored row of a user: later rows move up; most scorers store none."""
        return self

    def retuned(self, **changes: float) -> Self:
        """Return the fitted scorer with other values of ``tunable`` hyperparameters."""
        other = copy(self)
        other.config = self.config.model_copy(update=changes)
        return other

    @abstractmethod
    def state(self) -> State:
        """Return (arrays, JSON): everything a fitted scorer needs, and nothing of the training data."""

    @classmethod
    def from_state(cls, config: Settings, arrays: Arrays, meta: Meta, features: ItemFeatures) -> Self:
        """Rebuild a fitted scorer beside the features it was fitted with."""
        scorer = cls(config)
        scorer._restore(arrays, meta)
        scorer._attach(features)
        scorer._fitted = True
        return scorer

    @abstractmethod
    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        """Take back what :meth:`state` returned."""

    def _attach(self, features: ItemFeatures) -> None:  # noqa: B027 - most scorers keep nothing
        """Keep what is needed of the features at request time; most scorers need nothing."""

    def require_fitted(self) -> None:
        """Raise NotFittedError before ``fit``."""
        if not self._fitted:
            raise NotFittedError(f"scorer {self.name!r} is not fitted: call fit(train, features, run) first")


def chosen(values: np.ndarray, items: np.ndarray | None) -> np.ndarray:
    """Return the columns of a dense score matrix for ``items`` None, (m,) or (n, m)."""
    if items is None:
        return values
    if items.ndim == 1:
        return values[:, items]
    return np.take_along_axis(values, items.astype(np.int64), axis=1)


def known(mask: np.ndarray, items: np.ndarray | None) -> np.ndarray:
    """Return the part of a mask over the catalogue that belongs to ``items`` None, (m,) or (n, m)."""
    return mask if items is None else mask[items]
