"""What a head is: labels that behaviour has left, and the loss of what it says of a pair or of a person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


@dataclass(frozen=True)
class Labels:
    """What the events of a dataset say, one row an event.

    Parameters
    ----------
    values : float32 (n_events, width)
    known : bool (n_events,)
        Events that say anything.
    offsets : float32 (n_events,)
        What is known without any text and is added to what the head says.
    names : tuple of str
        Of the columns, where they are classes.
    """

    values: np.ndarray
    known: np.ndarray
    offsets: np.ndarray
    names: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, values: np.ndarray, known: np.ndarray, names: tuple[str, ...] = ()) -> Labels:
        """Return labels without offsets; one column where ``values`` is flat."""
        wide = values.reshape(known.size, -1).astype(np.float32)
        return cls(wide, known, np.zeros(known.size, np.float32), names)


class Head(nn.Module, ABC):
    """Says one thing of a pair (or of a person alone), as logits or in a scale.

    Parameters
    ----------
    body : nn.Module
        Maps float (n, width) of what is read to float (n, columns of the labels).
    """

    name: ClassVar[str]
    reads: ClassVar[Literal["pair", "user"]] = "pair"
    """Whether it sees the item. What is to be guessed of an item must not be read off the item itself."""

    answers: ClassVar[Literal["chance", "value", "shares"]] = "chance"
    """What outputs mean: σ of one is a probability, it is a value as it stands, or a softmax over all gives shares."""

    sampled: ClassVar[bool] = False
    """Whether pairs that never met are its negatives."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    @classmethod
    @abstractmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return what the events of a dataset say.

        Raises
        ------
        DataError
            Where they say nothing of that kind.
        """

    @abstractmethod
    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return float (n,): the loss of each case, of outputs and labels (n, columns)."""

    def forward(self, read: torch.Tensor) -> torch.Tensor:
        """Return float (n, columns): logits, or values in the scale of the labels."""
        out: torch.Tensor = self.body(read)
        return out


def binary_losses(out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return −y log r − (1 − y) log(1 − r), r = σ(out), computed from the logits: stable where r rounds to 0 or 1."""
    losses = nn.functional.binary_cross_entropy_with_logits(out, values, reduction="none")
    return losses.mean(dim=1)


class Perceptron(nn.Sequential):
    """One hidden layer of rectified units, or a linear map where it is 0 wide."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        if hidden:
            super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))
        else:
            super().__init__(nn.Linear(width, out))


class Similarity(nn.Module):
    """How near person and item are: u·v / temperature + bias, of unit vectors or of vectors as they are.

    Parameters
    ----------
    dim : int
        Of u and v; it reads float (n, 3 dim): u, v and their product.
    cosine : bool
        Else the dot product over ``dim``, so that the temperature means the same for any length of vector.
    temperature : float
    """

    def __init__(self, dim: int, cosine: bool, temperature: float) -> None:
        super().__init__()
        self.dim, self.cosine, self.temperature = dim, cosine, temperature
        self.bias = nn.Parameter(torch.zeros(1))

    def scaled(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return vectors whose dot products are what is compared."""
        if self.cosine:
            return nn.functional.normalize(vectors, dim=-1, eps=1e-9)
        return vectors / float(self.dim**0.5)

    def matrix(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return float (n, m): every person with every item."""
        return self.scaled(u) @ self.scaled(v).T / self.temperature + self.bias

    def forward(self, read: torch.Tensor) -> torch.Tensor:
        """Return float (n, 1)."""
        u, v = self.scaled(read[:, : self.dim]), self.scaled(read[:, self.dim : 2 * self.dim])
        return (u * v).sum(dim=1, keepdim=True) / self.temperature + self.bias
