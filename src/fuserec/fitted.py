"""The snapshot that requests are answered from, and the making of a list from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.answers import RecommendedItem
from fuserec.control.controls import Controls
from fuserec.control.items import Items
from fuserec.control.lists import Maker
from fuserec.control.shown import ShownIndex
from fuserec.errors import RequestError, nearest
from fuserec.filters import Filters, allowed_items
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.questions import Tastes
from fuserec.reasons import Language, readable, reason, with_move
from fuserec.requests import Request, batch, id_list, left_out, resolve, shown_id, well_formed
from fuserec.rerank.chain import Chain, Lists, lists_of
from fuserec.run import RunOptions
from fuserec.search import SearchIndex

NAMED_AT_MOST = 50_000
LONG = 200
"""The nearest of so many ids is named for an unknown one that is not longer than this."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fuserec.control.board import Board
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import Query, QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.base import Fusion
    from fuserec.scorers.base import Scores


@dataclass(frozen=True)
class Fitted:
    """Everything a request needs, as one immutable snapshot: readers keep theirs while an update makes the next.

    Parameters
    ----------
    dataset : Dataset
    features : ItemFeatures
    fused : Fusion
    seed : int
    facts : dict
        When and how it was fitted, for ``info``.
    pending : tuple of str
        Parts that have not yet unlearnt a forgotten user.
    histories : bool
        False where the model was saved without them: it answers, but cannot learn on.
    chain : Chain
        The rerankers; empty where lists are in the order of scores.
    control : Controls
        The operator's dials.
    kept : mapping
        The dials that users have set, by their id.
    """

    dataset: Dataset
    features: ItemFeatures
    fused: Fusion
    seed: int
    facts: dict[str, Any] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    histories: bool = True
    chain: Chain = field(default_factory=Chain)
    control: Controls = field(default_factory=Controls)
    kept: Mapping[str, Controls] = field(default_factory=dict)

    @cached_property
    def titles(self) -> list[str]:
        """Title of every item, its id where there is none."""
        ids = self.dataset.items
        return [title or ids[index] for index, title in enumerate(self.dataset.item_table["title"].to_list())]

    @cached_property
    def search_index(self) -> SearchIndex:
        """BM25 over the catalogue, built when it is first asked for."""
        return SearchIndex(self.dataset.item_table)

    @cached_property
    def catalogue(self) -> Items:
        """What dials know of the items."""
        return Items(self.dataset, self.features)

    @cached_property
    def shown_index(self) -> ShownIndex:
        """The stored impressions by user."""
        return ShownIndex.of(self.dataset)

    def controls_for(self, user: str | None) -> Controls:
        """Return the dials of a user, known to the data or not: the operator's, and over them what the user has set."""
        own = self.kept.get(user) if user is not None else None
        return self.control if own is None else own.over(self.control)

    def with_controls(self, user: str, controls: Controls | None) -> Fitted:
        """Return the snapshot with other dials of a user, or without any; itself where that changes nothing."""
        if controls is None and user not in self.kept:
            return self
        kept = {name: own for name, own in self.kept.items() if name != user}
        return replace(self, kept=kept if controls is None else {**kept, user: controls})

    @cached_property
    def tastes(self) -> Tastes:
        """Groups of stored users with alike histories, made when a question is first asked for."""
        return Tastes.of(self.dataset, self.seed)

    @cached_property
    def ties(self) -> np.ndarray:
        """uint64 (n_items,): the order of equal scores."""
        return reseed(self.dataset.items.hashes, self.seed)

    def item(self, identifier: str) -> int:
        """Return the index of an item id, or raise a RequestError that names the nearest."""
        index = self.dataset.items.index(well_formed(identifier, "item"))
        if index < 0:
            known = self.dataset.items.ids(range(min(len(self.dataset.items), NAMED_AT_MOST)))
            hint = nearest(identifier, known) if len(identifier) <= LONG else ""
            raise RequestError(f"item {shown_id(identifier)} is not in the catalogue{hint}")
        return index

    def asked(self, query: Query, run: RunOptions) -> tuple[Request, QueryBatch]:
        """Return a query looked up in the data, and as a batch of one with all that parts and rerankers read."""
        request = resolve(query, self.dataset, self.reads_columns, self.chain.context_keys)
        return request, batch([request], self.features, run)

    def never_shown(self, request: Request, q: QueryBatch | None = None) -> np.ndarray:
        """Return bool (n_items,): what the rerankers keep from whoever asks, in whatever way they ask.

        Parameters
        ----------
        request : Request
        q : QueryBatch (1), optional
            The request as a batch, where it is there already.
        """
        if not self.chain:
            return np.zeros(self.dataset.n_items, dtype=bool)
        q = batch([request], self.features, RunOptions(threads=1)) if q is None else q
        found = self.chain.forbidden(q)
        return np.zeros(self.dataset.n_items, dtype=bool) if found is None else np.asarray(found[0])

    @cached_property
    def reads_columns(self) -> bool:
        """Whether any part or reranker reads the context of a query."""
        return self.chain.reads_columns or any(p.capabilities.columns for p in self.fused.parts.values())

    def info(self) -> dict[str, Any]:
        """Return what the model is; see :meth:`fuserec.recommender.Recommender.info`."""
        data, encoder = self.dataset, self.features.sentence_encoder
        return {
            "dataset": {
                "name": data.info.name,
                "simulated": data.info.simulated,
                "users": data.n_users,
                "items": data.n_items,
                "interactions": data.n_interactions,
                "fingerprint": data.fingerprint,
            },
            "encoder": encoder.fingerprint if encoder else "lexical",
            "parts": {name: part.config.model_dump(mode="json") for name, part in self.fused.parts.items()},
            "weights": self.fused.weights_table(),
            "rerank": {name: one.info() for name, one in self.chain.rerankers.items()},
            "control": self.control.told(),
            "users_with_controls": len(self.kept),
            "seed": self.seed,
            **self.facts,
            "pending": list(self.pending),
        }

    @property
    def note(self) -> str:
        """What has to be said wherever the data are simulated."""
        info = self.dataset.info
        return (info.note or "simulated data") if info.simulated else ""


