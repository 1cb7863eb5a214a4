"""From a query in the caller's ids to the arrays that scorers read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from fuserec.data.contexts import checked_context, unknown_keys, user_context
from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.data.query import Event, Query, QueryBatch
from fuserec.data.weights import KINDS, signed_weights, strongest
from fuserec.encoders.reading import Words, stored_words, with_words
from fuserec.errors import RequestError, nearest
from fuserec.reasons import Language

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

DEFAULT_K = 10
MAX_K = 10_000
"""The longest list of one request."""

MAX_EVENTS = 10_000
MAX_TEXT = 20_000
"""Limits on what a request may bring: everything from outside has one."""

_FAR = 1e11
"""Unix seconds of no moment of ours, in the year 5138: who sends more means milliseconds."""

_LARGEST = float(np.finfo(np.float32).max)
_SHOWN = 60
"""Characters of an id that a message repeats."""


@dataclass(frozen=True)
class Request:
    """One query, resolved.

    Parameters
    ----------
    user : int
        Index of the stored user, -1 for nobody.
    items, weights, ratings, times : arrays (n_events,)
        The stored history and the events of the call after it.
    words : Words
    at : float
        Moment, NaN without time.
    known : bool
    warnings : tuple of str
    context : mapping
        What the table of users says of who asks, and the circumstances of the request, which count before it.
    shown : dict
        The query as understood, for the answer.
    """

    user: int
    items: np.ndarray
    weights: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    words: Words
    at: float
    known: bool
    warnings: tuple[str, ...]
    context: Mapping[str, Any]
    shown: dict[str, Any]


def resolve(query: Query, dataset: Dataset, reads_context: bool = True, keys: Sequence[str] = ()) -> Request:
    """Look up the ids of a query; say so where nothing reads its context. ``keys`` of it are known beside the data's.

    Raises
    ------
    RequestError
        Where no item of the history is known and nothing else carries the query, or a limit is passed.
    """
    _check_limits(query)
    query = replace(
        query,
        user=None if query.user is None else well_formed(query.user, "user"),
        text=None if query.text is None else _limited(query.text, "text"),
        context=checked_context(query.context) if query.context else {},
    )
    user = dataset.users.index(query.user) if query.user is not None else -1
    warnings: list[str] = []
    if query.context:
        warnings += unknown_keys(query.context, (*dataset.context_keys, *keys))
        if not reads_context:
            warnings.append("context: no part of this model reads it (trees and factorization_machine do)")
    if query.user is not None and user < 0:
        warnings.append(f"user {shown_id(query.user)} is unknown: answered as somebody new")
    events = [_event(event) for event in query.history]
    acts = [e for e in events if e.item is not None]
    found = dataset.items.indices(e.item or "" for e in acts)
    unknown = [e.item or "" for e, index in zip(acts, found, strict=True) if index < 0]
    if unknown:
        warnings.append(left_out(unknown, "of the history"))
    searches = [e.text or "" for e in events if e.item is None]
    text = query.text or ""
    carried = user >= 0 or any(words.strip() for words in (text, *searches))
    if unknown and len(unknown) == len(acts) and not carried:
        raise RequestError(
            f"history: none of its {len(unknown)} items is in the catalogue (e.g. {shown_id(unknown[0])}); "
            "give item ids of this model, or a text"
        )
    kept = [(e, int(index)) for e, index in zip(acts, found, strict=True) if index >= 0]
    return _assembled(query, dataset, user, kept, Words(text, searches), tuple(warnings))


def list_length(k: int | None, dataset: Dataset, every: bool = False) -> int:
    """Return how many items a list can have at most, or refuse the k that was asked for.

    Without a k these are :data:`DEFAULT_K`, and where ``every`` item that qualifies is wanted, as many as a list
    can have.
    """
    if k is None:
        k = min(MAX_K, dataset.n_items) if every else DEFAULT_K
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise RequestError(f"k = {k!r}: has to be a whole number of at least 1")
    length = min(int(k), dataset.n_items)
    if length > MAX_K:
        raise RequestError(f"k = {k!r}: a list has at most {MAX_K:,} items")
    return length


def well_formed(text: str, what: str = "an id") -> str:
    """Return a text that has a UTF-8 form: half of a surrogate pair becomes a question mark.

    Raises
    ------
    RequestError
        For what is no string: an id 42 is another than "42" to some callers, so nobody guesses.
    """
    if not isinstance(text, str):
        raise RequestError(f"{what} {_told(text)}: give a string")
    return text.encode("utf-8", "replace").decode("utf-8")


def id_list(identifiers: Iterable[str], what: str) -> list[str]:
    """Return a list of ids, each well formed; one string in place of a list is refused, not taken by letter."""
    if isinstance(identifiers, str | bytes) or not isinstance(identifiers, Iterable):
        raise RequestError(f"{what}: has to be a list of ids, not {_told(identifiers)}; write [id] for one")
    return [well_formed(identifier, f"{what}: the id") for identifier in identifiers]


def events_of(history: Iterable[str | Event]) -> tuple[str | Event, ...]:
    """Return the events of a history; one string in place of a list is refused."""
    if isinstance(history, str | bytes | Event) or not isinstance(history, Iterable):
        raise RequestError(
            f"history: has to be a list of item ids or Events, not {_told(history)}; write [id] for one"
        )
    return tuple(history)


def query_of(
    user: str | None,
    history: Iterable[str | Event],
    text: str | None,
    context: Mapping[str, Any] | None = None,
    at: float | None = None,
) -> Query:
    """Return a query from the arguments of a call."""
    context = {} if context is None else context
    if not isinstance(context, Mapping):
        raise RequestError(f"context: has to be a mapping of names to values, not {_told(context)}")
    return Query(user, events_of(history), text, dict(context), at)


def finite(value: Any, what: str, least: float, most: float) -> None:
    """Refuse what is no finite number between two bounds."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise RequestError(f"{what} {_told(value)}: has to be a number")
    if not least <= value <= most:  # never true of NaN
        raise RequestError(f"{what} {value!r}: has to be a finite number from {least:g} to {most:g}")


