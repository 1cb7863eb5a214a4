"""AdaLoRA's budget: which directions of the low-rank updates are worth keeping, decided as training goes on."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from fuserec.errors import ConfigError

PARTS = ("lora_A", "lora_E", "lora_B")


class RankBudget(nn.Module):
    """Zhang and others 2023, "AdaLoRA: adaptive budget allocation for parameter-efficient fine-tuning".

    An update is B·diag(E)·A. The importance of a direction is that of its singular value plus the mean over its rows
    of A and columns of B; that of one number is its smoothed sensitivity |w·∂L/∂w| times its smoothed uncertainty
    (equations 7 to 10). Directions beyond the budget have their singular value set to zero; the budget falls from the
    first ranks to the last along a cubic (equation 11), and stays for the last steps.

    All that it remembers lies in buffers, so that a training goes on from a checkpoint as if nothing had happened.
    Gradients are heard in backward, before they are clipped.

    Parameters
    ----------
    model : nn.Module
        Holds AdaLoRA's matrices, as peft names them.
    final_rank : int
        Mean rank of an update in the end.
    warm, last, every : int
        Steps before the budget falls; steps at the end in which it stays; steps between two decisions.
    total : int
        Steps of the training.
    orthogonality : float
        Weight of ‖AᵀA - I‖ + ‖BBᵀ - I‖ in the loss.
    smooth : float
        Decay of both averages.
    """

    def __init__(
        self,
        model: nn.Module,
        final_rank: int,
        *,
        warm: int,
        last: int,
        every: int,
        total: int,
        orthogonality: float = 0.5,
        smooth: float = 0.85,
    ) -> None:
        super().__init__()
        named = [(name, p) for name, p in model.named_parameters() if any(part in name for part in PARTS)]
        self._own = dict(named)  # plain: they belong to the model
        self._names = sorted(name for name in self._own if "lora_E" in name)
        if not self._names:
            raise ConfigError("tuning = adalora: this model has no map that it could update")
        self._order = list(self._own)
        self.warm, self.last, self.every, self.total = warm, last, every, total
        self.orthogonality, self.smooth = orthogonality, smooth
        self.first = sum(self._own[name].shape[0] for name in self._names)
        self.final = final_rank * len(self._names)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # steps that were taken
        self.register_buffer("heard", torch.zeros((), dtype=torch.bool))
        for at, name in enumerate(self._order):
            parameter = self._own[name]
            self.register_buffer(f"mean_{at}", torch.zeros_like(parameter))
            self.register_buffer(f"spread_{at}", torch.zeros_like(parameter))
            parameter.register_post_accumulate_grad_hook(partial(self._heard, at))  # type: ignore[no-untyped-call]
        for at, name in enumerate(self._names):
            kept = torch.ones(self._own[name].shape[0], dtype=torch.bool, device=self._own[name].device)
            self.register_buffer(f"kept_{at}", kept)

    @torch.no_grad()
    def _heard(self, at: int, parameter: torch.Tensor) -> None:
        """Take in the gradient of one matrix."""
        if parameter.grad is None:
            return
        self.get_buffer("heard").fill_(True)
        mean, spread = self.get_buffer(f"mean_{at}"), self.get_buffer(f"spread_{at}")
        sensitivity = (parameter * parameter.grad).abs()
        mean.mul_(self.smooth).add_(sensitivity, alpha=1 - self.smooth)
        spread.mul_(self.smooth).add_((sensitivity - mean).abs(), alpha=1 - self.smooth)

    @torch.no_grad()
    def before_reading(self) -> None:
        """Hand out the ranks that the last step leaves, where there was one since; before texts are read."""
        if not bool(self.get_buffer("heard")):
            return
        step = int(self.get_buffer("step")) + 1
        end = self.total - self.last
        if self.warm < step <= end and (step % self.every == 0 or step == end):
            self._decide(self.budget(step))
        self.settle()
        self.get_buffer("step").fill_(step)
        self.get_buffer("heard").fill_(False)

    def penalty(self) -> torch.Tensor:
        """Return the orthogonality term."""
        found = []
        for name, matrix in self._own.items():
            if "lora_E" in name:
                continue
            square = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
            found.append((square - torch.eye(square.shape[0], device=square.device)).norm())
        return self.orthogonality * torch.stack(found).mean()

    @torch.no_grad()
    def settle(self) -> None:
        """Set what is out to zero: the last step of the optimizer moved it a little."""
        for at, name in enumerate(self._names):
            self._own[name][~self.get_buffer(f"kept_{at}")] = 0.0

    def budget(self, step: int) -> int:
        """Return how many directions all updates have together."""
        if step <= self.warm:
            return self.first
        share = max(0.0, 1.0 - (step - self.warm) / max(1, self.total - self.last - self.warm))
        return round(self.final + (self.first - self.final) * share**3)

    def _decide(self, budget: int) -> None:
        """Keep the most important directions."""
        scores = [self._importance(name) for name in self._names]
        joined = torch.cat(scores)
        kept = torch.zeros_like(joined, dtype=torch.bool)
        kept[torch.argsort(joined, descending=True, stable=True)[:budget]] = True
        for at, part in enumerate(torch.split(kept, [score.numel() for score in scores])):
            self.get_buffer(f"kept_{at}").copy_(part)

    def _importance(self, name: str) -> torch.Tensor:
        """Return float32 (rank,): of each direction of one update."""

        def of(part: str) -> torch.Tensor:
            at = self._order.index(name.replace("lora_E", part))
            return self.get_buffer(f"mean_{at}") * self.get_buffer(f"spread_{at}")

        return of("lora_E")[:, 0] + of("lora_A").mean(dim=1) + of("lora_B").mean(dim=0)

    def ranks(self) -> list[int]:
        """Return how many directions each update has."""
        return [int(self.get_buffer(f"kept_{at}").sum()) for at in range(len(self._names))]
