"""The form of scores: batches, candidates, abstention, and queries that are odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.scorers.base import Scores
from fuserec.testing.subject import Subject, require, require_close


def require_same(found: Scores, wanted: Scores, promise: str) -> None:
    """Require two answers to abstain alike, and to agree where they do not."""
    require(found.values.shape == wanted.values.shape, f"{promise}: shape {found.values.shape}")
    require(np.array_equal(found.answered, wanted.answered), f"{promise}: it abstains elsewhere")
    answered = wanted.answered
    require_close(found.values[answered], wanted.values[answered], promise)


def require_form(scores: Scores, n: int, m: int, what: str) -> None:
    """Require finite float32 of the right shape, and masks that fit."""
    require(
        scores.values.dtype == np.float32, f"{what}: scores have to be float32, got {scores.values.dtype}"
    )
    require(scores.values.shape == (n, m), f"{what}: scores have to be {(n, m)}, got {scores.values.shape}")
    require(
        bool(np.isfinite(scores.values).all()), f"{what}: scores have to be finite, also where it abstains"
    )
    require(
        scores.items.dtype == bool and scores.queries.dtype == bool, f"{what}: masks have to be of type bool"
    )
    require(
        scores.items.shape in ((m,), (n, m)) and scores.queries.shape == (n,),
        f"{what}: masks have to be ({m},) or {(n, m)}, and ({n},), "
        f"got {scores.items.shape} and {scores.queries.shape}",
    )


def values_are_finite_float32(subject: Subject) -> None:
    """Scores are finite float32 (n, m), masks bool; for the catalogue and for candidates."""
    q, n_items = subject.queries, subject.dataset.n_items
    require_form(subject.fitted.score(q), len(q), n_items, "catalogue")
    some = np.array([5, 0, 9])
    require_form(subject.fitted.score(q, some), len(q), 3, "candidates (m,)")
    require_form(subject.fitted.score(q, np.tile(some, (len(q), 1))), len(q), 3, "candidates (n, m)")


def batch_equals_singles(subject: Subject) -> None:
    """Every query gets the same scores alone and among others."""
    whole = subject.fitted.score(subject.queries)
    for row in range(len(subject.queries)):
        alone = subject.fitted.score(subject.queries.take([row]))
        require_same(alone, _row(whole, row), f"query {row} alone")


def order_of_queries_is_free(subject: Subject) -> None:
    """Scores do not depend on where in the batch a query stands."""
    order = np.random.default_rng(3).permutation(len(subject.queries))
    shuffled = subject.fitted.score(subject.queries.take(order))
    whole = subject.fitted.score(subject.queries)
    for position, row in enumerate(order):
        require_same(_row(shuffled, position), _row(whole, int(row)), f"query {row} at place {position}")


def candidates_equal_the_slice(subject: Subject) -> None:
    """Scores of candidates, (m,) or (n, m), are those columns of the catalogue's scores."""
    q, rng = subject.queries, np.random.default_rng(4)
    whole = subject.fitted.score(q)
    same = rng.permutation(subject.dataset.n_items)[:9]
    own = np.stack([rng.permutation(subject.dataset.n_items)[:6] for _ in range(len(q))]).astype(np.int32)
    for what, items in (("(m,)", same), ("(n, m)", own), ("(0,)", same[:0])):
        wide = np.broadcast_to(items, (len(q), items.shape[-1]))
        wanted = Scores(
            np.take_along_axis(whole.values, wide.astype(np.int64), axis=1),
            np.take_along_axis(whole.answered, wide.astype(np.int64), axis=1),
            whole.queries,
        )
        require_same(subject.fitted.score(q, items), wanted, f"candidates {what}")


def abstains_on_items_it_cannot_judge(subject: Subject) -> None:
    """Items without interactions are left to scorers of content, items without content as well to nobody."""
    scores = subject.fitted.score(subject.rich)
    known = np.broadcast_to(scores.items, scores.values.shape)
    bare = subject.cold[~subject.features.has_text[subject.cold]]
    bare = bare[np.diff(subject.features.tags.indptr)[bare] == 0]
    require(not known[:, bare].any(), f"items {bare.tolist()} have neither interactions nor content: abstain")
    require(bool(known[:, subject.warm].mean() > 0.5), "most items that people took have to be judged")
    if "text" not in subject.scorer.capabilities.answers and not subject.scorer.capabilities.columns:
        require(
            not known[:, subject.cold].any(),
            f"items {subject.cold.tolist()} were never seen in training: a scorer of behaviour has to abstain",
        )


