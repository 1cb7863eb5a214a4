"""Lists for many stored users at once: those without dials together, the others by theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fuserec.control.board import Board
from fuserec.control.lists import Maker
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import RequestError
from fuserec.requests import shown_id
from fuserec.rerank.chain import lists_of

if TYPE_CHECKING:
    from fuserec.control.controls import Controls
    from fuserec.data.query import QueryBatch
    from fuserec.fitted import Fitted
    from fuserec.run import RunOptions


def lists_of_users(
    model: Fitted, users: Sequence[str], k: int, run: RunOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return items int32 (n, k), -1 where fewer are eligible, and scores float32 (n, k) of stored users.

    Raises
    ------
    RequestError
        For a user that is not known.
    """
    indices = model.dataset.users.indices(list(users))
    if (indices < 0).any():
        raise RequestError(f"user {shown_id(users[int(np.argmin(indices))])} is not known to this model")
    n_items = model.dataset.n_items
    chunk = max(1, run.memory_mb * 2**20 // (4 * n_items * (len(model.fused.parts) + 2)))
    lists, values = [np.empty((0, k), np.int32)], [np.empty((0, k), np.float32)]
    for lo in range(0, indices.size, chunk):
        q = model.dataset.queries(indices[lo : lo + chunk])
        words = stored_words(model.dataset, q.users, np.full(len(q), np.nan), past_only=False)
        q = with_words(q, words, model.features, run)
        scores = model.fused.score(q)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        visible = model.chain.permitted(visible, q)
        items, top = _lists(model, q, visible, k, users[lo : lo + chunk], run)
        lists.append(items)
        values.append(top)
        run.progress("recommending", min(lo + chunk, indices.size), indices.size)
    return np.concatenate(lists), np.concatenate(values)


def _lists(
    model: Fitted, q: QueryBatch, visible: np.ndarray, k: int, users: Sequence[str], run: RunOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return items int32 (n, k) and scores float32 (n, k) of stored users.

    Users with equal dials are answered together, unless dials look at what was shown to each.
    """
    items = np.full((len(q), k), -1, np.int32)
    scores = np.full((len(q), k), -np.inf, np.float32)
    for controls, rows in _groups(model, users):
        own = q.take(rows)
        board = _board(model, controls, own, run) if controls.active else None
        if board is None or board.idle:
            seen, threads = own.seen(), run.threads
            found = lists_of(
                visible[rows], k, model.chain, own, exclude=seen, ties=model.ties, threads=threads
            )
        else:
            maker = Maker(board, model.chain, model.ties, run.threads)
            found = maker.lists(visible[rows], k, own, own.seen())
        items[rows, : found.items.shape[1]] = found.items
        scores[rows, : found.items.shape[1]] = found.scores
    return items, scores


def _groups(model: Fitted, users: Sequence[str]) -> list[tuple[Controls, np.ndarray]]:
    """Return the different dials, each with the rows of the users who have them."""
    apart: dict[str, tuple[Controls, list[int]]] = {}
    for row, user in enumerate(users):
        controls = model.controls_for(user)
        alone = bool(controls.fatigue) or controls.max_shown is not None
        key = (
            ""
            if user not in model.kept and not alone
            else controls.model_dump_json() + (user if alone else "")
        )
        apart.setdefault(key, (controls, []))[1].append(row)
    return [(controls, np.array(rows)) for controls, rows in apart.values()]


def _board(model: Fitted, controls: Controls, q: QueryBatch, run: RunOptions) -> Board:
    """Return the dials of a group; its first user stands for all, who is alone where that matters."""
    shown = model.shown_index.to(int(q.users[0]))
    at = q.at[0] if len(q) == 1 else np.nanmax(np.append(q.at, -np.inf))
    return Board.of(controls, model.catalogue, run, shown, float(at))
