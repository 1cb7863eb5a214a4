"""The Recommender: encoder, scorers and fusion over one dataset."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.additions import Rows, additions
from fuserec.answers import Answer, Questions, RecommendedItem
from fuserec.config import RecommenderConfig
from fuserec.control.board import Board
from fuserec.control.controls import Controls, controls_of
from fuserec.control.many import lists_of_users
from fuserec.control.request import Shown, board_of
from fuserec.data.query import Event
from fuserec.errors import NotFittedError, RequestError
from fuserec.features import item_features
from fuserec.filters import Filters
from fuserec.fitted import Fitted, eligible, explained, listed, probable, worded
from fuserec.fusion import fusion_of
from fuserec.judged import Judgement, judged
from fuserec.questions import questions
from fuserec.reasons import Language
from fuserec.requests import (
    check_answer,
    id_list,
    list_length,
    query_of,
    resolve,
    shown_id,
    well_formed,
)
from fuserec.rerank.learning import fitted_with
from fuserec.run import RunOptions
from fuserec.search import found
from fuserec.tracked import tracked_fit

if TYPE_CHECKING:
    from pathlib import Path

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.choice import TextEncoder


class Recommender:
    """Fit on a dataset, then ask: for a user, a history, a sentence, or any mix of them.

    Every method may be called from many threads; ``update`` and ``forget`` wait for one another, and no reader waits.

    Parameters
    ----------
    config : RecommenderConfig, optional
        Without one the parts are chosen by the data.

    Examples
    --------
    >>> from fuserec import Recommender, sample
    >>> model = Recommender().fit(sample())
    >>> answer = model.recommend(history=["dune-1965", "foundation-1951"], k=5, explain=True)
    >>> answer.items[0].reason
    """

    def __init__(self, config: RecommenderConfig | None = None) -> None:
        self.config = config or RecommenderConfig()
        self._model: Fitted | None = None
        self._writing = threading.RLock()

    @property
    def fitted(self) -> Fitted:
        """The present snapshot; raises NotFittedError before ``fit``."""
        if self._model is None:
            raise NotFittedError("the recommender is not fitted: call fit(dataset), or load a model folder")
        return self._model

    @classmethod
    def of(cls, config: RecommenderConfig, fitted: Fitted) -> Recommender:
        """Return a recommender over a snapshot that exists already."""
        model = cls(config)
        model._model = fitted
        return model

    def fit(self, dataset: Dataset, run: RunOptions | None = None) -> Recommender:
        """Fit parts on inner train, learn the fusion on validation, refit the parts on everything."""
        with tracked_fit(self, dataset, run or RunOptions()) as told:
            return self._fit(dataset, told)

    def _fit(self, dataset: Dataset, run: RunOptions, encoder: TextEncoder | None = None) -> Recommender:
        """Fit; an encoder that is at hand (perhaps one that came with the model) reads the text."""
        started = time.perf_counter()
        features = item_features(dataset, self.config.features, run, encoder)
        fused = fusion_of(self.config.fusion, self.config.scorers(dataset))
        fused, chain = fitted_with(fused, self.config.rerank.chain(), dataset, features, run)
        facts = {"fit_s": round(time.perf_counter() - started, 2), **features.facts, **fused.facts}
        with self._writing:
            kept = {} if self._model is None else self._model.kept
            self._model = Fitted(
                dataset, features, fused, run.seed, facts, chain=chain, control=self.config.control, kept=kept
            )
        return self

    def update(
        self,
        new: Dataset | None = None,
        *,
        interactions: Rows | None = None,
        items: Rows | None = None,
        users: Rows | None = None,
        run: RunOptions | None = None,
    ) -> Recommender:
        """Add interactions, items and users; known ids keep their place, unknown ones are appended.

        Counting parts equal a refit afterwards, factor models fold the new rows in, and what is stale until the next
        ``fit`` stands in ``info``. The weights of the fusion stay.

        Parameters
        ----------
        new : Dataset, optional
            What is added, or else:
        interactions, items, users : frames or lists of dicts, optional
            With the columns of a dataset folder, e.g. ``items=[{"item_id": "new-1", "title": "Solaris"}]``; they are
            cleaned as any data are.
        run : RunOptions, optional
        """
        new = additions(interactions, items, users, self.fitted.dataset.info, new)
        run = run or RunOptions(seed=self.fitted.seed)
        with self._writing:
            old = self.fitted
            if not old.histories:
                raise RequestError(
                    "this model was saved without histories and cannot learn on: "
                    "update the one it was made from, or fit anew"
                )
            dataset = old.dataset.extended(new)
            same_items = dataset.item_table.equals(old.dataset.item_table)
            features = old.features if same_items else old.features.extended(dataset, run)
            fused = old.fused.updated(dataset, features, run)
            stale = [name for name, part in fused.parts.items() if part.capabilities.update == "refit"]
            facts = {**old.facts, "updates": old.facts.get("updates", 0) + 1, "stale": stale}
            chain = old.chain.updated(dataset, features, run)
            self._model = replace(
                old, dataset=dataset, features=features, fused=fused, facts=facts, chain=chain
            )
        return self

    def forget(self, user: str, run: RunOptions | None = None, *, defer: bool = False) -> Recommender:
        """Remove a user: afterwards the model equals a fit on the data without them, same catalogue order and seed.

        Parameters
        ----------
        user : str
        run : RunOptions, optional
        defer : bool
            Remove the history at once but leave the refit for later: the parts stand as ``pending`` in ``info`` until
            the next ``fit``.

        Raises
        ------
        RequestError
            For a user that is not known.
        """
        run = run or RunOptions(seed=self.fitted.seed)
        with self._writing:
            old = self.fitted.with_controls(user, None)
            index = old.dataset.users.index(well_formed(user, "user"))
            if index < 0 and old is not self.fitted:  # somebody new who had set dials
                self._model = old
                return self
            if index < 0:
                raise RequestError(
                    f"user {shown_id(user)} is not known to this model: there is nothing to forget"
                )
            dataset = old.dataset.without_user(index)
            if not defer:
                self._model = old
                return self._fit(
                    dataset, run, old.features.sentence_encoder
                )  # in the lock: no update is lost
            fused, chain = old.fused.without_user(index), old.chain.updated(dataset, old.features, run)
            pending = tuple(old.fused.parts)
            self._model = replace(old, dataset=dataset, fused=fused, pending=pending, chain=chain)
        return self

    def recommend(
        self,
        *,
        user: str | None = None,
        history: Sequence[str | Event] = (),
        text: str | None = None,
        context: Mapping[str, Any] | None = None,
        at: float | None = None,
        k: int | None = None,
        candidates: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        filters: Filters | None = None,
        min_probability: float | None = None,
        explain: bool = False,
        language: Language = "en",
        controls: Controls | Mapping[str, Any] | None = None,
        shown: Shown = (),
        run: RunOptions | None = None,
    ) -> Answer:
        """Recommend items to a user, for a history, for a text, or for nobody in particular.

        Parameters
        ----------
        user : str, optional
            A stored user; somebody unknown gets the cold answer with ``known`` False.
        history : sequence of item ids or Events, oldest first
            Comes after the stored history. An Event with ``text`` and no item is a search.
        text : str, optional
            What is wanted, in words.
        context, at
            Circumstances and moment of the request.
        k : int, optional
            How many, 10 by default; fewer come back only where fewer are eligible.
        candidates, exclude : sequences of item ids
            Only these; none of these (unknown ones among them are left out with a warning). Items of the
            history are never repeated.
        filters : mapping
            Conditions on item columns, e.g. ``{"categories": "Book", "year": {">=": 1990}}``; they act before top-k.
        min_probability : float, optional
            Keep items at least this probable: all of them, or at most k where k is given too.
        explain : bool
            Add reason and evidence to each item.
        language : {"en", "zh"}
            Of the reasons.
        controls : Controls or mapping, optional
            Dials of this call, over those that are kept of the user and the operator's, e.g.
            ``{"more": {"categories: Jazz": 0.5}, "diversity": 0.3}``; see docs/control.md.
        shown : sequence of item ids, or pairs (item id, unix seconds)
            What was shown already, beside the stored impressions; for the dials ``fatigue`` and ``max_shown``.

        Raises
        ------
        RequestError
            For k < 1, an unknown candidate, column or kind, or a history of which no item is known.
        """
        query = query_of(user, history, text, context, at)
        model, run = self.fitted, run or RunOptions(threads=1)
        k = list_length(k, model.dataset, every=min_probability is not None)
        check_answer(min_probability, language)
        request, q = model.asked(query, run)
        allowed, warnings = eligible(model, candidates, exclude, filters)
        allowed &= ~model.never_shown(request, q)
        allowed[q.items] = False
        scores = model.fused.score(q)
        if min_probability is not None:
            allowed = probable(model, scores, allowed, k, min_probability)
        board, said = board_of(model, request, query.user, controls, shown, run)
        items = worded(model, q, listed(model, q, scores, allowed, k, board), explain, language)
        asked = request.shown if board is None else {**request.shown, "controls": board.controls.told()}
        return Answer(asked, request.known, items, (*request.warnings, *warnings, *said), model.note)

    def recommend_users(
        self, users: Sequence[str], k: int = 10, run: RunOptions | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return lists for many stored users at once.

        Returns
        -------
        items : int32 (n, min(k, n_items))
            Item indices, -1 where fewer are eligible.
        scores : float32 (n, min(k, n_items))
        """
        model, run = self.fitted, run or RunOptions()
        k = list_length(k, model.dataset)
        return lists_of_users(model, id_list(users, "users"), k, run)

    def set_controls(self, user: str, controls: Controls | Mapping[str, Any] | None) -> Recommender:
        """Keep the dials of a user, in place of those that were kept; None takes them away.

        They act whenever this user is named, are saved with the model, and go when the user is forgotten.

        Raises
        ------
        ConfigError, RequestError
            For an unknown dial, topic or column, or a value that is not allowed.
        """
        user = well_formed(user, "user")
        chosen = controls_of(controls)
        with self._writing:
            Board.of(chosen.over(self.fitted.control), self.fitted.catalogue, RunOptions(threads=1))
            self._model = self.fitted.with_controls(user, None if controls is None else chosen)
        return self

    def controls(self, user: str) -> Controls:
        """Return the dials that are kept of a user."""
        return self.fitted.kept.get(well_formed(user, "user"), Controls())

    def similar(self, item: str, k: int = 10, *, explain: bool = False, language: Language = "en") -> Answer:
        """Return the items that somebody who only took this one would be recommended."""
        self.fitted.item(item)
        return self.recommend(history=[item], k=k, explain=explain, language=language)

    def explain(
        self,
        item: str,
        *,
        user: str | None = None,
        history: Sequence[str | Event] = (),
        text: str | None = None,
        context: Mapping[str, Any] | None = None,
        language: Language = "en",
    ) -> RecommendedItem:
        """Return score, probability, reason and evidence of one item, taken already or not.

        Raises
        ------
        RequestError
            For an unknown item, and one that rerankers keep from whoever asks.
        """
        check_answer(None, language)
        return explained(self.fitted, item, query_of(user, history, text, context), language)

    def judge(
        self,
        item: str,
        *,
        user: str | None = None,
        history: Sequence[str | Event] = (),
        text: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[Judgement]:
        """Return what each head of the part language_pair says of somebody and an item, the head that ranks first."""
        return judged(self.fitted, item, query_of(user, history, text, context))

    def search(
        self, text: str, k: int = 10, *, user: str | None = None, filters: Filters | None = None
    ) -> Answer:
        """Return items for a text: words (BM25) and meaning (vectors) joined, and a named user's taste."""
        return found(self.fitted, text, k, user, filters)

    def ask(
        self,
        history: Sequence[str | Event] = (),
        text: str | None = None,
        k: int = 1,
        candidates: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        *,
        unknown: Sequence[str] = (),
        context: Mapping[str, Any] | None = None,
    ) -> Questions:
        """Return which items to ask somebody new about next: those whose answer tells most about their taste.

        Parameters
        ----------
        history, text
            The answers so far: ids of what is liked, ``Event(item, kind="dislike")`` for what is not, and words. An
            item that was answered is never asked about again.
        k, candidates, exclude
            As in :meth:`recommend`; the first item is the one to ask about, the others could stand in for it.
        unknown : sequence of item ids
            What they were asked about and do not know.
        context : mapping, optional
            Circumstances; they can say that somebody is protected.

        Raises
        ------
        RequestError
            Where the model was saved without histories, and as :meth:`recommend` does.
        """
        model = self.fitted
        query = query_of(None, history, text, context)
        request = resolve(query, model.dataset, model.reads_columns, model.chain.context_keys)
        allowed, warnings = eligible(model, candidates, exclude, None)
        allowed &= ~model.never_shown(request)
        silent = [model.item(one) for one in id_list(unknown, "unknown")]
        return questions(model, request, silent, k, allowed, warnings)

    def info(self) -> dict[str, Any]:
        """Return what the model is: data, parts, weights, validation figures, what is stale or pending."""
        return self.fitted.info()

    def save(self, folder: Path | str, *, histories: bool = True, bundle_encoder: bool = False) -> None:
        """Write the model as a folder; see :func:`fuserec.persistence.save`."""
        from fuserec.persistence import save

        save(self, folder, histories=histories, bundle_encoder=bundle_encoder)

    @classmethod
    def load(cls, folder: Path | str) -> Recommender:
        """Read a model folder; see :func:`fuserec.persistence.load`."""
        from fuserec.persistence import load

        return load(folder)
