"""The life of a scorer: fitted, asked by many threads, stored, updated, tuned; with the same numbers each time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import fields, replace

import numpy as np
import polars as pl
from scipy import sparse

from fuserec.data.dataset import SECONDS_PER_DAY, Dataset, Interactions
from fuserec.data.query import QueryBatch
from fuserec.data.vocabulary import Vocabulary
from fuserec.errors import ConfigError, NotFittedError
from fuserec.scorers.base import Scorer
from fuserec.testing.form import require_same
from fuserec.testing.subject import Subject, require, restored

ALIKE = 0.995
"""Rank correlation that two trainings which differ by rounding alone have to reach."""


def inputs_stay_untouched(subject: Subject) -> None:
    """Nothing that is passed in is written to: not the dataset, the features, the queries or the candidates."""
    q, items = subject.queries, np.tile(np.array([1, 0, 3]), (len(subject.queries), 1))
    given = {
        "dataset": subject.dataset.interactions,
        "features": subject.features,
        "queries": q,
        "items": items,
    }
    before = {name: _bytes(value) for name, value in given.items()}
    fitted = subject.fit()
    fitted.score(q)
    fitted.score(q, items[0])
    fitted.score(q, items)
    fitted.evidence(q, items)
    if fitted.can_predict:
        fitted.predict(q, items)
    fitted.updated(subject.dataset, subject.features, subject.run)
    for name, value in given.items():
        require(_bytes(value) == before[name], f"the {name} passed in were written to")


def fit_leaves_the_original_alone(subject: Subject) -> None:
    """``fit`` returns a fitted copy; the scorer it is called on stays unfitted, its configuration the same."""
    before = {key: _shallow(value) for key, value in vars(subject.scorer).items()}
    fitted = subject.fit()
    require(fitted is not subject.scorer, "fit has to return a copy")
    after = {key: _shallow(value) for key, value in vars(subject.scorer).items()}
    require(after == before, f"fit altered the unfitted scorer: {sorted(after.keys() ^ before.keys())}")
    asks_to_be_fitted(subject)


def asks_to_be_fitted(subject: Subject) -> None:
    """Before ``fit``, scores and evidence are refused with a NotFittedError."""
    q, items = subject.rich, np.zeros((len(subject.rich), 1), np.int32)
    for what, ask in (
        ("score", lambda: subject.scorer.score(q)),
        ("evidence", lambda: subject.scorer.evidence(q, items)),
    ):
        try:
            ask()
        except NotFittedError:
            continue
        raise AssertionError(f"{what} before fit has to raise NotFittedError")


def same_seed_same_bits(subject: Subject) -> None:
    """Two fits with equal seed and threads give bit-equal scores."""
    first, second = subject.fit().score(subject.queries), subject.fit().score(subject.queries)
    require(np.array_equal(first.values, second.values), "equal seed, threads and batch: not bit-equal")
    require(np.array_equal(first.answered, second.answered), "equal seed: it abstains elsewhere")


def threads_do_not_matter(subject: Subject) -> None:
    """With other numbers of threads scores agree but for rounding, hence orders but for pairs closer than that.

    What is trained by gradient steps carries rounding on from step to step: there the order of scores has to agree
    nearly, not the digits.
    """
    wanted = subject.fitted.score(subject.queries)
    found = subject.fit(replace(subject.run, threads=3)).score(subject.queries)
    if not subject.scorer.capabilities.trained:
        require_same(found, wanted, "three threads")
        return
    require(np.array_equal(found.answered, wanted.answered), "three threads: it abstains elsewhere")
    ranks = (s.values[wanted.answered].argsort().argsort() for s in (found, wanted))
    agreement = float(np.corrcoef(*ranks)[0, 1])
    require(agreement > ALIKE, f"three threads: ranks correlate by {agreement:.4f}, under {ALIKE}")


def many_may_ask_at_once(subject: Subject) -> None:
    """Threads that ask at the same time get the same scores as one after the other."""
    q, fitted = subject.queries, subject.fit()
    pieces = [q.take([row % len(q), (row * 5 + 1) % len(q)]) for row in range(24)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(fitted.score, pieces))
    for piece, found in zip(pieces, together, strict=True):
        require_same(found, subject.fitted.score(piece), "asked by six threads at once")


def state_round_trip(subject: Subject) -> None:
    """``state`` is arrays of numbers and JSON, and all that ``from_state`` needs beside the features."""
    again = restored(subject.fitted, subject.features)
    q, items = subject.queries, np.tile(np.arange(0, 40, 9), (len(subject.queries), 1))
    first, second = subject.fitted.score(q), again.score(q)
    require(np.array_equal(first.values, second.values), "scores differ after state and from_state")
    require(np.array_equal(first.answered, second.answered), "it abstains elsewhere after from_state")
    require(
        subject.fitted.evidence(q, items) == again.evidence(q, items), "evidence differs after from_state"
    )
    if subject.fitted.can_predict:
        same = np.array_equal(subject.fitted.predict(q, items), again.predict(q, items))
        require(again.can_predict and same, "predicted ratings differ after state and from_state")


def update_knows_what_is_new(subject: Subject) -> None:
    """Items and people that came since are covered by ``updated``; where it is ``exact`` it equals a refit."""
    kind = subject.scorer.capabilities.update
    if kind == "refit":
        return
    grown = subject.given(dataset=grown_dataset(subject.dataset))
    features = subject.features.extended(grown.dataset, subject.run)
    old = subject.dataset.n_items
    known = grown.dataset.queries(np.array([4, 7, subject.dataset.n_users, subject.dataset.n_users + 1]))
    fresh = QueryBatch.of_histories([[old]])  # whoever took only what came since is answered as well
    subject.fitted.score(subject.queries)  # whatever it keeps for later must not outlive the update
    for scorer in (subject.fitted, restored(subject.fitted, subject.features)):
        later = scorer.updated(grown.dataset, features, subject.run)
        width = later.score(subject.queries).values.shape[1]
        require(width == grown.dataset.n_items, "updated has to score the items that came since")
        require(
            bool(later.score(known).answered[0, old]), f"item {old} came with interactions and text: judge it"
        )
        for q in (known, fresh) if kind == "exact" else ():
            refit = subject.scorer.fit(grown.dataset, features, subject.run)
            require_same(later.score(q), refit.score(q), "updated, against a refit")
    if hasattr(subject.fitted, "parts"):
        return  # a fusion keeps what it has learnt, so a second fit of a fitted one may differ
    again = subject.fitted.fit(grown.dataset, features, subject.run)
    refit = subject.scorer.fit(grown.dataset, features, subject.run)
    for q in (known, fresh):
        require_same(again.score(q), refit.score(q), "fitted a second time")


def retuning_equals_refitting(subject: Subject) -> None:
    """``tunable`` hyperparameters act on queries only: ``retuned`` equals a fit with them, and is a copy."""
    before = subject.fitted.score(subject.queries)
    for key, values in subject.scorer.tunable.items():
        for value in (values[0], values[-1]):
            other = copy(subject.scorer)
            other.config = subject.scorer.config.model_copy(update={key: value})
            found = subject.fitted.retuned(**{key: value}).score(subject.queries)
            require_same(
                found, subject.given(scorer=other).fit().score(subject.queries), f"retuned {key} = {value}"
            )
    after = subject.fitted.score(subject.queries)
    require(np.array_equal(before.values, after.values), "retuned altered the scorer it was called on")


def hyperparameters_are_checked(subject: Subject) -> None:
    """Each hyperparameter carries its documentation; an unknown one is refused, naming the nearest."""
    config = type(subject.scorer).Config
    for name, info in config.model_fields.items():
        require(bool(info.description), f"hyperparameter {name!r} has no description")
        wrong = f"{name}x"
        try:
            config.parse({wrong: 1}, "[contract]")
        except ConfigError as error:
            require(
                wrong in str(error) and name in str(error),
                f"the error has to name {wrong!r} and {name!r}: {error}",
            )
            continue
        raise AssertionError(f"an unknown hyperparameter {wrong!r} has to raise ConfigError")


def grown_dataset(dataset: Dataset) -> Dataset:
    """Return a dataset a week later: two items more, two users more, and events of both and of old ones."""
    users, items = (
        ["user 4", "user 7", "a new user", "another new user"],
        ["item-1", "item-2", "new-0", "new-1"],
    )
    user = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3], np.int32)
    item = np.array([2, 1, 2, 0, 0, 2, 1, 1, 2], np.int32)
    n = user.size
    time = float(np.nanmax(dataset.interactions.time)) + SECONDS_PER_DAY * (1.0 + np.arange(n))
    ratings = np.array([5, 4, 5, 2, 4, 5, 4, 3, 5], np.float32)
    weights = np.array([1.0, 0.6, 1.0, -0.1, 0.6, 1.0, 0.6, 0.3, 1.0], np.float32)
    kinds = np.full(n, dataset.interactions.kind[0], np.uint8)
    table = pl.DataFrame({"title": [None, None, "galaxy robot planet garden", "soup bread oven"]})
    new = Dataset(
        Vocabulary.from_ids(users),
        Vocabulary.from_ids(items),
        Interactions(user, item, weights, ratings, time, kinds),
        table,
        pl.DataFrame({"text": [None] * 4}, schema={"text": pl.String}),
        dataset.links.clear(),
    )
    return dataset.extended(new)


def _bytes(value: object) -> list[bytes]:
    """Return the content of the arrays in an object, in order."""
    if isinstance(value, np.ndarray):
        return [value.tobytes()]
    if sparse.issparse(value):
        return [part.tobytes() for part in (value.data, value.indices, value.indptr)]  # type: ignore[attr-defined]
    names = [f.name for f in fields(value)] if hasattr(value, "__dataclass_fields__") else []  # type: ignore[arg-type]
    nested = ("text",) if isinstance(value, QueryBatch) else ()
    kept = (np.ndarray, sparse.csr_matrix)
    found = [
        getattr(value, name) for name in names if name in nested or isinstance(getattr(value, name), kept)
    ]
    return [piece for part in found for piece in _bytes(part)]


def _shallow(value: object) -> object:
    """Return what tells whether an attribute was replaced or altered."""
    if isinstance(value, dict):
        return {key: _shallow(part) for key, part in value.items()}
    if isinstance(value, Scorer):
        return {key: _shallow(part) for key, part in vars(value).items()}
    return value if isinstance(value, str | int | float | bool | type(None)) else id(value)
