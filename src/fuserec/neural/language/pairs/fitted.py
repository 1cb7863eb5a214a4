"""What is kept of a language model of pairs, and how it answers: without PyTorch, where CTranslate2 runs the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax

from fuserec.encoders.recent import RecentVectors
from fuserec.neural.language.pairs.reader import Kept, Reader
from fuserec.neural.language.pairs.text import Descriptions
from fuserec.run import RunOptions

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.base import Vectors
    from fuserec.encoders.text import TextConfig
    from fuserec.neural.language.heads.base import Head
    from fuserec.neural.language.pairs.config import LanguagePairConfig
    from fuserec.types import Arrays, Meta, State

CHUNK = 4096
"""Items whose hidden units are held at once."""


@dataclass(frozen=True)
class NumericHead:
    """A head as arrays.

    Parameters
    ----------
    layers : tuple of (weight (out, in), bias (out,))
        One or two of a perceptron; none of a similarity.
    bias : float
        Of a similarity.
    reads, answers : str
        As of :class:`fuserec.neural.language.heads.base.Head`.
    names : tuple of str
        Of its columns, where they are classes.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    bias: float = 0.0
    reads: str = "pair"
    answers: str = "chance"
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, head: Head, names: tuple[str, ...] = ()) -> NumericHead:
        """Read the weights off a trained head."""
        arrays = {
            name: value.detach().float().cpu().numpy().copy() for name, value in head.state_dict().items()
        }
        if "body.bias" in arrays:
            return cls((), float(arrays["body.bias"][0]), head.reads, head.answers, names)
        places = sorted({name.rsplit(".", 1)[0] for name in arrays})
        layers = tuple((arrays[f"{place}.weight"], arrays[f"{place}.bias"]) for place in places)
        return cls(layers, 0.0, head.reads, head.answers, names)

    def read(self, z: np.ndarray) -> np.ndarray:
        """Return float32 (n, columns) of what is read (n, width)."""
        weight, bias = self.layers[0]
        return self.top(z @ weight.T + bias)

    def meant(self, out: np.ndarray) -> np.ndarray:
        """Return outputs float32 (n, columns) as what they mean: probabilities, values, or shares of 1 in each row."""
        if self.answers == "shares":
            return np.asarray(softmax(out, axis=1), np.float32)
        return out if self.answers == "value" else np.asarray(expit(out), np.float32)

    def top(self, hidden: np.ndarray) -> np.ndarray:
        """Return float32 (n, columns) of the sums (n, out) of the first layer."""
        for weight, bias in self.layers[1:]:
            hidden = np.maximum(hidden, 0.0) @ weight.T + bias
        return np.asarray(hidden, np.float32)