def check_answer(min_probability: float | None, language: str) -> None:
    """Refuse a threshold or a language of reasons that is not allowed."""
    if language not in get_args(Language):
        raise RequestError(f"language {language!r}: reasons are written in {' or '.join(get_args(Language))}")
    if min_probability is not None:
        finite(min_probability, "min_probability =", 0, 1)


def _told(value: Any) -> str:
    """Return a value of a wrong type as a message names it."""
    return f"{' '.join(repr(value).split())[:_SHOWN]} of type {type(value).__name__}"


def shown_id(identifier: str) -> str:
    """Return an id as messages repeat it: quoted, and cut where it is very long."""
    return repr(identifier if len(identifier) <= _SHOWN else identifier[: _SHOWN - 1] + "…")


def left_out(unknown: Sequence[str], where: str) -> str:
    """Return the warning for unknown items."""
    named = ", ".join(shown_id(item) for item in unknown[:3])
    count = "1 unknown item" if len(unknown) == 1 else f"{len(unknown)} unknown items"
    return f"{count} {where} left out: {named}{', ...' if len(unknown) > 3 else ''}"


def _event(event: str | Event) -> Event:
    """Return one event of a history, its strings well formed.

    Raises
    ------
    RequestError
        For what is neither an id nor an Event, or has a rating, time or duration that cannot be.
    """
    if isinstance(event, str):
        return Event(item=well_formed(event))
    if not isinstance(event, Event):
        raise RequestError(f"history: {_told(event)}; give item ids (strings) or Events")
    item = None if event.item is None else well_formed(event.item, "history: the item")
    text = None if event.text is None else _limited(event.text, "history: the text")
    kind = well_formed(event.kind, "history: the kind")
    for name, least, most in (
        ("rating", -_LARGEST, _LARGEST),
        ("time", -_FAR, _FAR),
        ("seconds", 0.0, _LARGEST),
    ):
        if (value := getattr(event, name)) is not None:
            finite(value, f"history: {name} of {shown_id(item or '')} =", least, most)
    return replace(event, item=item, text=text, kind=kind)


def _limited(text: str, what: str) -> str:
    """Return a well-formed text, or refuse one that is too long to be meant."""
    text = well_formed(text, what)
    if len(text) > MAX_TEXT:
        raise RequestError(f"{what}: {len(text):,} characters, at most {MAX_TEXT:,} are taken; shorten it")
    return text


def _check_limits(query: Query) -> None:
    """Refuse what is too large to be meant, and a moment that is none."""
    events_of(query.history)
    if len(query.history) > MAX_EVENTS:
        raise RequestError(
            f"history: {len(query.history):,} events, at most {MAX_EVENTS:,} are taken; send the newest"
        )
    if query.at is not None:
        finite(query.at, "at (a moment in unix seconds) =", -_FAR, _FAR)


