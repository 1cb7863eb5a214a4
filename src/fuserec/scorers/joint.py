"""Joint training: one model taught by a content loss, a deep model's likelihood and a feedback model at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fuserec.errors import ConfigError, NotFittedError
from fuserec.neural import require
from fuserec.neural.joint.config import JointConfig
from fuserec.neural.joint.fitted import FittedJoint
from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, Scorer, Scores, known
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 4
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""


class Joint(Scorer):
    """score(q, j) = p^sharpness, p = softmax of the joint logit Σ_k λ_k l_k(u, j) / Σ_k λ_k over the trained items.

    Trained by L = λ_C L_C + λ_D L_D + λ_S L_S over pairs P of a user u and an item x_j. L_C is the cross-entropy of
    l_C = ⟨u; F(x_j)⟩, F a trainable map of the item's frozen text features; L_D the negative log likelihood of a deep
    model of u, F(x_j) and an id (or a softmax over the next item); L_S the cross-entropy of a feedback model q on
    logged actions, weighted by 1 / propensity where impressions tell it (or an off-policy corrected policy gradient).
    What people have not taken is drawn and counts ``unknown_weight``: unknown is not dislike.

    u is made of the query alone: Σ strength_i read_i over the history, plus what its words say, plus what all people
    share. The deep head runs u and the item through a hidden layer each before they are multiplied, so that the whole
    catalogue is one matrix product. With ``score = "logit"`` and without hidden layers evidence is exact.

    Items without training pairs are known by their text. Abstains on items without text and pairs, and where nothing
    that it knows was taken or said.
    """

    name: ClassVar[str] = "joint"
    Config = JointConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), update="refit", evidence="attributed", trained=True
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.65, 0.6, 0.5, 0.35)
    }
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without content": {"lambda_content": 0.0},
        "without deep": {"lambda_deep": 0.0},
        "without feedback": {"lambda_feedback": 0.0},
        "next item": {"deep_loss": "next_item"},
        "policy gradient": {"feedback_loss": "policy_gradient"},
        "learnt weights": {"weights": "learnt"},
    }
    config: JointConfig
    _model: FittedJoint

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        shape = self.config
        if not any(shape.lambdas.values()):
            raise ConfigError(
                "joint: lambda_content, lambda_deep and lambda_feedback are all 0: at least one loss has to be left"
            )
        linear = shape.head == "dot" or shape.lambda_deep == 0
        rates = shape.likelihood != "bernoulli" and shape.deep_loss == "likelihood" and shape.lambda_deep > 0
        exact = linear and shape.score == "logit"
        vars(self)["capabilities"] = replace(
            self.capabilities, evidence="exact" if exact else "attributed", predicts=rates
        )

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer joint")
        from fuserec.neural.joint.fit import fit_joint

        self._model = fit_joint(self.config, train, features, run)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer joint")
        from fuserec.neural.joint.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    @property
    def can_predict(self) -> bool:
        """Whether the deep model is one of ratings."""
        return self.capabilities.predicts and bool(self._model.ratings.kind)

    def _strengths(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps, over (Σ recency^steps)^normalization of the query."""
        from fuserec.neural.semantic.examples import Reading, strengths

        config = self.config
        reading = Reading("earlier", config.recency, config.normalization, config.max_length)
        return strengths(q.weights, q.steps, q.rows, reading)

    def _people(self, q: QueryBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return u float32 (n, d), and bool (n,): who brought anything that is known."""
        model = self._model
        said, spoke = model.said(q.text, len(q))
        x = q.csr(self._strengths(q), model.known.size)
        speaks = np.asarray(model.read.any(axis=1))
        heard = speaks[q.items] & (q.weights != 0) & (q.steps < self.config.max_length)
        history = np.bincount(q.rows[heard], minlength=len(q)) > 0
        return np.asarray(x @ model.read + said + model.constant, np.float32), history | spoke

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return p^sharpness, or the joint logit, of the catalogue or the candidates."""
        self.require_fitted()
        u, answered = self._people(q)
        return Scores(self._values(u, items), known(self._model.known, items), answered)

    def _values(self, u: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): the scores of u (n, d) for the catalogue or the candidates."""
        if self.config.score == "logit":
            return self._model.logits(u, items)
        return self._model.probabilities(u, items, self.config.sharpness)

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): expected ratings by the deep model, where its likelihood is one of ratings."""
        self.require_fitted()
        if not self.can_predict:
            raise NotFittedError(
                'joint: predicts ratings only with likelihood = "gaussian" or "ordinal", lambda_deep above 0, and '
                'deep_loss = "likelihood"'
            )
        return self._model.rated(self._people(q)[0], items)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for each history item, for the words, and for what all people share.

        Of a logit without hidden layers they are exact; else a row is what the score loses without its source, and a
        residual is the rest.
        """
        self.require_fitted()
        model, exact = self._model, self.capabilities.evidence == "exact"
        scores = self.score(q, items).values
        said, _ = model.said(q.text, len(q))
        x = q.csr(self._strengths(q), model.known.size)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            span = slice(int(x.indptr[query]), int(x.indptr[query + 1]))
            parts = np.vstack([x.data[span, None] * model.read[x.indices[span]], said[query], model.constant])
            sources: list[tuple[EvidenceKind, int | None]] = [
                *(("item", int(i)) for i in x.indices[span]),
                ("text", None),
                ("popularity", None),
            ]
            cells = (
                self._exact(parts, items[query]) if exact else self._lost(parts, items[query], scores[query])
            )
            rows = []
            for cell, score in zip(cells.T.tolist(), scores[query].tolist(), strict=True):
                told = [(*of, part) for of, part in zip(sources, cell, strict=True)]
                if exact:
                    rows.append([Evidence(self.name, k, key, v, "exact") for k, key, v in told if v])
                else:
                    rows.append(attributed(self.name, told, score))
            found.append(rows)
        return found

    def _exact(self, parts: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return float64 (n_parts, m): each part's share of a linear logit; the last one bears the constant."""
        cells = self._model.people(parts).astype(np.float64) @ self._model.targets[items].astype(np.float64).T
        cells[-1] += self._model.offset
        return np.asarray(cells)

    def _lost(self, parts: np.ndarray, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return float64 (n_parts, m): what scores lose without each part; what all people share is residual."""
        without = self._values((parts.sum(axis=0) - parts[:-1]).astype(np.float32), items)
        lost = scores.astype(np.float64) - without
        return np.vstack([lost, np.zeros(items.size)])

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        self.require_fitted()
        other = copy(self)
        other._model = self._model.extended(features)
        return other

    def state(self) -> State:
        """Return the vectors of items and the matrices of the heads, and what kind of ratings they predict."""
        return self._model.state_arrays(), {"ratings": self._model.ratings.kind}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._model = FittedJoint.from_arrays(arrays, str(meta["ratings"]))
