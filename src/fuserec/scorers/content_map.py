"""Content map: what an item's text says of its place among the factors of behaviour, so that new items have one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.hashing import reseed
from fuserec.numerics.similar import unit_rows
from fuserec.scorers.base import Capabilities
from fuserec.scorers.implicit import ImplicitConfig, ImplicitFactors

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.als import Whitening
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")

FEWEST = 5
"""Items with both content and takers that a map can be learnt from at all."""


class ContentMapConfig(ImplicitConfig):
    """Hyperparameters of the content map."""

    embedding_dim: int = Field(default=128, ge=1, le=1024, description="Factors of an item.")
    regularization: float = Field(default=30.0, gt=0, description="λ, weight of the squared factors.")
    shrinkage: float = Field(
        default=10.0,
        ge=0,
        description="An item that n people took stands n / (n + shrinkage) on its own factors, for the rest on its "
        "content. 0: factors alone where there are any.",
    )
    length: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Factors are as long as their item is popular; here to this power. 1: as they are, 0: all alike.",
    )
    lift: float = Field(
        default=1.5,
        ge=0,
        description="How long the vector that content gives is, in lengths of the factors of what people take.",
    )
    confidence: float = Field(
        default=10.0,
        ge=0,
        description="An item that n people took counts n / (n + confidence) where the map is learnt.",
    )
    word_dim: int = Field(
        default=128, ge=0, le=1024, description="Directions that words and tags are reduced to."
    )
    ridges: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
        min_length=1,
        description="Penalties of the map that are tried; held-out items choose.",
    )
    held_share: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the items that the penalty is chosen on."
    )
    text_weight: float = Field(
        default=1.0, ge=0, description="Weight of the query's own words, as if of an item that was taken."
    )


class ContentMap(ImplicitFactors):
    """score = x·m_j, m_j = a_j·(‖y_j‖ / L)^length·L·dir(y_j) + (1 − a_j)·lift·L·dir(z_j·B + b), x solved on these.

    dir(v) = v / ‖v‖; a_j = n_j / (n_j + shrinkage) for an item that n_j people took; y factors of implicit ALS; L
    the mean length of the factors of what is taken; z an item's content: its whitened sentence vector beside the
    leading directions of its words (TF-IDF) and tags. The map (B, b) is a ridge regression of dir(y) on z in closed
    form (Gantner, Drumond, Freudenthaler, Rendle, Schmidt-Thieme 2010, "Learning attribute-to-feature mappings for
    cold-start recommendations"), with the penalty that predicts the factors of held-out items best.

    Directions and lengths are kept apart because a factor is as long as its item is popular, which no text tells: a
    map of whole factors makes the vectors of new items so short that nothing new is ever recommended. A query's own
    words are mapped as an item's are, and count as one item that was taken.
    """

    name: ClassVar[str] = "content_map"
    Config = ContentMapConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), update="folded", evidence="attributed"
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        **ImplicitFactors.tunable,
        "length": (0.0, 0.25, 0.5, 1.0),
        "lift": (0.25, 0.5, 1.0, 1.5, 2.0),
        "shrinkage": (0.0, 3.0, 10.0, 30.0),
    }
    config: ContentMapConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        confidences, _, factors = self._learnt(train, run)
        counts = np.bincount(confidences.indices, minlength=train.n_items)
        self._learn_map(features, counts, factors, reseed(train.items.hashes, run.seed + 1), run)
        self._place(factors, counts, features)

    def _learn_map(
        self,
        features: ItemFeatures,
        counts: np.ndarray,
        factors: np.ndarray,
        draws: np.ndarray,
        run: RunOptions,
    ) -> None:
        """Learn what an item's words, tags and sentence vector say of the direction of its factors."""
        from fuserec.numerics.linear_map import fitted_map, leading_directions

        width, dim = factors.shape[1], 0 if features.sentence is None else features.sentence.shape[1]
        n_terms = features.lexical.shape[1]
        self._tag_names = tuple(features.tag_names)
        self._map = {
            "intercept": np.zeros(width, np.float32),
            "sentence": np.zeros((dim, width), np.float32),
            "words": np.zeros((n_terms, width), np.float32),
            "tags": np.zeros((len(self._tag_names), width), np.float32),
        }
        self._ridge = 0.0
        taken = np.flatnonzero((counts > 0) & _has_content(features))
        if taken.size < FEWEST:
            log.warning(
                "%s: %d items have both content and takers, no map is learnt: items without takers get no score",
                self.name,
                taken.size,
            )
            return
        words = sparse.csr_matrix(
            sparse.hstack([features.lexical, unit_rows(features.tags)]), dtype=np.float32
        )
        directions = leading_directions(words, self.config.word_dim, run.rng(self.name))
        blocks = [words[taken] @ directions]
        if features.sentence is not None:
            blocks.append(features.sentence[taken])
        held = (draws[taken] >> np.uint64(40)).astype(np.float64) / 2**24 < self.config.held_share
        weights = counts[taken] / (counts[taken] + self.config.confidence)
        z = np.concatenate(blocks, axis=1).astype(np.float64)
        directed = unit_rows(factors[taken]).astype(np.float64)
        found = fitted_map(z, directed, weights, self.config.ridges, held)
        self._ridge = found.ridge
        told = (directions @ found.weights[: directions.shape[1]]).astype(np.float32)
        self._map = {
            "intercept": found.intercept.astype(np.float32),
            "sentence": found.weights[directions.shape[1] :].astype(np.float32),
            "words": told[:n_terms],
            "tags": told[n_terms:],
        }

    def _mapped(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, f): where words (and a sentence vector) lead; tags come in addition."""
        out = np.asarray(lexical @ self._map["words"], np.float32) + self._map["intercept"]
        if sentence is not None and len(self._map["sentence"]):
            out += sentence @ self._map["sentence"]
        return out

    def _place(self, factors: np.ndarray, counts: np.ndarray, features: ItemFeatures) -> None:
        """Keep the items' factors and where their content leads, and mix both."""
        self._own, self._counts = factors, counts.astype(np.int64)
        content = _has_content(features) & (self._ridge > 0)
        told = self._mapped(features.lexical, features.sentence) + self._told_by_tags(features)
        self._told = np.asarray(unit_rows(told) * content[:, None], np.float32)
        self._mix()

    def _mix(self) -> None:
        """Place every item between its own factors and where its content leads."""
        config, counts = self.config, self._counts
        lengths = np.sqrt(np.einsum("nf,nf->n", self._own, self._own, dtype=np.float64))
        self._length = float(counts @ lengths / max(1, counts.sum())) or 1.0
        content = self._told.any(axis=1)
        share = counts / np.maximum(counts + config.shrinkage, 1e-9)
        share[~content] = 1.0
        relative = np.maximum(lengths, 1e-12) / self._length
        own = self._own * (share * relative ** (config.length - 1.0) * (lengths > 0))[:, None]
        told = self._told * ((1.0 - share) * config.lift * self._length)[:, None]
        self._take(np.ascontiguousarray(own + told, np.float32), content | (counts > 0))

    def retuned(self, **changes: float) -> Self:
        """Return the fitted scorer with other values of ``tunable`` hyperparameters."""
        other = super().retuned(**changes)
        if changes.keys() - {"recency"}:
            other._mix()
        return other

    def _told_by_tags(self, features: ItemFeatures) -> np.ndarray:
        """Return float32 (n_items, f): what tags say; those that came since the fit say nothing."""
        place = {name: row for row, name in enumerate(self._tag_names)}
        rows = np.array([place.get(name, -1) for name in features.tag_names], dtype=np.int64)
        told = np.zeros((rows.size, self._map["tags"].shape[1]), np.float32)
        told[rows >= 0] = self._map["tags"][rows[rows >= 0]]
        return np.asarray(unit_rows(features.tags) @ told, np.float32)

    def _standing(self, q: QueryBatch) -> tuple[sparse.csr_matrix, Whitening]:
        """Return what each query stands on: the items of its history and, as one more, its own words."""
        histories, white = super()._standing(q)
        read = self._reads(q)
        if q.text is None or read.size == 0:
            return histories, white
        sentence = None if q.text.sentence is None else q.text.sentence[read]
        said = unit_rows(self._mapped(sparse.csr_matrix(q.text.lexical[read]), sentence)) * self._length
        said = said @ white.inverse.T
        confidence = np.full(read.size, 1.0 + self.config.alpha * self.config.text_weight, np.float32)
        own = sparse.csr_matrix((confidence, (read, np.arange(read.size))), shape=(len(q), read.size))
        both = sparse.csr_matrix(sparse.hstack([histories, own]), dtype=np.float32)
        return both, white._replace(
            factors=np.ascontiguousarray(np.vstack([white.factors, said]), np.float32)
        )

    def _reads(self, q: QueryBatch) -> np.ndarray:
        """Return int (≤ n,): queries with words that are known; without a map there are none."""
        if q.text is None or self.config.text_weight == 0 or self._ridge == 0:
            return np.empty(0, np.int64)
        heard = np.diff(q.text.lexical.indptr) > 0
        if q.text.sentence is not None and len(self._map["sentence"]):
            heard |= q.text.sentence.any(axis=1)
        return np.flatnonzero(q.text.present & heard)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer for a dataset that grew: new items get factors from their takers, a place from their text.

        The map and the factors of items that had some are kept; counts are those of the grown data.
        """
        self.require_fitted()
        other = copy(self)
        other._threads = run.threads
        confidences, factors = other._grown(train, self._own, self._counts > 0)
        counts = np.bincount(confidences.indices, minlength=train.n_items)
        counts[: self._counts.size] = np.maximum(counts[: self._counts.size], self._counts > 0)
        other._place(factors, counts, features)
        return other

    def state(self) -> State:
        """Return the items' own factors, where their content leads, and the map."""
        arrays: Arrays = {"own": self._own, "told": self._told, "counts": self._counts}
        arrays |= {f"map.{name}": array for name, array in self._map.items()}
        return arrays, {"ridge": self._ridge, "tags": list(self._tag_names)}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._own, self._told, self._counts = arrays["own"], arrays["told"], arrays["counts"]
        self._map = {name: arrays[f"map.{name}"] for name in ("intercept", "sentence", "words", "tags")}
        self._ridge, self._tag_names = float(meta["ridge"]), tuple(meta["tags"])
        self._mix()


def _has_content(features: ItemFeatures) -> np.ndarray:
    """Return bool (n_items,): items with a text or a tag."""
    return np.asarray(features.has_text | (np.diff(features.tags.indptr) > 0))
