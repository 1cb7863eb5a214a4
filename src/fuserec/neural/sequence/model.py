"""A sequence model: vectors of items, a body that reads a window of them, and the scores of all items after it."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.device import gpus_of
from fuserec.neural.items import Items


class SequenceModel(nn.Module):
    """Item vectors shared by what is read and what is predicted.

    Parameters
    ----------
    items : Module
        Its call gives float (n_items, dim).
    body : Module
        See :class:`fuserec.neural.architectures.Body`.
    dim : int
    masked : bool
        Whether the next item is asked for by a mask after the window (BERT4Rec) instead of by its last position.
    """

    def __init__(self, items: Items, body: nn.Module, dim: int, *, masked: bool) -> None:
        super().__init__()
        self.items: Items = items
        self.body = body
        self.scale = math.sqrt(dim)
        self.mask = nn.Parameter(torch.randn(dim) * 0.02) if masked else None

    def spread(self, device: torch.device) -> None:
        """Share the body's work among all GPUs, where there are several and none of them was chosen by its number.

        Parameters
        ----------
        device : torch.device
            As it was asked for, with the model on it.
        """
        if len(gpus_of(device)) > 1:
            vars(self)["_spread"] = nn.DataParallel(self.body)  # not a module of its own: no weights twice

    @property
    def items_device(self) -> torch.device:
        """Where the item vectors are."""
        return next(self.items.parameters()).device

    def read(
        self,
        vectors: torch.Tensor,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        hidden: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return float (b, l, d): what the body makes of windows.

        Parameters
        ----------
        vectors : float (n_items, d)
        inputs : int64 (b, l)
        lengths : int64 (b,)
        hidden : bool (b, l), optional
            Positions whose item is replaced by the mask.
        """
        x = functional.embedding(inputs, vectors)
        if hidden is not None and self.mask is not None:
            x = torch.where(hidden[:, :, None], self.mask.to(x.dtype), x)
        out: torch.Tensor = vars(self).get("_spread", self.body)(x * self.scale, lengths)
        return out

    def last(self, vectors: torch.Tensor, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return float (b, d): what is known at the end of each window (which holds at least one item)."""
        rows = torch.arange(inputs.shape[0], device=inputs.device)
        if self.mask is None:
            return self.read(vectors, inputs, lengths)[rows, lengths - 1]
        wider = functional.pad(inputs, (0, 1))
        asked = torch.arange(wider.shape[1], device=inputs.device)[None, :] == lengths[:, None]
        return self.read(vectors, wider, lengths + 1, asked)[rows, lengths]
