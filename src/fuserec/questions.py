"""Questions to somebody new: which item to ask about next, by expected information gain about their taste.

Rashid, Karypis, Riedl 2008, "Learning preferences of new users in recommender systems: an information theoretic
approach" (IGCN), after Rashid et al. 2002, "Getting to know you". The hypotheses are groups of stored users with alike
histories. An answer is liked, disliked, or not known; what has been answered makes some groups likelier than others,
and the next question is the item whose answer is expected to tell most about which of them it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from fuserec.answers import Question, Questions
from fuserec.errors import RequestError
from fuserec.numerics.hashing import reseed
from fuserec.numerics.linear_map import leading_directions
from fuserec.numerics.similar import unit_rows
from fuserec.numerics.topk import top_k
from fuserec.requests import Request, list_length
from fuserec.run import RunOptions
from fuserec.search import vector_scores

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.fitted import Fitted

MAX_USERS = 2000
"""Stored users, drawn by a seeded hash of their ids, whose histories make the hypotheses."""

MAX_GROUPS = 50
PRIOR = 4.0
"""A group's share of people who like an item is mixed with everybody's as if by so many more people."""

DISLIKED = 0.05
"""So much of one dislike is taken to have been seen everywhere: where the data hold none, it says no more than that the
item is not liked."""

SAID = 20
"""A text counts as one answer: that the items nearest to it, so many, are liked on average."""

LEAST_GAIN = 1e-6
"""Bits; a question that tells less is not asked."""

_DIM = 32
_SWEEPS = 30


@dataclass(frozen=True)
class Tastes:
    """Hypotheses about somebody: groups of people, and how each would answer about every item.

    Parameters
    ----------
    share : float64 (g,)
        Of all people, before anything is answered.
    likes : float32 (g, n_items)
        Probability that one of the group knows and likes an item.
    dislikes : float32 (g, n_items)
        That one knows and does not.
    doubt : float32 (g, n_items)
        Entropy of the answer within the group, bits.
    """

    share: np.ndarray
    likes: np.ndarray
    dislikes: np.ndarray
    doubt: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> Tastes:
        """Group stored users by what they like."""
        users = np.flatnonzero(np.diff(dataset.indptr) > 0)
        drawn = users[np.argsort(reseed(dataset.users.hashes[users], seed), kind="stable")[:MAX_USERS]]
        weights = dataset.matrix("weight")[np.sort(drawn)]
        liked = sparse.csr_matrix(weights > 0, dtype=np.float32)
        disliked = sparse.csr_matrix(weights < 0, dtype=np.float32)
        groups = _groups(liked, RunOptions(seed=seed).rng("questions"))
        people = np.arange(groups.size)
        members = sparse.csr_matrix((np.ones(people.size, np.float32), (groups, people)))
        size = np.bincount(groups).astype(np.float32)[:, None]
        loving, hating = ((members @ kind).toarray() for kind in (liked, disliked))
        everybody = (loving.sum(axis=0) + 0.01) / (size.sum() + 1.0)
        likes = (loving + PRIOR * everybody) / (size + PRIOR)
        rest = size - loving
        usual = (hating.sum(axis=0) + DISLIKED) / (rest.sum(axis=0) + 1.0)
        told = (hating + PRIOR * usual) / (rest + PRIOR)
        dislikes = (1.0 - likes) * np.where(hating.sum(axis=0) > 0, told, usual)
        return cls(
            size[:, 0].astype(np.float64) / groups.size,
            likes.astype(np.float32),
            dislikes.astype(np.float32),
            _entropy(likes, dislikes).astype(np.float32),
        )

    def believed(
        self, liked: np.ndarray, disliked: np.ndarray, unknown: np.ndarray, near: np.ndarray
    ) -> np.ndarray:
        """Return float64 (g,): how likely each group is after the answers (Bayes, answers independent in a group).

        Parameters
        ----------
        liked, disliked, unknown : int (n,)
            Items by what was answered about them.
        near : int (n,)
            Items nearest to what was said in words.
        """
        logs = np.log(self.share)
        logs += np.log(self.likes[:, liked]).sum(axis=1, dtype=np.float64)
        logs += np.log(self.dislikes[:, disliked]).sum(axis=1, dtype=np.float64)
        silent = np.maximum(1.0 - self.likes[:, unknown] - self.dislikes[:, unknown], 1e-6)
        logs += np.log(silent).sum(axis=1, dtype=np.float64)
        if near.size:
            logs += np.log(self.likes[:, near]).mean(axis=1, dtype=np.float64)
        odds = np.exp(logs - logs.max())
        return np.asarray(odds / odds.sum())

    def gains(self, belief: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float64 (n_items,) twice: the information an answer is expected to bring, in bits; P(liked).

        I(answer; group) = H(answer) − Σ_g P(g) H(answer | g).
        """
        likes, dislikes = belief @ self.likes, belief @ self.dislikes
        return np.maximum(_entropy(likes, dislikes) - belief @ self.doubt, 0.0), likes


