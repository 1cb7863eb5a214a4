"""A fine-tuned language model that judges who asks and what is offered by their texts: r_ui = M(d_u, d_i)."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fuserec.errors import RequestError, nearest
from fuserec.neural import require
from fuserec.neural.language.pairs.config import LanguagePairConfig
from fuserec.numerics.hashing import reseed
from fuserec.scorers.base import Capabilities, Scorer, Scores, chosen, known
from fuserec.scorers.ratings import Baseline, RatedHistories, rating_matrix, rating_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.language.pairs.fitted import FittedPair, NumericHead
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EVENTS = 500
"""With fewer events an epoch it is no use to begin."""

SAFE = 0.6
"""Share of a given time that is planned with: reading the catalogue takes some too."""

DAMPING = 10.0
"""Ratings of average kind that a bias is weighed against."""

FADES = 0.8
"""In the vector that candidates are looked up by, each older event counts so much of the next newer one."""

BELOW = 0.01
"""How far the first item that was not read stands below the last one that was."""


class LanguagePair(Scorer):
    """score(q, j) = M(d_u, d_j), the logit that item j is one for who asks; sigmoid of it is the probability r.

    d_u: the words of the query, else the titles of what was liked, the newest first. d_j: the item's text. A pretrained
    transformer is tuned on behaviour, -y log r - (1 - y) log(1 - r) computed from logits, dislikes and drawn items
    being the negatives; or by a softmax over the batch. Three forms: bi, two encodings and their similarity over a
    temperature (Reimers, Gurevych 2019, "Sentence-BERT"); pair, a small network over [h_u, h_j, h_u * h_j]; cross, one
    joint encoding (Nogueira, Cho 2019, "Passage re-ranking with BERT"). The same encoder may be taught ratings, clicks,
    topics and sentiment beside it, a head each; with head rating it predicts ratings:
    b_ui + M(d_u, d_i), b of ids, squared error in the scale of the ratings.

    A cross-encoder cannot read a whole catalogue with each query: it reads ``candidates`` items, those nearest to the
    query by the vectors that all items have (sentence vectors, else TF-IDF), less its own history; the others follow
    below them in that order. Which these are depends on the query alone, never on what else is asked.

    BERT-like models whose weights hold all that was learnt answer by CTranslate2; others (GPT- and T5-like ones,
    adapters, prompts) by PyTorch. Abstains on items without text and on queries of which nothing can be told.
    """

    name: ClassVar[str] = "language_pair"
    Config = LanguagePairConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}),
        needs=frozenset({"text"}),
        update="refit",
        evidence="scorer",
        predicts=True,
        trained=True,
    )
    config: LanguagePairConfig
    _model: FittedPair
    _baseline: Baseline | None
    _features: ItemFeatures

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer language_pair")
        from fuserec.neural.language.pairs.fit import fit_pairs

        self._baseline = self._ids(train)
        self._model = fit_pairs(self.config, train, features, run, _offsets(train, self._baseline))
        self._ties = reseed(train.items.hashes, run.seed)
        self._attach(features)

    def _ids(self, train: Dataset) -> Baseline | None:
        """Return what ids alone say of ratings, where ratings are predicted."""
        if "rating" not in self.config.heads:
            return None
        matrix = rating_matrix(train, self.name)
        scale = rating_scale(train, matrix.data)
        if self.config.rating_ids:
            return Baseline.fit(matrix, DAMPING, scale)
        none = np.zeros(train.n_items, np.float32)
        return Baseline(float(matrix.data.mean(dtype=np.float64)), none, np.inf, scale)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the events that the time allows; a few steps are timed."""
        require("the scorer language_pair")
        from fuserec.neural.language.pairs.fit import seconds_per_event

        config, limit = self.config, time.monotonic() + seconds
        if seconds <= 0:
            return None, "no time is left for it"
        offsets = _offsets(train, self._ids(train))
        each, wanted = seconds_per_event(config, train, features, run, offsets)
        events = min(wanted, int(SAFE * (limit - time.monotonic()) / (each * config.epochs)))
        if events < min(FEWEST_EVENTS, wanted):
            return (
                None,
                f"{seconds:.0f} s are too little for {FEWEST_EVENTS} events of about {1000 * each:.0f} ms",
            )
        sized = type(self)(config.model_copy(update={"examples": events}))
        return sized, f"{config.epochs} x {events:,} events of about {1000 * each:.0f} ms"

    def for_candidates(self) -> Self:
        """Return the scorer that reads every item it is asked for: somebody else has chosen them."""
        return type(self)(self.config.model_copy(update={"candidates": 0}))

    @property
    def can_predict(self) -> bool:
        """Whether ratings were learnt."""
        return "rating" in self.config.heads

    @property
    def threshold(self) -> float:
        """Logit above which most held-out pairs were matches; it begins at 0 and moves only where that is better."""
        self.require_fitted()
        return self._model.threshold

    @property
    def facts(self) -> dict[str, Any]:
        """What was seen on held-out events: how many pairs, and the share judged right at the threshold.

        And what was done for want of labels: texts rewritten, rounds of self-training.
        """
        self.require_fitted()
        return dict(self._model.facts)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return logits; see the class for what a cross-encoder does of a whole catalogue."""
        self.require_fitted()
        texts = self._model.described.queries(q)
        heard = np.flatnonzero([bool(text) for text in texts])
        wide = items if items is None or items.ndim == 2 else np.broadcast_to(items, (len(q), items.size))
        n_items = self._items.size
        values = np.zeros((len(q), n_items if wide is None else wide.shape[1]), np.float32)
        some, told = q.take(heard), [texts[r] for r in heard]
        own = None if wide is None else wide[heard]
        if heard.size and values.shape[1]:
            first = self.config.form == "cross" and self.config.candidates
            values[heard] = self._by_candidates(some, told, own) if first else self._outputs(some, told, own)
        queries = np.zeros(len(q), dtype=bool)
        queries[heard] = True
        return Scores(values, known(self._items, items), queries)

    def of_texts(self, people: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Return float32 (n,): logits of pairs of texts, of this catalogue or not; what ids say of ratings is left out.

        A teacher of an encoder that reads both sides alone; see :func:`fuserec.neural.language.adapt.compress`.

        Parameters
        ----------
        people, items : sequence of str (n)
            d_u and d_i, none of them empty.
        """
        self.require_fitted()
        return self._model.of_texts(self.config.main, people, items)

    def says(self, head: str, q: QueryBatch, items: np.ndarray | None = None) -> np.ndarray:
        """Return what one of the heads says, in its own terms; NaN where there is nothing to read.

        A probability float32 (n, m) of each item (match, click, sentiment), a rating within the scale (rating), or of
        people alone the shares (n, n_classes) of the classes that :meth:`taught` names (topic).

        Parameters
        ----------
        head : str
        q : QueryBatch
        items : int64 (m,) or (n, m), optional
            The whole catalogue without it. Every item asked for is read, whatever ``candidates`` is.
        """
        told = self.taught(head)
        texts = self._model.described.queries(q)
        heard = np.flatnonzero([bool(text) for text in texts])
        every = np.arange(self._items.size) if items is None else items
        wide = np.broadcast_to(every, (len(q), every.shape[-1]))
        if head == "rating":
            said = self.predict(q.take(heard), wide[heard])
        else:
            said = self._model.says(head, [texts[r] for r in heard], wide[heard])
        out = np.full((len(q), said.shape[1]), np.nan, np.float32)
        out[heard] = said
        if told.reads == "pair":
            out[~self._items[wide]] = np.nan
        return out

    def taught(self, name: str) -> NumericHead:
        """Return a head that was taught: what it reads, what its answers mean, the names of its classes."""
        self.require_fitted()
        heads = self._model.heads
        if name not in heads:
            raise RequestError(
                f"language_pair: the head {name!r} was not taught{nearest(name, list(heads))} "
                f"(taught: {', '.join(heads)}): name it in heads and fit again"
            )
        return heads[name]

    def _outputs(self, q: QueryBatch, texts: list[str], items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): what the head that ranks says."""
        main = self.config.main
        out = self._model.outputs(main, texts, items)
        if main != "rating" or self._baseline is None:
            return out
        wide = np.arange(self._items.size)[None].repeat(len(q), 0) if items is None else items
        return np.asarray(out + self._expected(q, wide), np.float32)

    def _by_candidates(self, q: QueryBatch, texts: list[str], items: np.ndarray | None) -> np.ndarray:
        """Return logits of the nearest items of each query, and places below them for all others."""
        from fuserec.numerics.topk import top_k

        near = self._nearness(q)
        pool, _, counts = top_k(
            near, self.config.candidates, exclude=q.seen(), allowed=self._items, ties=self._ties
        )
        read = np.maximum(pool, 0)
        logits = self._outputs(q, texts, read)
        there = np.arange(pool.shape[1]) < counts[:, None]
        lowest = np.where(there, logits, np.inf).min(axis=1, initial=0.0 if not pool.shape[1] else np.inf)
        lowest = np.where(np.isfinite(lowest), lowest, 0.0)
        values = (lowest[:, None] - BELOW + near - near.max(axis=1, keepdims=True)).astype(np.float32)
        rows = np.nonzero(there)[0]
        values[rows, pool[there]] = logits[there]
        return chosen(values, items)

    def _nearness(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n, n_items): cosine of each query with every item, one query at a time (equal bits alone)."""
        features = self._features
        items = features.lexical if features.sentence is None else features.sentence
        fades = np.where(q.weights > 0, np.power(FADES, np.minimum(q.steps, 500)), 0.0)
        history = q.csr(fades * (q.items < self._items.size), self._items.size)
        near = np.zeros((len(q), self._items.size), np.float32)
        for row in range(len(q)):
            x = history[row] @ items
            if q.text is not None:
                said = q.text.lexical if features.sentence is None else q.text.sentence
                x = x if said is None else x + said[row : row + 1]
            x = np.asarray(x.todense() if hasattr(x, "todense") else x, np.float32).ravel()
            norm = float(np.linalg.norm(x))
            near[row] = np.asarray(items @ x, np.float32) / (norm or 1.0)
        return near

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): b_ui + M(d_u, d_i) cut to the scale; the baseline alone where nothing can be read."""
        self.require_fitted()
        if self._baseline is None:
            return super().predict(q, items)
        values = self._expected(q, items)
        texts = self._model.described.queries(q)
        heard = np.flatnonzero([bool(text) for text in texts])
        if heard.size:
            out = self._model.outputs("rating", [texts[r] for r in heard], items[heard])
            values[heard] += np.where(self._items[items[heard]], out, 0.0)
        return self._baseline.clipped(values)

    def _expected(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): what ids alone say; of items that came since, the mean."""
        assert self._baseline is not None
        size = self._baseline.item_bias.size
        more = max(0, self._items.size - size)
        base = replace(self._baseline, item_bias=np.pad(self._baseline.item_bias, (0, more)))
        rated = RatedHistories.of(q, np.arange(base.item_bias.size) < size)
        return base.expected(rated, items)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        self.require_fitted()
        other = copy(self)
        other._model = self._model.extended(train, features.config.text, run)
        other._ties = reseed(train.items.hashes, run.seed)
        other._attach(features)
        return other

    def state(self) -> State:
        """Return the tuned language model, its heads, the texts of the catalogue, and what ids say of ratings."""
        arrays, meta = self._model.state()
        arrays["ties"] = self._ties
        if self._baseline is not None:
            ids, told = self._baseline.state()
            finite = told["damping"] if np.isfinite(told["damping"]) else None
            arrays |= {f"baseline/{name}": array for name, array in ids.items()}
            meta["baseline"] = {**told, "damping": finite}
        return arrays, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.language.pairs.fitted import FittedPair

        self._model = FittedPair.from_state(self.config, arrays, meta)
        self._ties = arrays["ties"]
        self._baseline = None
        if "baseline" in meta:
            told = meta["baseline"]
            told = {**told, "damping": np.inf if told["damping"] is None else told["damping"]}
            self._baseline = Baseline.from_state({"item_bias": arrays["baseline/item_bias"]}, told)

    def _attach(self, features: ItemFeatures) -> None:
        """Keep the vectors that candidates are looked up by."""
        self._features, self._items = features, self._model.described.known


def _offsets(train: Dataset, base: Baseline | None) -> np.ndarray | None:
    """Return float32 (n_events,): the baseline of each event, its user's bias made of their other ratings."""
    if base is None:
        return None
    rows = train.interactions
    above = np.nan_to_num(rows.rating.astype(np.float64) - base.mean - base.item_bias[rows.item])
    rated = np.isfinite(rows.rating)
    sums, counts = (np.bincount(rows.user, w, train.n_users)[rows.user] for w in (above, rated))
    bias = (sums - above) / (base.damping + np.maximum(counts - 1, 0))
    return np.asarray(base.mean + base.item_bias[rows.item] + bias, np.float32)
