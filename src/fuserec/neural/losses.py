"""Losses over the next item: full and sampled softmax, gBCE, BPR; all give the gradient of the score the right sign.

``hidden`` is float (t, d), a row for each prediction; ``items`` float (n, d) the vectors of all candidates;
``targets`` int64 (t,) the right rows of ``items``. Each returns the mean over the predictions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

CHUNK_ENTRIES = 8_000_000
"""Logits held at a time: few enough to stay near the processor, many enough for large products."""

ROWS = 128
"""Predictions are filled up to a multiple of this: a library of products keeps room for every shape that it meets."""


class _FullSoftmax(torch.autograd.Function):
    """Cross-entropy over all items whose logits are never held at once.

    The gradient of a chunk is made where its logits are: softmax − one-hot, times the other factor.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        items: torch.Tensor,
        targets: torch.Tensor,
        dtype: torch.dtype,
        weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the mean loss, and keep the gradients."""
        n, w = hidden.shape[0], items.to(dtype)
        h = functional.pad(hidden.to(dtype), (0, 0, 0, -n % ROWS))
        grad_h = torch.empty_like(hidden)
        grad_w = torch.zeros_like(items)
        loss = hidden.new_zeros(())
        step = max(1, CHUNK_ENTRIES // items.shape[0] // ROWS) * ROWS
        for lo in range(0, n, step):
            chunk, real = h[lo : lo + step], min(step, n - lo)
            p = torch.softmax(chunk @ w.T, dim=1)
            right = (torch.arange(real, device=p.device), targets[lo : lo + step])
            found = p[right].float()
            lost = found.clamp_min(1e-38).log()
            p[right] = (found - 1.0).to(dtype)
            if weights is not None:
                lost = lost * weights[lo : lo + step]
                p[:real] *= weights[lo : lo + step, None].to(dtype)
            loss -= lost.sum()
            p[real:] = 0.0
            grad_h[lo : lo + step] = (p @ w)[:real].to(grad_h.dtype)
            grad_w += p.T @ chunk
        n = max(1, n)
        ctx.save_for_backward(grad_h.div_(n), grad_w.div_(n))
        return loss / n

    @staticmethod
    def backward(ctx: Any, *grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        """Return the kept gradients times that of the loss."""
        grad_h, grad_w = ctx.saved_tensors
        return grad_h * grad[0], grad_w * grad[0], None, None, None


def full_softmax(
    hidden: torch.Tensor,
    items: torch.Tensor,
    targets: torch.Tensor,
    dtype: torch.dtype = torch.float32,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return −log softmax(hidden · itemsᵀ)[target] over the whole catalogue.

    Parameters
    ----------
    weights : float (t,), optional
        What each prediction's loss is multiplied by before the mean.
    """
    loss: torch.Tensor = _FullSoftmax.apply(hidden, items, targets, dtype, weights)  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax(
    hidden: torch.Tensor,
    items: torch.Tensor,
    targets: torch.Tensor,
    negatives: torch.Tensor,
    log_q: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    hits: bool = False,
) -> torch.Tensor:
    """Return −log softmax over target and shared negatives, corrected for how often each is drawn.

    Parameters
    ----------
    negatives : int64 (k,)
        Drawn once for the batch; one that is a row's own target counts for the others only.
    log_q : float (n,)
        Logarithm of the probability that an item is drawn: subtracted from every logit (logQ correction; Bengio and
        Senécal 2008, "Adaptive importance sampling"; Yi et al. 2019, "Sampling-bias-corrected neural modeling").
    weights : float (t,), optional
        What each prediction's loss is multiplied by before the mean.
    hits : bool
        Whether a negative that is a row's own target counts for that row too. With hits what is learnt is consistent
        for any number of negatives (Ma, Collins 2018, "Noise contrastive estimation and negative sampling for
        conditional models"); without them an item that is drawn about once a batch or more comes out too strong.
    """
    right = (hidden * items[targets]).sum(dim=1) - log_q[targets]
    others = hidden @ items[negatives].T - log_q[negatives]
    if not hits:
        others = others.masked_fill(negatives[None, :] == targets[:, None], -torch.inf)
    lost = torch.logsumexp(torch.cat([right[:, None], others], dim=1), dim=1) - right
    return (lost if weights is None else lost * weights).mean()


def gbce(
    hidden: torch.Tensor,
    items: torch.Tensor,
    targets: torch.Tensor,
    negatives: torch.Tensor,
    calibration: float,
    offset: float = 0.0,
) -> torch.Tensor:
    """Return generalised binary cross-entropy: −β log σ(s⁺) − Σ log(1 − σ(s⁻)) (Petrov, Macdonald 2023, eq. 14).

    "gSASRec: reducing overconfidence in sequential recommendation trained with negative sampling". With k negatives of
    n − 1 items, α = k / (n − 1) and β = α (t (1 − 1/α) + 1/α), t = ``calibration`` in [0, 1].

    Parameters
    ----------
    negatives : int64 (k,)
        Drawn uniformly, once for the batch.
    offset : float
        Taken off every score: log(n − 1) lets all items begin as improbable as they are, which a model without biases
        would first have to learn. No ranking changes by it.
    """
    share = negatives.numel() / max(1, items.shape[0] - 1)
    beta = share * (calibration * (1.0 - 1.0 / share) + 1.0 / share)
    right = (hidden * items[targets]).sum(dim=1) - offset
    others = hidden @ items[negatives].T - offset
    wrong = functional.softplus(others).masked_fill(negatives[None, :] == targets[:, None], 0.0)
    return (beta * functional.softplus(-right) + wrong.sum(dim=1)).mean()


def bpr(
    hidden: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """Return −log σ(s⁺ − s⁻), averaged over the negatives (Rendle et al. 2009, "BPR", eq. 5).

    Parameters
    ----------
    negatives : int64 (t, k)
        Each row's own.
    """
    right = (hidden * items[targets]).sum(dim=1, keepdim=True)
    others = torch.einsum("td,tkd->tk", hidden, items[negatives])
    counted = negatives != targets[:, None]
    lost = functional.softplus(others - right) * counted
    return lost.sum() / counted.sum().clamp_min(1)


def log_uniform(n_items: int) -> float:
    """Return the logarithm of one item's probability where all are drawn equally often."""
    return -math.log(max(1, n_items))
