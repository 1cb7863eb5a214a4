"""A dataset small enough to read, with everything in it that trips scorers up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from fuserec.data.dataset import SECONDS_PER_DAY, Dataset, DatasetInfo, Interactions, Searches
from fuserec.data.query import QueryBatch
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import DEFAULT_WEIGHTS, KINDS, signed_weights
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.reading import Words, with_words
from fuserec.run import RunOptions

N_USERS, N_ITEMS = 60, 40

COLD = (36, 37, 38, 39)
"""Items that nobody has taken; the last of them has no text either."""

WORDLESS = (34, 35, 39)
"""Items without any text."""

NEWCOMERS = (58, 59)
"""Users without any interaction; one has a profile, the other a search."""

START = 1.6e9
SCALE = (1.0, 5.0)

_TASTES = {
    "space": ("galaxy", "robot", "orbit", "alien", "starship", "planet", "asteroid", "signal"),
    "crime": ("detective", "murder", "alibi", "witness", "police", "poison", "court", "clue"),
    "kitchen": ("bread", "chef", "spice", "soup", "harvest", "butter", "garlic", "oven"),
    "江湖": ("剑客", "江湖", "武林", "侠义", "门派", "掌门", "秘籍", "恩怨"),
}


def small_dataset(seed: int = 0) -> Dataset:
    """Return 60 users and 40 items of four tastes, simulated.

    It has ratings (some of them bad, some missing), times, histories with repeats, of one event and of none, cold
    items (:data:`COLD`), items without text (:data:`WORDLESS`), profiles and searches.

    Parameters
    ----------
    seed : int
        Other seeds give other histories and titles, of the same shape.
    """
    rng = np.random.default_rng(seed)
    tastes = list(_TASTES)
    taste_of_item = np.arange(N_ITEMS) % len(tastes)
    taste_of_user = np.arange(N_USERS) % len(tastes)
    return Dataset(
        Vocabulary.from_ids(f"user {u}" for u in range(N_USERS)),
        Vocabulary.from_ids(f"item-{i}" for i in range(N_ITEMS)),
        _interactions(rng, taste_of_user, taste_of_item),
        _item_table(rng, taste_of_item),
        _user_table(taste_of_user),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
        _searches(taste_of_user),
        DatasetInfo(name="small", simulated=True, rating_scale=SCALE),
    )


def _interactions(rng: np.random.Generator, of_user: np.ndarray, of_item: np.ndarray) -> Interactions:
    """Return histories that mostly keep to one taste, newest events last."""
    users, items = [], []
    popularity = 1.0 / (1.0 + np.arange(N_ITEMS) % 12)
    popularity[list(COLD)] = 0.0
    for who in range(N_USERS):
        chances = popularity * np.where(of_item == of_user[who], 6.0, 1.0)
        length = 0 if who in NEWCOMERS else (1, 2, 3)[who] if who < 3 else int(rng.integers(5, 14))
        taken = rng.choice(N_ITEMS, length, replace=False, p=chances / chances.sum())
        if length > 8:
            taken[-2] = taken[0]  # somebody came back to it
        users += [who] * length
        items += taken.tolist()
    user, item = np.array(users, np.int32), np.array(items, np.int32)
    likes = np.where(of_item[item] == of_user[user], 4.2, 2.6) + rng.normal(0, 0.8, user.size)
    ratings = np.clip(np.round(likes), *SCALE).astype(np.float32)
    ratings[rng.random(user.size) < 0.15] = np.nan
    kinds = np.where(np.isnan(ratings), KINDS.index("like"), KINDS.index("rating")).astype(np.uint8)
    nothing = np.full(user.size, np.nan, np.float32)
    weights = signed_weights(kinds, ratings, nothing, SCALE, DEFAULT_WEIGHTS)
    position = np.arange(user.size) - np.searchsorted(user, user)
    days = 0.7 * user + 5.0 * (position // 2)  # two events a day: within it the order of the rows counts
    return Interactions(user, item, weights, ratings, START + days * SECONDS_PER_DAY, kinds)


def _item_table(rng: np.random.Generator, of_item: np.ndarray) -> pl.DataFrame:
    """Return titles and categories of a taste's words, tags, brands and a price."""
    tastes = list(_TASTES)
    rows = []
    for item in range(N_ITEMS):
        taste = tastes[of_item[item]]
        words = rng.choice(_TASTES[taste], 4, replace=False).tolist()
        empty = item in WORDLESS
        rows.append(
            {
                "title": None if empty else " ".join(words),
                "categories": [] if empty else [taste],
                "tags": [] if item in COLD else words[:2],
                "brand": None if empty else f"house {item % 3}",
                "price": float(item),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"title": pl.String, "brand": pl.String})


def _user_table(of_user: np.ndarray) -> pl.DataFrame:
    """Return a profile for every sixth user and for the first newcomer."""
    tastes = list(_TASTES)
    texts = [
        f"I like {_TASTES[tastes[of_user[u]]][0]} stories" if u % 6 == 5 or u == NEWCOMERS[0] else None
        for u in range(N_USERS)
    ]
    return pl.DataFrame({"text": texts}, schema={"text": pl.String})


def _searches(of_user: np.ndarray) -> Searches:
    """Return early searches of some users, and one of the second newcomer."""
    users = [*range(4, 40, 4), NEWCOMERS[1]]
    words = [_TASTES[list(_TASTES)[of_user[u]]][1] for u in users]
    return Searches(np.array(users, np.int32), np.full(len(users), START - SECONDS_PER_DAY), tuple(words))


def small_features(dataset: Dataset, run: RunOptions) -> ItemFeatures:
    """Return the features of a dataset by words alone: no language model, nothing on disk."""
    return ItemFeatures.build(dataset, FeatureConfig(use_sentence="never"), run)


def sentence_vectors(n: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    """Return float32 (n, dim) of unit length that stand in for a language model's, drawn at random."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def small_queries(dataset: Dataset, features: ItemFeatures, run: RunOptions) -> QueryBatch:
    """Return stored users with and without words, as the Recommender would ask: 12 queries.

    Among them are a user with one event, the newcomers (no history, one with a profile, one with a search), and
    somebody unknown with the history of another.
    """
    users = np.array([0, 1, 2, 4, 5, 8, 11, 20, 33, 58, 59, 7])
    q = dataset.queries(users)
    words = [Words()] * users.size
    words[3] = Words(request="a detective and a robot")
    words[6] = Words(profile="soup and bread", searches=["武林"])
    words[9] = Words(profile=dataset.user_table["text"][58] or "")
    words[10] = Words(searches=[dataset.searches.text[-1]])
    who = q.users.copy()
    who[-1] = -1
    return with_words(replace(q, users=who), words, features, run)
