"""Adversarial training on word vectors: what a text says must not hang on a small move of them.

Miyato, Dai, Goodfellow 2017, "Adversarial training methods for semi-supervised text classification": the loss at
s + r, r = ε g / ‖g‖, g the gradient of the loss by the word vectors s of a text, joins the loss at s. They scale
word vectors to unit variance so that they cannot outgrow r; those of a pretrained model are as they are, so here the
length of r is ε ‖s‖ instead: the same share of every text's own length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Adversary:
    """Moves the word vectors of what is read to where the loss grows fastest.

    Nothing of the model is changed and put back: what is moved is what the table of words gives, in a second forward
    pass. One step costs about two and a half times as much, and holds the activations of both passes.

    Parameters
    ----------
    words : nn.Module
        The table of words: token ids (n, length) to float (n, length, dim).
    epsilon : float
        Length of the move, as a share of the length of a text's word vectors.
    """

    def __init__(self, words: nn.Module, epsilon: float) -> None:
        self.words, self.epsilon = words, epsilon

    def loss(self, plain: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the mean of the loss and of the loss at the moved word vectors.

        Parameters
        ----------
        plain : callable
            Reads a batch and returns its loss; called twice, it has to read the same texts in the same order.
        """
        read: list[torch.Tensor] = []

        def listen(module: nn.Module, given: Any, out: torch.Tensor) -> torch.Tensor:
            out = out if out.requires_grad else out.detach().requires_grad_()
            read.append(out)
            return out

        clean = self._heard(plain, listen)
        slopes = torch.autograd.grad(clean, read, retain_graph=True, allow_unused=True)
        moves = iter([move(s.detach(), g, self.epsilon) for s, g in zip(read, slopes, strict=True)])

        def shift(module: nn.Module, given: Any, out: torch.Tensor) -> torch.Tensor:
            return out + next(moves)

        return 0.5 * (clean + self._heard(plain, shift))

    def _heard(self, plain: Callable[[], torch.Tensor], hook: Callable[..., torch.Tensor]) -> torch.Tensor:
        """Return the loss with a hook on the table of words."""
        handle = self.words.register_forward_hook(hook)
        try:
            return plain()
        finally:
            handle.remove()


def move(words: torch.Tensor, slope: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    """Return r float (n, length, dim): ε ‖s‖ g / ‖g‖ of each text; nothing where the loss has no slope.

    Padding has no slope, so that it is neither moved nor counted in ‖s‖.

    Parameters
    ----------
    words, slope : float (n, length, dim)
        s and g.
    epsilon : float
    """
    if slope is None:
        return torch.zeros_like(words)
    told = (slope != 0).any(dim=-1, keepdim=True)
    length = (words * told).flatten(1).norm(dim=1)
    steep = slope.flatten(1).norm(dim=1)
    scale = torch.where(steep > 0, epsilon * length / steep.clamp(min=1e-30), torch.zeros_like(steep))
    return scale[:, None, None] * slope
