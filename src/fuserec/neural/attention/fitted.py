"""What is kept of an attention over the history, and how it answers: plain arrays, PyTorch is not needed for it.

exp f(i, j) depends on two items and on nothing else, so it is made once for every pair that is alike at all. An answer
is then one product of a sparse row and a sparse matrix, and a second one for the denominator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fuserec.numerics.item_similarity import Similarities
from fuserec.numerics.sparse import csr_times_csr_dense

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.numerics.arrays import Rows
    from fuserec.types import Arrays, Meta

BOUND = 8.0
"""f is cut to ± this: one event outweighs another by at most exp(16)."""

CHUNK = 200_000
"""Pairs of which f is made at a time."""


@dataclass(frozen=True)
class SourceTarget:
    """What f is made of.

    Parameters
    ----------
    source, target : float32 (n_items, dim)
        g and k.
    source_map, target_map : float32 (k, dim)
        Through which the text of an item that nobody has taken becomes g and k.
    inner, shift, outer : float32 (hidden, dim), (hidden,), (hidden,), or None
        The network; without it f is a product.
    """

    source: np.ndarray
    target: np.ndarray
    source_map: np.ndarray
    target_map: np.ndarray
    inner: np.ndarray | None = None
    shift: np.ndarray | None = None
    outer: np.ndarray | None = None

    def attention(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return exp f float32 (n,) of pairs of items."""
        out = np.empty(sources.size, np.float32)
        for lo in range(0, sources.size, CHUNK):
            here = slice(lo, lo + CHUNK)
            both = self.source[sources[here]] * self.target[targets[here]]
            if self.inner is None or self.shift is None or self.outer is None:
                out[here] = both.sum(axis=1)
            else:
                out[here] = np.maximum(both @ self.inner.T + self.shift, 0.0) @ self.outer
        return np.exp(np.clip(out, -BOUND, BOUND))

    def extended(self, text: np.ndarray) -> SourceTarget:
        """Return the same with more items, known by what their texts say (m, k)."""
        return replace(
            self,
            source=np.concatenate([self.source, text @ self.source_map]).astype(np.float32),
            target=np.concatenate([self.target, text @ self.target_map]).astype(np.float32),
        )


@dataclass(frozen=True)
class FittedAttention:
    """Logits b + Σ x_i w S(i, j) / (Σ |x_i| exp f(i, j))^smoothing, the denominator only where w is an attention.

    Parameters
    ----------
    form : {"global", "bilinear", "mlp"}
    like : Similarities
    bias : float
        b.
    shared : float32 (n_channels,)
        What all items have in common: the weight of each kind of similarity.
    own : float32 (n_items, n_channels) or None
        What w of single items differs by (global).
    vectors : SourceTarget or None
        What f is made of (bilinear, mlp).
    smoothing : float
    """

    form: str
    like: Similarities
    bias: float
    shared: np.ndarray
    own: np.ndarray | None = None
    vectors: SourceTarget | None = None
    smoothing: float = 0.5

    @cached_property
    def attention(self) -> sparse.csr_matrix | None:
        """CSR float32 (n_items, n_items): exp f(i, j) of the pairs that are alike; None where w is global."""
        if self.vectors is None:
            return None
        return self.like.map_of(self.vectors.attention(self.like.sources, self.like.targets))

    @cached_property
    def numerators(self) -> sparse.csr_matrix:
        """CSR float32 (n_items, n_items): w_i S(i, j), or exp f(i, j) S(i, j)."""
        like = self.like
        if self.own is not None:
            return like.map_of(((self.shared + self.own[like.sources]) * like.values).sum(axis=1))
        joined = like.values @ self.shared
        if self.vectors is not None:
            joined = joined * self.vectors.attention(like.sources, like.targets)
        return like.map_of(joined)

    def divisors(self, x: Rows, threads: int) -> np.ndarray | None:
        """Return float32 (n, n_items): (Σ |x_i| exp f(i, j))^smoothing, 1 where nothing is like j; None if global."""
        heard = self.attention
        if heard is None:
            return None
        below = csr_times_csr_dense(x[0], x[1], np.abs(x[2]), heard, threads=threads)
        below[below <= 0] = 1.0
        return np.power(below, np.float32(self.smoothing))

    def history(self, x: Rows, threads: int) -> np.ndarray:
        """Return float32 (n, n_items): what histories, as (indptr, items, strengths), say for every item."""
        above = csr_times_csr_dense(*x, self.numerators, threads=threads)
        below = self.divisors(x, threads)
        return above if below is None else above / below

    def extended(self, like: Similarities, text: np.ndarray) -> FittedAttention:
        """Return the model for newer similarities; ``text`` (m, k) is what the items that came since say."""
        own, more = self.own, like.n_items - self.like.n_items
        if own is not None and more:
            own = np.concatenate([own, np.zeros((more, own.shape[1]), np.float32)])
        vectors = self.vectors if self.vectors is None or not more else self.vectors.extended(text)
        return replace(self, like=like, own=own, vectors=vectors)

    def state(self) -> tuple[Arrays, Meta]:
        """Return arrays and JSON: nothing of the training data."""
        like = self.like
        arrays: Arrays = {
            f"like.{name}": getattr(like, name)
            for name in ("indptr", "sources", "values", "shared", "people")
        }
        arrays["shared"] = self.shared
        if self.own is not None:
            arrays["own"] = self.own
        if self.vectors is not None:
            named = {f.name: getattr(self.vectors, f.name) for f in fields(self.vectors)}
            arrays |= {f"f.{name}": array for name, array in named.items() if array is not None}
        facts = {"form": self.form, "bias": self.bias, "smoothing": self.smoothing}
        return arrays, {**facts, "shrinkage": like.shrinkage, "channels": list(like.channels)}

    @classmethod
    def from_state(cls, arrays: Arrays, meta: Meta) -> FittedAttention:
        """Rebuild what :meth:`state` gave."""
        like = Similarities(
            arrays["like.indptr"],
            arrays["like.sources"],
            arrays["like.values"],
            arrays["like.shared"],
            arrays["like.people"],
            float(meta["shrinkage"]),
            tuple(meta["channels"]),
        )
        named = {name.removeprefix("f."): array for name, array in arrays.items() if name.startswith("f.")}
        vectors = SourceTarget(**named) if named else None
        return cls(
            meta["form"],
            like,
            float(meta["bias"]),
            arrays["shared"],
            arrays.get("own"),
            vectors,
            float(meta["smoothing"]),
        )
