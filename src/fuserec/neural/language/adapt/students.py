"""What a smaller encoder learns from: a larger one's vectors, or a teacher's scores of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import nn

from fuserec.neural.language.adapt.forward import vectors_of
from fuserec.neural.language.tuning import blocks_of

if TYPE_CHECKING:
    from fuserec.neural.language.adapt_config import CompressConfig
    from fuserec.neural.language.backbone import Backbone

JUDGED = 256
"""Texts (or histories) kept from teaching to judge it by, at most a tenth."""


class Sparse:
    """The weights of a model that are zero and stay so.

    Han and others 2015, "Learning both weights and connections for efficient neural networks": the smallest ones of
    each linear map of the layers.

    Parameters
    ----------
    model : nn.Module
    kept : list of (parameter, bool tensor)
    """

    def __init__(self, model: nn.Module, kept: list[tuple[nn.Parameter, torch.Tensor]]) -> None:
        self._model, self._kept = model, kept
        self.settle()

    @classmethod
    def pruned(cls, model: nn.Module, share: float) -> Self:
        """Set the share of the smallest weights of each map to zero."""
        kept = []
        for parameter in blocks_of(model).parameters():
            if parameter.ndim != 2 or min(parameter.shape) < 2:
                continue
            size = parameter.detach().abs().flatten()
            stay = torch.ones_like(size, dtype=torch.bool)
            stay[torch.argsort(size, stable=True)[: round(share * size.numel())]] = False
            kept.append((parameter, stay.view_as(parameter)))
        return cls(model, kept)

    @torch.no_grad()
    def settle(self) -> None:
        """Set them to zero again, after a step of the optimizer."""
        for parameter, stay in self._kept:
            parameter.mul_(stay)

    def sizes(self) -> dict[str, float]:
        """Return how much is zero, and the megabytes if maps were stored as a bit a weight and what is not zero."""
        zero = sum(int((~stay).sum()) for _, stay in self._kept)
        bits = sum(stay.numel() for _, stay in self._kept)
        whole = sum(p.numel() for p in self._model.parameters())
        return {
            "zeros": round(zero / max(1, bits), 4),
            "dense_megabytes": round(4 * whole / 1e6, 2),
            "sparse_megabytes": round((4 * (whole - zero) + bits / 8) / 1e6, 2),
        }


class VectorsTask:
    """1 - cos(student, teacher), and the mean squared difference of all cosines of a batch.

    Reimers, Gurevych 2020, "Making monolingual sentence embeddings multilingual using knowledge distillation"; Park
    and others 2019, "Relational knowledge distillation". Where the vectors are of another length only relations count.

    Parameters
    ----------
    backbone : Backbone
        The student.
    texts : sequence of str
        In random order; the first ones are kept to judge by.
    wanted : float32 (n, dim)
        The teacher's vectors, of unit length.
    config : CompressConfig
    seed : int
    fast : torch.dtype
    zeros : Sparse or None
    """

    def __init__(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        wanted: np.ndarray,
        config: CompressConfig,
        seed: int,
        fast: torch.dtype,
        zeros: Sparse | None,
    ) -> None:
        self.backbone, self.config, self.seed, self.fast, self.zeros = backbone, config, seed, fast, zeros
        self._rows = backbone.tokens(texts, length=config.history_length)
        self._wanted = torch.from_numpy(wanted).to(backbone.device)
        self._held = min(JUDGED, len(texts) // 10)
        self._same = wanted.shape[1] == backbone.dim

    @property
    def model(self) -> nn.Module:
        """The student."""
        return self.backbone

    def batches(self, epoch: int) -> Sequence[np.ndarray]:
        """Return positions of texts."""
        return _shuffled(self._held, len(self._rows), self.config.batch_size, [self.seed, 17, epoch])

    def loss(self, batch: np.ndarray) -> torch.Tensor:
        """Return how far the student is from the teacher."""
        if self.zeros is not None:
            self.zeros.settle()
        made, wanted = self._made(batch), self._wanted[torch.from_numpy(batch).to(self.backbone.device)]
        relations = ((made @ made.T - wanted @ wanted.T) ** 2).mean()
        if not self._same:
            return relations
        return (1.0 - (made * wanted).sum(dim=1)).mean() + self.config.relations * relations

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): of each held-out text its cosine to the teacher's, or how well its relations agree."""
        if not self._held:
            return None
        which = np.arange(self._held)
        made, wanted = self._made(which), self._wanted[: self._held]
        near = (
            (made * wanted).sum(dim=1)
            if self._same
            else -((made @ made.T - wanted @ wanted.T) ** 2).mean(dim=1)
        )
        return np.asarray(near.double().cpu().numpy())

    def _made(self, which: np.ndarray) -> torch.Tensor:
        return nn.functional.normalize(
            vectors_of(self.backbone, [self._rows[i] for i in which], self.fast), dim=1
        )