@dataclass(frozen=True)
class FittedPair:
    """M(d_u, d_i), fitted.

    Parameters
    ----------
    config : LanguagePairConfig
    reader : Reader
    heads : dict of NumericHead
    described : Descriptions
    threshold : float
        Logit of the head that ranks above which a pair is taken for a match.
    facts : dict
        What was seen on held-out events.
    vectors : float32 (n_items, dim)
        h_i of every item; no rows for a joint encoding.
    recent : RecentVectors
        h_u of what was asked lately, in memory only.
    """

    config: LanguagePairConfig
    reader: Reader
    heads: Mapping[str, NumericHead]
    described: Descriptions
    threshold: float
    facts: Mapping[str, Any]
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    recent: RecentVectors = field(default_factory=RecentVectors, repr=False, compare=False)

    def with_vectors(self, run: RunOptions) -> FittedPair:
        """Return the model with every item read."""
        texts = list(self.described.texts)
        return replace(self, vectors=self.reader.vectors(texts, limit=self.config.item_length, run=run))

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (n, dim): h_u."""
        return self.reader.vectors(texts, limit=self.config.user_length)

    def outputs(self, head: str, texts: Sequence[str], items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): the first column of what a head says of people (n) and items.

        Parameters
        ----------
        head : str
        texts : sequence of str
            d_u, none of them empty.
        items : int (n, m), optional
            The whole catalogue without it.
        """
        if not texts:
            return np.zeros((0, len(self.described.texts) if items is None else items.shape[1]), np.float32)
        if self.config.form == "cross":
            return self._joint(head, texts, items)
        u = self.recent.encode(self, texts, RunOptions(threads=1))
        if not self.heads[head].layers:
            return self._similar(head, u, items)
        rows = [self._network(head, row, None if items is None else items[r]) for r, row in enumerate(u)]
        return np.stack(rows)

    def says(self, head: str, texts: Sequence[str], items: np.ndarray | None) -> np.ndarray:
        """Return what a head means: float32 (n, m) of people and items; (n, columns) where it reads people alone.

        Parameters are those of :meth:`outputs`.
        """
        known = self.heads[head]
        if known.reads == "pair":
            return known.meant(self.outputs(head, texts, items))
        if not texts:
            return np.zeros((0, known.layers[-1][1].size), np.float32)
        return known.meant(known.read(self.recent.encode(self, texts, RunOptions(threads=1))))

    def of_texts(self, head: str, people: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Return float32 (n,): what a head says of pairs of texts, whether they are of this catalogue or not.

        Parameters
        ----------
        head : str
        people, items : sequence of str (n)
            None of them empty.
        """
        if not len(items):
            return np.zeros(0, np.float32)
        places = {text: place for place, text in enumerate(dict.fromkeys(items))}
        titles = replace(self.described, texts=tuple(places))
        other = replace(self, described=titles, recent=RecentVectors())
        if self.config.form != "cross":
            other = other.with_vectors(RunOptions())
        return other.outputs(head, people, np.array([[places[text]] for text in items], np.int64))[:, 0]

    def _similar(self, head: str, u: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return similarities over the temperature, and the bias."""
        a, b = self._scaled(u), self._compared
        found = (
            a @ b.T if items is None else np.stack([b[own] @ row for own, row in zip(items, a, strict=True)])
        )
        return np.asarray(
            found / np.float32(self.config.temperature) + np.float32(self.heads[head].bias), np.float32
        )

    @cached_property
    def _compared(self) -> np.ndarray:
        """The vectors of items as queries are compared with them."""
        return self._scaled(self.vectors)

    def _scaled(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors whose dot products are what is compared."""
        if self.config.similarity == "dot":
            return vectors / np.float32(vectors.shape[1] ** 0.5)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)

    def _network(self, head: str, u: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (m,) of one person: what of the first layer hangs on the person alone is summed once."""
        network, d = self.heads[head], u.size
        weight, bias = network.layers[0]
        own = weight[:, :d] @ u + bias
        of_item = (weight[:, d : 2 * d] + weight[:, 2 * d :] * u).T  # both the item's part and the product's
        v = self.vectors if items is None else self.vectors[items]
        pieces = [
            network.top(v[lo : lo + CHUNK] @ of_item + own)[:, 0] for lo in range(0, max(1, len(v)), CHUNK)
        ]
        return np.concatenate(pieces)

    def _joint(self, head: str, texts: Sequence[str], items: np.ndarray | None) -> np.ndarray:
        """Return what a head says of joint encodings; equal pairs are read once."""
        n = len(texts)
        if items is None:
            items = np.broadcast_to(np.arange(len(self.described.texts)), (n, len(self.described.texts)))
        people = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        rows = np.repeat([people[text] for text in texts], items.shape[1])
        keys, back = np.unique(
            rows.astype(np.int64) * len(self.described.texts) + items.ravel(), return_inverse=True
        )
        names = list(people)
        first = [names[int(key) // len(self.described.texts)] for key in keys]
        second = [self.described.texts[int(key) % len(self.described.texts)] for key in keys]
        limit = self.config.user_length + self.config.item_length
        read = self.reader.vectors(first, second, limit=limit)
        return self.heads[head].read(read)[:, 0][back].reshape(items.shape)

    def extended(self, data: Dataset, config: TextConfig, run: RunOptions) -> FittedPair:
        """Return the model for a catalogue that grew: texts that are new or have changed are read."""
        described = self.described.extended(data, config, self.reader.counts)
        grown = replace(self, described=described)
        if self.config.form == "cross":
            return grown
        old = self.described.texts
        changed = [j for j, text in enumerate(described.texts) if j >= len(old) or text != old[j]]
        vectors = np.zeros((len(described.texts), self.vectors.shape[1]), np.float32)
        vectors[: len(old)] = self.vectors
        texts = [described.texts[j] for j in changed]
        vectors[changed] = self.reader.vectors(texts, limit=self.config.item_length, run=run)
        return replace(grown, vectors=vectors)

    def state(self) -> State:
        """Return arrays and JSON: the tuned model, its heads, and the texts of the catalogue."""
        arrays, meta = self.reader.kept.state()
        arrays = {f"reader/{name}": array for name, array in arrays.items()}
        arrays |= {f"text/{name}": array for name, array in self.described.arrays().items()}
        arrays["vectors"] = self.vectors
        for name, head in self.heads.items():
            for place, (weight, bias) in enumerate(head.layers):
                arrays |= {f"head/{name}/{place}/weight": weight, f"head/{name}/{place}/bias": bias}
        heads = {
            name: {
                "layers": len(head.layers),
                "bias": head.bias,
                "reads": head.reads,
                "answers": head.answers,
                "names": list(head.names),
            }
            for name, head in self.heads.items()
        }
        own: Meta = {"reader": meta, "heads": heads, "threshold": self.threshold, "facts": dict(self.facts)}
        return arrays, own

    @classmethod
    def from_state(cls, config: LanguagePairConfig, arrays: Arrays, meta: Meta) -> FittedPair:
        """Rebuild what :meth:`state` gave; the language model is loaded when it first reads."""
        kept = Kept.from_state(_part(arrays, "reader/"), meta["reader"])
        described = Descriptions.from_arrays(_part(arrays, "text/"), config.user_length, config.user)
        heads = {
            name: NumericHead(
                tuple(
                    (arrays[f"head/{name}/{place}/weight"], arrays[f"head/{name}/{place}/bias"])
                    for place in range(int(told["layers"]))
                ),
                float(told["bias"]),
                told.get("reads", "pair"),
                told.get("answers", "chance"),
                tuple(told.get("names", ())),
            )
            for name, told in meta["heads"].items()
        }
        reader = Reader(kept, config.compute_type, config.batch_tokens, 1)
        return cls(
            config, reader, heads, described, float(meta["threshold"]), dict(meta["facts"]), arrays["vectors"]
        )


def _part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays of one prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