def _assembled(
    query: Query,
    dataset: Dataset,
    user: int,
    events: Sequence[tuple[Event, int]],
    words: Words,
    warnings: tuple[str, ...],
) -> Request:
    """Join the stored history with the events of the call."""
    rows = dataset.interactions
    span = slice(int(dataset.indptr[user]), int(dataset.indptr[user + 1])) if user >= 0 else slice(0, 0)
    ratings = np.array([np.nan if e.rating is None else e.rating for e, _ in events], dtype=np.float32)
    times = np.array([np.nan if e.time is None else e.time for e, _ in events], dtype=np.float64)
    moment = np.nan if query.at is None else float(query.at)
    stored = stored_words(dataset, np.array([user]), np.array([moment]), past_only=False)[0]
    later = int(np.sum(rows.time[span] > moment))  # none where either is unknown; the rows are oldest first
    span = slice(span.start, span.stop - later)
    every_time = np.concatenate([rows.time[span], times])
    moments = every_time[np.isfinite(every_time)]
    at = query.at if query.at is not None else (float(moments.max()) if moments.size else float("nan"))
    shown: dict[str, Any] = {"user": query.user, "history": [dataset.items[index] for _, index in events]}
    shown |= {"text": query.text, "searches": list(words.searches), "context": dict(query.context)}
    return Request(
        user,
        np.concatenate([rows.item[span], np.array([index for _, index in events], dtype=np.int32)]).astype(
            np.int32
        ),
        np.concatenate([rows.weight[span], _weights([e for e, _ in events], ratings, dataset)]).astype(
            np.float32
        ),
        np.concatenate([rows.rating[span], ratings]).astype(np.float32),
        every_time,
        Words(words.request, [*stored.searches, *words.searches], stored.profile),
        float(at),
        user >= 0 or (query.user is None),
        warnings,
        {**user_context(dataset.user_table, user), **query.context},
        {key: value for key, value in shown.items() if value},
    )


def _weights(events: Sequence[Event], ratings: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return float32 (n,): the signed weights of events of a call, by the dataset's own rule."""
    for event in events:
        if event.kind not in KINDS:
            raise RequestError(
                f"history: unknown kind {event.kind!r}{nearest(event.kind, KINDS)} (known: {', '.join(KINDS)})"
            )
    info = dataset.info
    _check_ratings(events, info.rating_scale)
    kinds = np.array([KINDS.index(e.kind) for e in events], dtype=np.uint8)
    seconds = np.array([np.nan if e.seconds is None else e.seconds for e in events], dtype=np.float32)
    unit = info.weight_unit or strongest(dataset.interactions.kind, info.weights)
    weights = {kind: min(unit, max(-unit, weight)) for kind, weight in info.weights.items()}
    weights["interaction"] = unit  # a bare id says: I chose this
    return signed_weights(kinds, ratings, seconds, info.rating_scale, weights, unit)


def _check_ratings(events: Sequence[Event], scale: tuple[float, float] | None) -> None:
    """Refuse ratings outside of the scale: a hundred of five stars would drown everything else."""
    for event in events:
        if scale is not None and event.rating is not None and not scale[0] <= event.rating <= scale[1]:
            raise RequestError(
                f"history: the rating {event.rating:g} of {shown_id(event.item or '')} is outside of the scale "
                f"({scale[0]:g} to {scale[1]:g})"
            )


def batch(requests: Sequence[Request], features: ItemFeatures, run: RunOptions) -> QueryBatch:
    """Return the queries of resolved requests, their words read."""
    lengths = np.array([r.items.size for r in requests], dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.array([r.at for r in requests], dtype=np.float64)
    times = np.concatenate([r.times for r in requests])
    contexts = tuple(r.context for r in requests)
    q = QueryBatch(
        indptr,
        np.concatenate([r.items for r in requests]).astype(np.int32),
        np.concatenate([r.weights for r in requests]).astype(np.float32),
        np.concatenate([r.ratings for r in requests]).astype(np.float32),
        np.maximum((np.repeat(at, lengths) - times) / SECONDS_PER_DAY, 0.0).astype(np.float32),
        np.array([r.user for r in requests], dtype=np.int32),
        at,
        contexts=contexts if any(contexts) else (),
    )
    return with_words(q, [r.words for r in requests], features, run)
