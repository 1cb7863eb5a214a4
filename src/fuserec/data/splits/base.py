"""What a split is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from fuserec.settings import Settings, combination

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch

Protocol = Literal["last-out", "temporal", "random", "users", "cold-users", "cold-items", "predefined"]
Targets = Literal["all", "next"]

FOLDED: tuple[Protocol, ...] = ("random", "users", "cold-users", "cold-items")
"""Protocols that draw a share of something, and can deal all of it into folds instead."""

ORDERLESS: tuple[Protocol, ...] = ("random",)
"""Protocols whose targets have no next one: they lie between what is given."""


class SplitConfig(Settings):
    """Which protocol, and its shares."""

    protocol: Protocol = Field(default="last-out", description="How targets are held out.")
    share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="What is held out each time, of the interactions (temporal, random), users (users, cold-users) or "
        "items (cold-items).",
    )
    given: float = Field(
        default=0.8, gt=0, lt=1, description="users: the share of a held-out user's history given."
    )
    given_events: int = Field(
        default=0,
        ge=0,
        description="cold-users: how many of a held-out user's first events are given; 0 asks about people of whom "
        "nothing but a profile is known.",
    )
    targets: Targets = Field(
        default="all",
        description="What is to be guessed of a user's held-out events: all of them, or the next one only (not with "
        "random).",
    )
    folds: int = Field(
        default=1,
        ge=1,
        le=100,
        description="random, users, cold-users, cold-items: deal everything into so many folds, each of which is test "
        "once; 1 draws a share.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse what a protocol has no meaning for."""
        if self.folds > 1 and self.protocol not in FOLDED:
            raise combination(f"{self.protocol} has no folds; folds go with {_listed(FOLDED)}")
        if self.folds > 1 and "share" in self.model_fields_set:
            raise combination(f"{self.folds} folds hold out 1/{self.folds} each: leave share out")
        if self.targets == "next" and self.protocol in ORDERLESS:
            raise combination(
                f"{self.protocol} has no next target: what is held out lies between what is given"
            )
        return self

    @property
    def held_share(self) -> float:
        """What is held out of the whole for test."""
        return self.share if self.folds == 1 else 1 / self.folds


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True)
class Holdout:
    """Queries with the answers that were held out, and the data that may be learnt from.

    Parameters
    ----------
    train : Dataset
        The rest; same vocabularies.
    queries : QueryBatch (n)
        Who is asked about, with the history that the protocol gives.
    indptr : int64 (n + 1,)
        Query ``q``'s targets are ``items[indptr[q]:indptr[q + 1]]``.
    items : int32 (n_targets,)
    ratings : float32 (n_targets,)
        NaN where there is none.
    repeats : int
        Targets left out because the history already held them: they are never recommended.
    hidden : int64 (n_hidden,)
        Rows of the dataset that this was cut from which are neither learnt from nor given: no score may depend on them.
        All ``take`` leaves them as they are.
    weights : float32 (n_targets,) or None
        Signed weights of the targets; None where nobody gave them.
    """

    train: Dataset
    queries: QueryBatch
    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    repeats: int = 0
    hidden: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_targets,): the query of each target."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, rows: np.ndarray) -> Holdout:
        """Return some of the queries, with their targets."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.arange(int(indptr[-1])) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return replace(
            self,
            queries=self.queries.take(rows),
            indptr=indptr,
            items=self.items[source],
            ratings=self.ratings[source],
            weights=None if self.weights is None else self.weights[source],
        )


@dataclass(frozen=True)
class Split:
    """Train, validation and test: ``validation.train`` is what models fit on."""

    config: SplitConfig
    validation: Holdout
    test: Holdout

    @property
    def train(self) -> Dataset:
        """What models fit on."""
        return self.validation.train


@dataclass(frozen=True)
class Rows:
    """Masks over the interactions: what to learn from, what queries are given, what is to be guessed.

    ``until`` is the moment from which on nothing is known, where there is one.
    """

    train: np.ndarray
    given: np.ndarray
    targets: np.ndarray
    until: float = np.inf


@dataclass(frozen=True)
class Draw:
    """What a rule draws by: random numbers, the stage, and which of the folds is held out."""

    rng: np.random.Generator
    stage: Literal["test", "validation"]
    fold: int = 0

    def some(self, candidates: np.ndarray, size: int, config: SplitConfig) -> np.ndarray:
        """Return bool (size,): the candidates that are held out, a share of them or one fold."""
        order = self.rng.permutation(candidates)
        held = np.zeros(size, dtype=bool)
        if config.folds > 1:
            held[order[self.fold :: config.folds]] = True
        else:
            held[order[: max(1, round(config.share * candidates.size))]] = True
        return held