def _entropy(likes: np.ndarray, dislikes: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of the answers liked, disliked and neither."""
    total = np.zeros(likes.shape)
    for p in (likes, dislikes, 1.0 - likes - dislikes):
        total -= p * np.log2(np.maximum(p, 1e-12))
    return total


def _groups(liked: sparse.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    """Return int (n,): the group of each person, by spherical k-means (Dhillon and Modha 2001) on what they like.

    Rare items count more, as words do in TF-IDF; histories are reduced to their leading directions first. Starts are
    drawn far from each other (k-means++, Arthur and Vassilvitskii 2007).
    """
    n = liked.shape[0]
    rarity = np.log1p(n / (1.0 + np.bincount(liked.indices, minlength=liked.shape[1])))
    rows = sparse.csr_matrix(
        unit_rows(sparse.csr_matrix(liked @ sparse.diags_array(rarity), dtype=np.float32))
    )
    places = unit_rows(np.asarray(rows @ leading_directions(rows, _DIM, rng), np.float32))
    k = min(MAX_GROUPS, max(2, round((n / 2) ** 0.5)), n)
    if places.shape[1] == 0:
        return np.zeros(n, np.int64)
    chosen = [int(rng.integers(n))]
    while len(chosen) < k:
        far = np.maximum(1.0 - (places @ places[chosen].T).max(axis=1), 0.0).astype(np.float64) ** 2
        if far.sum() < 1e-9:
            break
        chosen.append(int(rng.choice(n, p=far / far.sum())))
    centres, groups = places[chosen], np.full(n, -1)
    for _ in range(_SWEEPS):
        nearest = np.argmax(places @ centres.T, axis=1)
        if np.array_equal(nearest, groups):
            break
        groups = nearest
        sums = np.zeros_like(centres)
        np.add.at(sums, groups, places)
        centres = unit_rows(sums)
    return np.unique(groups, return_inverse=True)[1]


def questions(
    model: Fitted,
    request: Request,
    unknown: Sequence[int],
    k: int,
    allowed: np.ndarray,
    warnings: tuple[str, ...],
) -> Questions:
    """Return the items to ask about next, the one that tells most first.

    Parameters
    ----------
    model : Fitted
    request : Request
        The answers so far: items with a weight above 0 are liked, those below are not; and words.
    unknown : sequence of int
        Items that were asked about and not known.
    k : int
        How many; the first is to be asked, the others stand in for it.
    allowed : bool (n_items,)
        Items that may be asked about.
    warnings : tuple of str

    Raises
    ------
    RequestError
        Where the model holds no histories to learn tastes from.
    """
    if not model.histories:
        raise RequestError(
            "ask: this model was saved without histories, and questions are chosen by how stored users differ: "
            "ask the one it was made from, or fit anew"
        )
    if model.dataset.n_interactions == 0:
        raise RequestError("ask: nobody has taken anything yet, so no question tells tastes apart")
    k = list_length(k, model.dataset)
    silent = np.asarray(unknown, dtype=np.int64)
    near = _nearest(model, " ".join(text for text, _ in request.words.weighted()))
    tastes = model.tastes
    belief = tastes.believed(
        np.unique(request.items[request.weights > 0]),
        np.unique(request.items[request.weights < 0]),
        np.unique(silent),
        near,
    )
    gains, likes = tastes.gains(belief)
    open_ = allowed & (gains > LEAST_GAIN)
    open_[request.items] = open_[silent] = False
    visible = np.where(open_, gains, -np.inf).astype(np.float32)[None, :]
    items, _, counts = top_k(visible, k, ties=model.ties)
    asked = tuple(
        Question(
            model.dataset.items[int(item)],
            model.titles[int(item)],
            place + 1,
            float(gains[item]),
            float(likes[item]),
        )
        for place, item in enumerate(items[0, : counts[0]])
    )
    bits = float(-(belief * np.log2(np.maximum(belief, 1e-300))).sum())
    shown = {
        **request.shown,
        **({"unknown": [model.dataset.items[int(i)] for i in silent]} if silent.size else {}),
    }
    return Questions(shown, asked, bits, (*request.warnings, *warnings), model.note)


def _nearest(model: Fitted, text: str) -> np.ndarray:
    """Return int (≤ SAID,): the items nearest to what was said in words."""
    if not text.strip():
        return np.empty(0, np.int64)
    scores = vector_scores(model.features.read([text], RunOptions(threads=1)), model.features)
    visible = np.where(scores > 0, scores, np.float32(-np.inf))[None, :]
    items, _, counts = top_k(
        np.ascontiguousarray(visible, np.float32), min(SAID, scores.size), ties=model.ties
    )
    return np.asarray(items[0, : counts[0]])