@dataclass(frozen=True)
class PairLesson:
    """Histories with candidates and a teacher's scores.

    Parameters
    ----------
    asked : list of str (n)
    items : list of list of str (n, c)
        The first of each row is what came next.
    scores : float32 (n, c)
    """

    asked: list[str]
    items: list[list[str]]
    scores: np.ndarray


class ScoresTask:
    """KL divergence of the student's softmax over candidates from the teacher's.

    Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network". The teacher's scores are divided by
    their own spread, so that their scale does not matter.

    Parameters
    ----------
    backbone : Backbone
        The student: cosine of its two vectors.
    lesson : PairLesson
    config : CompressConfig
    seed : int
    fast : torch.dtype
    zeros : Sparse or None
    """

    def __init__(
        self,
        backbone: Backbone,
        lesson: PairLesson,
        config: CompressConfig,
        seed: int,
        fast: torch.dtype,
        zeros: Sparse | None,
    ) -> None:
        self.backbone, self.lesson, self.config = backbone, lesson, config
        self.seed, self.fast, self.zeros = seed, fast, zeros
        spread = float(lesson.scores.std()) or 1.0
        scaled = torch.from_numpy(lesson.scores / spread)
        self._wanted = torch.softmax(scaled, dim=1).to(backbone.device)
        self._held = min(JUDGED, len(lesson.asked) // 10)

    @property
    def model(self) -> nn.Module:
        """The student."""
        return self.backbone

    def batches(self, epoch: int) -> Sequence[np.ndarray]:
        """Return positions of histories; a batch has about ``batch_size`` texts."""
        size = max(1, self.config.batch_size // (self.lesson.scores.shape[1] + 1))
        return _shuffled(self._held, len(self.lesson.asked), size, [self.seed, 19, epoch])

    def loss(self, batch: np.ndarray) -> torch.Tensor:
        """Return the mean divergence."""
        if self.zeros is not None:
            self.zeros.settle()
        return self._divergence(batch).mean()

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): less the divergence of each held-out history."""
        if not self._held:
            return None
        return np.asarray(-self._divergence(np.arange(self._held)).double().cpu().numpy())

    def _divergence(self, which: np.ndarray) -> torch.Tensor:
        config = self.config
        asked = self.backbone.tokens([self.lesson.asked[i] for i in which], length=config.history_length)
        flat = [text for i in which for text in self.lesson.items[i]]
        rows = asked + self.backbone.tokens(flat, length=config.max_length)
        made = nn.functional.normalize(vectors_of(self.backbone, rows, self.fast), dim=1)
        items = made[len(asked) :].view(len(asked), -1, made.shape[1])
        logits = torch.einsum("nd,ncd->nc", made[: len(asked)], items) / config.temperature
        wanted = self._wanted[torch.from_numpy(which).to(self.backbone.device)]
        return nn.functional.kl_div(torch.log_softmax(logits, dim=1), wanted, reduction="none").sum(dim=1)


def _shuffled(first: int, n: int, size: int, key: list[int]) -> list[np.ndarray]:
    """Return batches of the positions from ``first`` on, in random order; a lone last one is left out."""
    order = first + np.random.default_rng(key).permutation(n - first)
    cut = [order[lo : lo + size] for lo in range(0, order.size, size)]
    return cut if len(cut) == 1 or cut[-1].size > 1 or size == 1 else cut[:-1]
