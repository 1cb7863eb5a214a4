"""Slow, plain computations of what the scorers' docstrings say, in float64 and with dense matrices.

A wrong orientation of a matrix, a lost event or a wrong weight passes every check of form; here it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fuserec.data.dataset import Dataset
from fuserec.data.query import QueryBatch
from fuserec.encoders.features import ItemFeatures
from fuserec.scorers.base import Scorer
from fuserec.testing.subject import Oracle


def popularity(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Log(1 + sum of positive weights), without a half-life."""
    counts = np.zeros(train.n_items)
    for item, weight in zip(train.interactions.item, train.interactions.weight, strict=True):
        counts[item] += max(float(weight), 0.0)
    return np.tile(np.log1p(counts), (len(q), 1))


def ease(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·B, B = I − P·diag(1 / diag P), P = (XᵀX + λI)⁻¹ (Steck 2019, eq. 8)."""
    config: Any = scorer.config
    x = _positive(train)
    p = np.linalg.inv(x.T @ x + config.regularization * np.eye(train.n_items))
    b = np.eye(train.n_items) - p @ np.diag(1.0 / np.diag(p))
    np.fill_diagonal(b, 0.0)
    return np.asarray(_inputs(q, train.n_items, config.recency) @ b)


def cooccurrence(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·M with M counted pair by pair."""
    c: Any = scorer.config
    m = np.zeros((train.n_items, train.n_items))
    rows = train.interactions
    for user in range(train.n_users):
        events = range(int(train.indptr[user]), int(train.indptr[user + 1]))
        for a in events:
            for b in events:
                first, then = int(rows.item[a]), int(rows.item[b])
                strength = max(float(rows.weight[a]), 0.0) * max(float(rows.weight[b]), 0.0)
                if 0 < b - a <= c.window and first != then:
                    m[first, then] += c.decay ** (b - a - 1) * strength
                    m[then, first] += c.backward * c.decay ** (b - a - 1) * strength
    damped = (train.item_counts + 1.0) ** -c.popularity_exponent
    return np.asarray(_inputs(q, train.n_items, c.recency) @ (m * np.outer(damped, damped)))


def item_knn(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·M with M the shrunk cosine of the items' columns, no more items than neighbours kept."""
    config: Any = scorer.config
    m = _shrunk_cosine(_positive(train).T, config.shrinkage)
    np.fill_diagonal(m, 0.0)
    return np.asarray(_inputs(q, train.n_items, config.recency) @ m)


def user_knn(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Σ sim·X over all users but the asker, no more users than neighbours asked."""
    config: Any = scorer.config
    x = _positive(train)
    asked = np.minimum(_inputs(q, train.n_items, config.recency, positive=True), 1.0)
    similar: np.ndarray = _shrunk_cosine(np.vstack([asked, x]), config.shrinkage or 0.0)[: len(q), len(q) :]
    for row, user in enumerate(q.users):
        if user >= 0:
            similar[row, user] = 0.0
    return np.asarray(similar @ x)


def als(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·y with x = (YᵀCY + λI)⁻¹ YᵀCp for the fitted Y (Hu, Koren, Volinsky 2008, eq. 4)."""
    config: Any = scorer.config
    arrays, _ = scorer.state()
    y = arrays["factors"].astype(np.float64)
    out = np.zeros((len(q), train.n_items))
    for row in range(len(q)):
        confident = _confident(q, row, arrays["items"], config)
        history, c = list(confident), np.array(list(confident.values()))
        theirs = y[history]
        system = (
            y.T @ y + config.regularization * np.eye(y.shape[1]) + theirs.T @ ((c - 1.0)[:, None] * theirs)
        )
        out[row] = y @ np.linalg.solve(system, theirs.T @ c) if history else 0.0
    return out


def svd(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """μ + b_i + b_u + p_u·q_i, the user's [b_u, p_u] by ridge regression on the fitted items."""
    config: Any = scorer.config
    arrays, meta = scorer.state()
    vectors = arrays["vectors"].astype(np.float64)
    readings = np.hstack([np.ones((train.n_items, 1)), vectors[:, 1:]])
    offsets = meta["mean"] + vectors[:, 0]
    out = np.tile(offsets, (len(q), 1))
    for row in range(len(q)):
        items, ratings = _rated(q, row, arrays["items"])
        penalty = np.full(readings.shape[1], config.regularization * np.sqrt(len(items)))
        penalty[0] = config.damping
        f = readings[items]
        if items:
            out[row] += readings @ np.linalg.solve(
                f.T @ f + np.diag(penalty), f.T @ (ratings - offsets[items])
            )
    return out


def nmf(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Low + p_u·q_i, p_u ≥ 0 by non-negative least squares on the fitted items, pulled to the constant vector."""
    from scipy.optimize import nnls

    config: Any = scorer.config
    arrays, meta = scorer.state()
    vectors, low = arrays["vectors"].astype(np.float64), meta["scale"][0]
    centre = np.full(vectors.shape[1], np.sqrt(max(meta["mean"] - low, 0.0) / vectors.shape[1]))
    out = np.empty((len(q), train.n_items))
    for row in range(len(q)):
        items, ratings = _rated(q, row, arrays["items"])
        user = centre
        if items:
            pull = np.sqrt(config.regularization * np.sqrt(len(items)))
            system = np.vstack([vectors[items], pull * np.eye(centre.size)])
            user = nnls(system, np.concatenate([ratings - low, pull * centre]))[0]
        out[row] = low + vectors @ user
    return out


def content(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·M + t·V over words and sentence vectors, no more items than neighbours kept."""
    c: Any = scorer.config
    share = c.sentence_share if features.sentence is not None else 0.0
    spaces = [(1.0 - share, np.asarray(features.lexical.toarray(), np.float64))]
    if features.sentence is not None:
        spaces.append((share, features.sentence.astype(np.float64)))
    m = np.zeros((train.n_items, train.n_items))
    for weight, vectors in spaces:
        cosine = vectors @ vectors.T
        np.fill_diagonal(cosine, 0.0)
        m += weight * np.where(cosine >= c.min_similarity, cosine, 0.0) ** c.sharpness
    out: np.ndarray = _inputs(q, train.n_items, c.recency) @ m
    if q.text is not None:
        out += (1.0 - share) * c.text_weight * (q.text.lexical.toarray() @ spaces[0][1].T)
        if q.text.sentence is not None and len(spaces) == 2:
            out += share * c.text_weight * np.maximum(q.text.sentence @ spaces[1][1].T, 0.0)
    return out


def content_map(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """x·m for m mixed of the fitted factors and map, x solved on the m of the history and the mapped words."""
    config: Any = scorer.config
    arrays, _ = scorer.state()
    own, counts = arrays["own"].astype(np.float64), arrays["counts"].astype(np.float64)
    lengths = np.linalg.norm(own, axis=1)
    usual = counts @ lengths / counts.sum()
    tags = features.tags.toarray()
    tags = tags / np.maximum(np.linalg.norm(tags, axis=1, keepdims=True), 1e-12)
    said = arrays["map.intercept"] + features.lexical @ arrays["map.words"] + tags @ arrays["map.tags"]
    said = said / np.linalg.norm(said, axis=1, keepdims=True)
    content = features.has_text | tags.any(axis=1)
    share = np.where(content, counts / (counts + config.shrinkage), 1.0)[:, None]
    told = np.where(content[:, None], said, 0.0)
    direction = own / np.maximum(lengths, 1e-12)[:, None]
    m = (
        share * direction * (lengths[:, None] / usual) ** config.length * usual
        + (1 - share) * config.lift * usual * told
    )
    out = np.zeros((len(q), train.n_items))
    for row in range(len(q)):
        history = _confident(q, row, content | (counts > 0), config)
        theirs, c = m[list(history)], np.array(list(history.values()))
        if q.text is not None and q.text.lexical[[row]].nnz:
            words = arrays["map.intercept"] + (q.text.lexical[[row]] @ arrays["map.words"])[0]
            theirs = np.vstack([theirs, usual * words / np.linalg.norm(words)])
            c = np.append(c, 1.0 + config.alpha * config.text_weight)
        system = (
            m.T @ m + config.regularization * np.eye(m.shape[1]) + theirs.T @ ((c - 1.0)[:, None] * theirs)
        )
        out[row] = m @ np.linalg.solve(system, theirs.T @ c) if c.size else 0.0
    return out


def factorization_machine(
    scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch
) -> np.ndarray:
    """w0 + Σ w_f x_f + Σ_{f<g} (v_f·v_g) x_f x_g, pair by pair (Rendle 2010, eq. 1), for the fitted w and v."""
    machine: Any = scorer
    at, trained = machine._factors, train.item_counts > 0
    asked, liking = machine._space.of_queries(q)
    own, offered = machine._asked_matrix(asked), machine._offered
    events = machine._inputs(liking if machine._target == "rating" else q.weights)
    out = np.empty((len(q), train.n_items))
    for row, item in np.ndindex(*out.shape):
        found = [(x, at.feature_weight[f], at.feature[f]) for f, x in _filled(own, row, 0)]
        first = own.shape[1]
        found += [(x, at.feature_weight[f], at.feature[f]) for f, x in _filled(offered, item, first)]
        found += [(1.0, at.item_weight[item], at.item[item])] if trained[item] else []
        history = range(int(q.indptr[row]), int(q.indptr[row + 1]))
        for table, event in np.ndindex(events.shape[1], len(history)):
            place = history[event]
            j, x = q.items[place], float(events[place, table]) / np.sqrt(len(history))
            found += [(x, at.event_weight[table, j], at.event[table, j])] if trained[j] else []
        x, w = (np.array([feature[part] for feature in found], np.float64) for part in (0, 1))
        v = np.array([feature[2] for feature in found], np.float64)
        products = np.outer(x, x) * (v @ v.T)
        out[row, item] = at.offset[0] + w @ x + np.triu(products, 1).sum()
    return out


def _filled(matrix: Any, row: int, first: int) -> list[tuple[int, float]]:
    """Return (column + first, value) of the entries of a CSR row."""
    span = slice(int(matrix.indptr[row]), int(matrix.indptr[row + 1]))
    return [(int(f) + first, float(x)) for f, x in zip(matrix.indices[span], matrix.data[span], strict=True)]


def debiased(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Return s as the wrapped scorer defines it, divided by (interactions + 1)^exponent where it is above 0."""
    wrapped: Any = scorer
    plain = ORACLES[wrapped.config.of](wrapped._inner["of"], train, features, q)
    return np.where(plain > 0, plain / (train.item_counts + 1.0) ** wrapped.config.exponent, plain)


def averaged(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Return the mean of the copies' definitions."""
    wrapped: Any = scorer
    plain = [ORACLES[wrapped.config.of](copy, train, features, q) for copy in wrapped._inner.values()]
    return np.asarray(np.mean(plain, axis=0))


def generative(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Π over digits of a softmax among those that some id goes on with, item by item; the beam holds them all."""
    speller: Any = scorer
    model, (indptr, events, words) = speller._model, speller._read(q)
    weights = {name: np.asarray(array, np.float64) for name, array in model.weights.items()}
    codes = model.ids.digits
    coded = [tuple(code) for code in codes.tolist() if code[0] >= 0]
    paths = [sorted({code[: level + 1] for code in coded}) for level in range(codes.shape[1])]
    out = np.zeros((len(q), train.n_items))
    for row in np.flatnonzero(np.diff(indptr) > 0):
        mine = events[indptr[row] : indptr[row + 1]]
        end = model.ends(np.array([0, mine.size]), mine, words)[0].astype(np.float64)
        odds: dict[tuple[int, ...], np.ndarray] = {}
        for item in np.flatnonzero(codes[:, 0] >= 0):
            code = tuple(codes[item].tolist())
            log = 0.0
            for level in range(len(code)):
                ways = [path for path in paths[level] if path[:level] == code[:level]]
                if code[:level] not in odds:
                    odds[code[:level]] = np.array(
                        [_branch(weights, end, paths[level].index(way), way) for way in ways]
                    )
                logits = odds[code[:level]]
                log += logits[ways.index(code[: level + 1])] - np.log(np.exp(logits).sum())
            out[row, item] = np.exp(log * model.config.sharpness)
    return out


def _branch(weights: dict[str, np.ndarray], end: np.ndarray, node: int, way: tuple[int, ...]) -> float:
    """Return the logit of the last digit of a prefix after the others."""
    level, name, s = len(way) - 1, f"decoder.going.{len(way) - 2}", end
    for place, digit in enumerate(way[:-1]):
        s = s + weights[f"decoder.prefix.{place}.table"][digit]
    if level:
        centred = s - s.mean()
        y = centred / np.sqrt(np.mean(centred**2) + 1e-5) * weights[f"{name}.norm.weight"]
        wide = weights[f"{name}.widen.weight"] @ (y + weights[f"{name}.norm.bias"])
        gate, value = np.split(wide + weights[f"{name}.widen.bias"], 2)
        step = gate / (1.0 + np.exp(-gate)) * value
        s = s + weights[f"{name}.narrow.weight"] @ step + weights[f"{name}.narrow.bias"]
    own = weights[f"decoder.nodes.{level}.table"][node] @ (weights[f"decoder.turn.{level}.weight"] @ s)
    return float(
        weights[f"decoder.out.{level}.table"][way[-1]] @ s + weights[f"decoder.bias.{level}"][node] + own
    )


def joint(scorer: Scorer, train: Dataset, features: ItemFeatures, q: QueryBatch) -> np.ndarray:
    """Softmax over the trained items of Σ λ_k logit_k / Σ λ_k, to the power of sharpness; item by item."""
    c: Any = scorer.config
    model: Any = vars(scorer)["_model"]
    said, _ = model.said(q.text, len(q))
    logits = np.zeros((len(q), train.n_items))
    for row in range(len(q)):
        events = range(int(q.indptr[row]), int(q.indptr[row + 1]))[-c.max_length :]
        fade = {event: c.recency ** (events[-1] - event) for event in events}
        u = model.constant.astype(np.float64) + said[row]
        for event in events:
            strength = float(q.weights[event]) * fade[event] / sum(fade.values()) ** c.normalization
            u = u + strength * model.read[q.items[event]]
        for item in range(train.n_items):
            described, ids = (side[item].astype(np.float64) for side in (model.described, model.ids))
            logit = {
                "content": u @ described,
                "deep": _tower(u, u, model.tower_u)
                @ _tower(np.concatenate([described, ids]), described + ids, model.tower_j)
                + model.offsets[1],
                "feedback": (u @ model.state) @ (described + ids) + model.offsets[2],
            }
            logits[row, item] = sum(
                weight * logit[name] for name, weight in zip(logit, model.weights, strict=True)
            )
    if c.score == "logit":
        return logits
    odds = np.exp(logits)
    return np.asarray((odds / odds[:, model.trained].sum(axis=1, keepdims=True)) ** c.sharpness)


ORACLES: dict[str, Oracle] = {
    "popularity": popularity,
    "ease": ease,
    "cooccurrence": cooccurrence,
    "item_knn": item_knn,
    "user_knn": user_knn,
    "als": als,
    "svd": svd,
    "nmf": nmf,
    "content": content,
    "joint": joint,
    "content_map": content_map,
    "generative": generative,
    "factorization_machine": factorization_machine,
    "debiased": debiased,
    "averaged": averaged,
}
"""The oracle of every scorer by name, for its default kind of hyperparameters."""


def _tower(x: np.ndarray, straight: np.ndarray, matrices: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return straight + relu(x W + b) V; straight alone where there are no matrices."""
    first, bias, second = (matrix.astype(np.float64) for matrix in matrices)
    return straight + np.maximum(x @ first + bias, 0.0) @ second if first.size else straight


def _positive(train: Dataset) -> np.ndarray:
    """Return float64 (n_users, n_items): the sum of each pair's weights, cut to [0, 1]."""
    x = np.zeros((train.n_users, train.n_items))
    for user, item, weight in zip(
        train.interactions.user, train.interactions.item, train.interactions.weight, strict=True
    ):
        x[user, item] += weight
    return np.clip(x, 0.0, 1.0)


def _inputs(q: QueryBatch, n_items: int, recency: float, *, positive: bool = False) -> np.ndarray:
    """Return float64 (n, n_items): weight × recency^(events since) of each history."""
    x = np.zeros((len(q), n_items))
    for row in range(len(q)):
        events = range(int(q.indptr[row]), int(q.indptr[row + 1]))
        for event in events:
            weight = max(float(q.weights[event]), 0.0) if positive else float(q.weights[event])
            x[row, q.items[event]] += weight * recency ** (events.stop - 1 - event)
    return x


def _confident(q: QueryBatch, row: int, known: np.ndarray, config: Any) -> dict[int, float]:
    """Return the confidence of each known item that a query takes to: (1 + alpha·weight) × recency^(events since)."""
    span = slice(int(q.indptr[row]), int(q.indptr[row + 1]))
    taken: dict[int, float] = {}
    newest: dict[int, float] = {}
    for item, weight, steps in zip(q.items[span], q.weights[span], q.steps[span], strict=True):
        if weight > 0 and known[item]:
            taken[int(item)] = min(taken.get(int(item), 0.0) + float(weight), 1.0)
            newest[int(item)] = config.recency ** float(steps)
    return {item: (1.0 + config.alpha * weight) * newest[item] for item, weight in taken.items()}


def _shrunk_cosine(rows: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return the cosines of all pairs of rows × n / (n + shrinkage), n the columns that both have."""
    norms = np.linalg.norm(rows, axis=1)
    outer = np.outer(norms, norms)
    cosine = np.divide(rows @ rows.T, outer, out=np.zeros_like(outer), where=outer > 0)
    shared = (rows != 0).astype(np.float64) @ (rows != 0).T
    damped = np.divide(shared, shared + shrinkage, out=np.zeros_like(shared), where=shared > 0)
    result: np.ndarray = cosine * damped
    return result


def _rated(q: QueryBatch, row: int, known: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return the known items that a query rates, and its newest rating of each."""
    ratings: dict[int, float] = {}
    for event in range(int(q.indptr[row]), int(q.indptr[row + 1])):
        if np.isfinite(q.ratings[event]) and known[q.items[event]]:
            ratings[int(q.items[event])] = float(q.ratings[event])
    return list(ratings), np.array(list(ratings.values()))