def abstains_on_queries_it_cannot_answer(subject: Subject) -> None:
    """``capabilities.answers`` says what a query must bring; without it the scorer abstains, with it it answers."""
    answers, fitted = subject.scorer.capabilities.answers, subject.fitted
    nobody = QueryBatch.of_histories([[]])
    require(
        bool(fitted.score(nobody).queries[0]) == ("anyone" in answers),
        f"an empty query, where capabilities.answers = {sorted(answers)}",
    )
    texted = with_words(nobody, [Words(request="robot detective soup")], subject.features, subject.run)
    require(
        bool(fitted.score(texted).queries[0]) == bool(answers & {"text", "anyone"}),
        f"a query of words alone, where capabilities.answers = {sorted(answers)}",
    )
    if "history" in answers:
        require(
            bool(fitted.score(subject.rich).queries.all()), "known, liked and rated histories get answers"
        )
    if not answers & {"text", "anyone"}:
        unknown = QueryBatch.of_histories([subject.cold[:2]])
        require(not fitted.score(unknown).queries[0], "a history of items never seen in training: abstain")


def odd_queries(subject: Subject) -> dict[str, QueryBatch]:
    """Return queries that a service meets on its first day, by what is odd about them."""
    cold, warm = subject.cold, subject.warm
    three = QueryBatch.of_histories([warm[:3]])
    long = np.resize(np.arange(subject.dataset.n_items), 400)
    nobody = QueryBatch.of_histories([[], []])
    said = [Words(request="galaxy"), Words(request="zzzz qqqq")]
    return {
        "no query at all": three.take([]),
        "an empty history": nobody,
        "a history of cold items": QueryBatch.of_histories([cold, [*cold, *warm[:1]]]),
        "one item many times": QueryBatch.of_histories([np.repeat(warm[:1], 50)]),
        "a very long history": QueryBatch.of_histories([long]),
        "dislikes only": three.with_weights(np.full(3, -1.0)),
        "weights of zero": three.with_weights(np.zeros(3)),
        "bad ratings only": replace(
            three, ratings=np.ones(3, np.float32), weights=np.full(3, -0.4, np.float32)
        ),
        "words only": with_words(nobody, said, subject.features, subject.run),
        "a user row that training never had": replace(three, users=np.array([-1], np.int32)),
    }


def odd_queries_get_answers(subject: Subject) -> None:
    """Empty, cold, repeated, very long, negative and wordy queries are scored without a crash."""
    candidates = np.array([0, *subject.cold[:1], 1])
    for what, q in odd_queries(subject).items():
        require_form(subject.fitted.score(q), len(q), subject.dataset.n_items, what)
        require_form(subject.fitted.score(q, candidates), len(q), candidates.size, what)


def predicts_in_the_scale(subject: Subject) -> None:
    """Ratings are predicted, where the scorer can, for every query and item, within the scale of the data."""
    if not subject.fitted.can_predict:
        return
    low, high = subject.dataset.info.rating_scale or (-np.inf, np.inf)
    for q in (subject.queries, subject.rich, QueryBatch.of_histories([[]])):
        items = np.tile(np.arange(subject.dataset.n_items), (len(q), 1))
        found = subject.fitted.predict(q, items)
        require(
            found.shape == items.shape and found.dtype == np.float32, "predictions have to be float32 (n, m)"
        )
        require(bool(np.isfinite(found).all()), "predictions have to be finite")
        require(bool(((found >= low) & (found <= high)).all()), f"predictions have to lie in {low} to {high}")


def _row(scores: Scores, row: int) -> Scores:
    """Return the scores of one query."""
    items = scores.items if scores.items.ndim == 1 else scores.items[row : row + 1]
    return Scores(scores.values[row : row + 1], items, scores.queries[row : row + 1])
