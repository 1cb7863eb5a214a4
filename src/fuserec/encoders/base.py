"""What an encoder is: texts in, float32 vectors out, with a name that says exactly which vectors they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fuserec.errors import FuseRecError
from fuserec.run import RunOptions

Vectors = NDArray[np.float32]
"""Rows of float32: (n, dim)."""

Arrays = dict[str, NDArray[Any]]
State = tuple[Arrays, dict[str, Any]]
"""All that is needed to build the object again: named arrays and a JSON object."""


class WeightsError(FuseRecError):
    """The weights of a language model are absent, cannot be fetched, or are not those asked for."""


class Encoder(Protocol):
    """Texts to dense vectors.

    The vector of a text depends on that text alone, never on the texts encoded beside it, so vectors may be
    kept and reused. Texts that are empty (or white space) give a zero row, which every user of vectors reads
    as "no text".
    """

    @property
    def name(self) -> str:
        """The encoder's kind, for example ``"sentence"``."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, content hash, backend, precision and length: equal fingerprints, equal vectors."""
        ...

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return one vector a text: float32 (len(texts), dim)."""
        ...

    def state(self) -> State:
        """Return everything needed to build the encoder again."""
        ...

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build the encoder from what :meth:`state` returned."""
        ...


def unit_rows(vectors: Vectors) -> Vectors:
    """Return rows of unit Euclidean length; zero rows stay zero.

    Parameters
    ----------
    vectors : float32 (n, dim)

    Returns
    -------
    float32 (n, dim)
    """
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return np.asarray(vectors * scale[:, None], dtype=np.float32)


def one_line(fault: BaseException) -> str:
    """Return the first line of an error's message, cut to a length that fits into one of ours."""
    text = str(fault).strip() or type(fault).__name__
    return text.splitlines()[0][:200]