def eligible(
    model: Fitted, candidates: Sequence[str] | None, exclude: Sequence[str], filters: Filters | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return bool (n_items,): what filters, candidates and exclusions leave; and warnings."""
    n_items = model.dataset.n_items
    allowed = (
        np.ones(n_items, dtype=bool) if filters is None else allowed_items(model.dataset.item_table, filters)
    )
    if candidates is not None:
        listed = np.zeros(n_items, dtype=bool)
        listed[[model.item(identifier) for identifier in id_list(candidates, "candidates")]] = True
        allowed &= listed
    names = id_list(exclude, "exclude")
    indices = model.dataset.items.indices(names)
    allowed[indices[indices >= 0]] = False
    unknown = [name for name, index in zip(names, indices, strict=True) if index < 0]
    return allowed, (left_out(unknown, "to exclude"),) if unknown else ()


def probable(model: Fitted, scores: Scores, allowed: np.ndarray, k: int, least: float) -> np.ndarray:
    """Return bool (n_items,): what is allowed and at least so probable, for the first query.

    Items of which no part knows anything take part only where they would fill up the list.
    """
    answered = scores.answered[0] & allowed
    eligible_too = answered if np.count_nonzero(answered) >= k else allowed
    return np.asarray(eligible_too & (model.fused.probability(scores.values[0]) >= least))


def listed(
    model: Fitted, q: QueryBatch, scores: Scores, allowed: np.ndarray, k: int, board: Board | None = None
) -> Lists:
    """Return the list of one query: the best eligible items as the rerankers, and then dials, order them.

    Those of which no part knows anything only fill up the list.
    """
    values, answered, ties = scores.values[0], scores.answered[0], model.ties
    if board is not None and board.hidden is not None:
        allowed = allowed & ~board.hidden
    first = np.where(answered & allowed, values, np.float32(-np.inf))[None, :]
    if board is None:
        found = lists_of(first, k, model.chain, q, ties=ties)
    else:
        found = dialled(board, model, q, first, values, allowed & ~answered, k)
    n = int(found.counts[0])
    unknown = allowed & ~answered
    unknown[found.items[0, :n]] = False  # dials may have placed some
    if n < k and unknown.any():
        rest = np.where(unknown, values, np.float32(-np.inf))[None, :]
        more, top, extra = top_k(rest, k - n, ties=ties)
        items = np.concatenate([found.items[:, :n], more[:, : extra[0]]], axis=1)
        top = np.concatenate([found.scores[:, :n], top[:, : extra[0]]], axis=1)
        found = replace(found, items=items, scores=top, counts=found.counts + extra)
    return found


def dialled(
    board: Board,
    model: Fitted,
    q: QueryBatch,
    first: np.ndarray,
    values: np.ndarray,
    unheard: np.ndarray,
    k: int,
) -> Lists:
    """Return the list of one query by dials.

    Where places are kept for new items, those of which no part knows anything stand below all others.
    """
    new = None if board.new is None else unheard & board.new
    if new is not None and new.any():
        known = first[np.isfinite(first)]
        first = np.where(new, np.float32(known.min(initial=0) - 1), first)
    found = Maker(board, model.chain, model.ties).lists(first, k, q)
    return replace(found, scores=np.where(found.items >= 0, values[found.items], found.scores))


def worded(
    model: Fitted, q: QueryBatch, lists: Lists, explain: bool, language: Language
) -> tuple[RecommendedItem, ...]:
    """Return the list of one query in the caller's words, with reasons and evidence where they are asked for."""
    n = int(lists.counts[0])
    chosen, values, moves = lists.items[0, :n], lists.scores[0, :n], lists.moves(0, language)
    probabilities = model.fused.probability(values)
    rows = model.fused.evidence(q, chosen[None, :])[0] if explain and n else [[]] * n
    return tuple(
        RecommendedItem(
            model.dataset.items[int(item)],
            model.titles[int(item)],
            place + 1,
            float(values[place]),
            float(probabilities[place]),
            with_move(reason(rows[place], model.titles, language), moves[place], language) if explain else "",
            readable(rows[place], model.dataset) if explain else (),
            tuple(str(move) for move in moves[place]),
        )
        for place, item in enumerate(chosen)
    )


def explained(model: Fitted, item: str, query: Query, language: Language) -> RecommendedItem:
    """Return score, probability, reason and evidence of one item, and its place among what may be shown.

    Raises
    ------
    RequestError
        For an unknown item, and one that is kept from whoever asks.
    """
    index = model.item(item)
    request, q = model.asked(query, RunOptions(threads=1))
    shut = model.never_shown(request, q)
    if shut[index]:
        raise RequestError(
            f"explain: item {shown_id(item)} is flagged, and kept from whoever asks ([rerank.flagged] protected): it "
            "is never shown to them; name another item"
        )
    scores = model.fused.score(q)
    values, answered = scores.values[0], scores.answered[0]
    rows = model.fused.evidence(q, np.array([[index]]))[0][0]
    others = ~shut
    others[q.items] = others[index] = False
    equal = (values == values[index]) & (model.ties < model.ties[index])
    ahead = ((values > values[index]) | equal) & (answered == answered[index])
    before = ahead | (answered & ~answered[index])  # what no part knows comes last
    return RecommendedItem(
        item,
        model.titles[index],
        1 + int(np.sum(before & others)),
        float(values[index]),
        float(model.fused.probability(values[index : index + 1])[0]),
        reason(rows, model.titles, language),
        readable(rows, model.dataset),
    )
