"""Tasks of the training loop: a softmax over the texts of a batch, and the language model's own objectives."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from fuserec.errors import ConfigError
from fuserec.neural.language.adapt.examples import (
    Examples,
    Lesson,
    Trial,
    batches_of,
    history_texts,
    lesson_of,
)
from fuserec.neural.language.adapt.forward import autocast, vectors_of
from fuserec.neural.language.adapt.space import Space
from fuserec.neural.language.adversarial import Adversary

if TYPE_CHECKING:
    from fuserec.neural.language.adapt_config import AdaptConfig
    from fuserec.neural.language.augmentation import Augmentation
    from fuserec.neural.language.backbone import Backbone, Batch, Tokens

NOT_A_LABEL = -100
"""What the cross-entropy leaves out."""

IGNORED = torch.finfo(torch.float32).min


def adversary_of(backbone: Backbone, epsilon: float) -> Adversary | None:
    """Return who moves the word vectors of a backbone; None for epsilon 0."""
    return Adversary(backbone.model.get_input_embeddings(), epsilon) if epsilon else None  # type: ignore[operator]


class PairsTask:
    """log p(next item | history) over the texts of a batch, cosines divided by a temperature.

    van den Oord, Li, Vinyals 2018, "Representation learning with contrastive predictive coding" (InfoNCE); the
    correction for popular items in a batch: Yi and others 2019, "Sampling-bias-corrected neural modeling for large
    corpus item recommendations". Texts are those of distinct items, so no copy of the positive is its own negative.

    Parameters
    ----------
    backbone : Backbone
    examples, held : Examples
        To learn from, and to judge by.
    texts : sequence of str (n_items)
    config : AdaptConfig
    seed : int
    fast : torch.dtype
    pool : int
        Candidates of the held-out examples.
    augmentation : Augmentation, optional
        How texts are varied in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        examples: Examples,
        held: Examples,
        texts: Sequence[str],
        config: AdaptConfig,
        seed: int,
        fast: torch.dtype,
        pool: int = 2000,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.backbone, self.examples, self.texts, self.config = backbone, examples, texts, config
        self.seed, self.fast, self.augmentation = seed, fast, augmentation
        self._adversary = adversary_of(backbone, config.adversarial)
        self._rows = backbone.tokens(texts, length=config.max_length)
        readable = np.array([bool(text) for text in texts])
        self.space = Space(None, backbone.device)
        if config.whitened:
            told = [row for row, there in zip(self._rows, readable, strict=True) if there]
            self.space = Space.before(backbone, told, fast, seed)
        taken = np.bincount(examples.targets, minlength=len(texts)).astype(np.float64)
        if config.query != "titles":  # read items are candidates too
            taken += np.bincount(examples.history[:, 0], minlength=len(texts))
        self._log_q = torch.from_numpy(np.log(np.maximum(taken, 0.5) / taken.sum()).astype(np.float32))
        self._trial = Trial.of(held, readable, pool, np.random.default_rng([seed, 3])) if len(held) else None

    @property
    def model(self) -> nn.Module:
        """The backbone."""
        return self.backbone

    def batches(self, epoch: int) -> Sequence[np.ndarray]:
        """Return positions of the examples of each batch."""
        rng = np.random.default_rng([self.seed, 5, epoch])
        return batches_of(self.examples, self.config.batch_size, self.config.max_pairs, rng)

    def loss(self, batch: np.ndarray) -> torch.Tensor:
        """Return the mean cross-entropy of the targets among the batch's distinct items."""
        examples = self.examples.take(batch)
        lesson = lesson_of(examples, self.config.query, self.config.recency)
        rows = self._read(examples, lesson, zlib.crc32(batch.tobytes()))
        if self._adversary is None:
            return self._loss(lesson, rows)
        return self._adversary.loss(lambda: self._loss(lesson, rows))

    def _read(self, examples: Examples, lesson: Lesson, key: int) -> list[Tokens]:
        """Return the tokens of a lesson's items, and of histories where these are texts."""
        config, varied = self.config, self.augmentation
        histories = history_texts(examples, self.texts) if config.query == "titles" else []
        if varied is None:
            rows = [self._rows[item] for item in lesson.items]
        else:
            rng = np.random.default_rng([self.seed, 17, key])
            texts = varied.varied([self.texts[item] for item in lesson.items], rng)
            rows = self.backbone.tokens(texts, length=config.max_length)
            histories = varied.varied(histories, rng)
        return rows + self.backbone.tokens(histories, length=config.history_length)

    def _loss(self, lesson: Lesson, rows: Sequence[Tokens]) -> torch.Tensor:
        """Return the mean cross-entropy of a lesson of which these tokens are read."""
        config, device = self.config, self.backbone.device
        made = self.space.compared(vectors_of(self.backbone, rows, self.fast))
        items, asked = made[: lesson.items.size], made[lesson.items.size :]
        if config.query != "titles":
            asked = nn.functional.normalize(torch.from_numpy(lesson.weights).to(device) @ items, dim=1)
        logits = asked @ items.T / config.temperature
        if config.popularity:
            logits = logits - config.popularity * self._log_q[torch.from_numpy(lesson.items)].to(device)
        logits = logits.masked_fill(torch.from_numpy(lesson.barred).to(device), IGNORED)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(lesson.targets).to(device))
        return loss + self.backbone.penalty()

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): the NDCG@10 of held-out items by content alone, among a sample of the catalogue."""
        return None if self._trial is None else self._figures(self._trial)

    def _figures(self, trial: Trial) -> np.ndarray:
        """Return float64 (n,): the NDCG@10 of a trial's examples, where texts are compared as in training."""
        made = vectors_of(self.backbone, [self._rows[item] for item in trial.pool], self.fast)
        return trial.figures(self.space.compared(made).cpu().numpy(), self.config.recency)


class WordsTask:
    """Continued pre-training on the catalogue's own text: hidden words, or the next one.

    Devlin and others 2019, "BERT" (15 % of the words: 80 % hidden, 10 % exchanged, 10 % as they are); Gururangan and
    others 2020, "Don't stop pretraining". The output map is the table of input words; of masked words a small head
    stands before it, which is thrown away afterwards.

    Parameters
    ----------
    backbone : Backbone
    texts : sequence of str
    held : sequence of str
    config : AdaptConfig
    seed : int
    fast : torch.dtype

    Raises
    ------
    ConfigError
        Where the model does not suit the objective.
    """

    def __init__(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        held: Sequence[str],
        config: AdaptConfig,
        seed: int,
        fast: torch.dtype,
    ) -> None:
        _check_suits(backbone, config)
        self.config, self.seed, self.fast = config, seed, fast
        self._adversary = adversary_of(backbone, config.adversarial)
        self.head = WordHead(backbone, config.objective == "masked")
        self._rows = [ids for ids, _ in backbone.tokens(texts, length=config.max_length)]
        self._held = [ids for ids, _ in backbone.tokens(held, length=config.max_length)]
        self._special = np.array(sorted(set(backbone.tokenizer.all_special_ids)), dtype=np.int64)

    @property
    def model(self) -> nn.Module:
        """Backbone and head."""
        return self.head

    def batches(self, epoch: int) -> Sequence[tuple[int, np.ndarray]]:
        """Return for each batch what its random numbers begin with, and positions of texts of like length."""
        rng = np.random.default_rng([self.seed, 7, epoch])
        order = rng.permutation(len(self._rows))
        block, size = 16 * self.config.batch_size, self.config.batch_size
        cut: list[np.ndarray] = []
        for lo in range(0, order.size, block):
            part = order[lo : lo + block]
            part = part[np.argsort([len(self._rows[i]) for i in part], kind="stable")]
            cut += [part[at : at + size] for at in range(0, part.size, size)]
        return [(epoch * 1_000_003 + int(at), cut[at]) for at in rng.permutation(len(cut))]

    def loss(self, batch: tuple[int, np.ndarray]) -> torch.Tensor:
        """Return the mean cross-entropy of the words that are guessed."""
        if self._adversary is None:
            return self._loss(*batch)
        return self._adversary.loss(lambda: self._loss(*batch))

    def _loss(self, key: int, which: np.ndarray) -> torch.Tensor:
        """Return the loss of a batch; equal keys hide equal words."""
        rng = np.random.default_rng([self.seed, 11, key])
        lost = self._losses([self._rows[i] for i in which], rng)
        return lost.mean() + self.head.backbone.penalty()

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): the mean log-likelihood of the guessed words of each held-out text."""
        if not self._held:
            return None
        rng = np.random.default_rng([self.seed, 13])
        found = [float(-self._losses([row], rng).mean()) for row in self._held]
        return np.array(found, dtype=np.float64)

    def _losses(self, rows: list[list[int]], rng: np.random.Generator) -> torch.Tensor:
        """Return float32 (n_guessed,): the cross-entropy of each guessed word."""
        backbone = self.head.backbone
        batch = backbone.batch([(row, [0] * len(row)) for row in rows])
        masked = self.config.objective == "masked"
        labels = self._hide(batch, rng) if masked else _following(batch)
        with autocast(backbone, self.fast):
            hidden = backbone.hidden(batch)
            guessed = labels != NOT_A_LABEL
            logits = self.head(hidden[guessed])
        return nn.functional.cross_entropy(logits.float(), labels[guessed], reduction="none")

    def _hide(self, batch: Batch, rng: np.random.Generator) -> torch.Tensor:
        """Hide words of a batch, in place, and return what they were; at least one a text."""
        ids = batch.ids.cpu().numpy()
        usable = (batch.mask.cpu().numpy() == 1) & ~np.isin(ids, self._special)
        usable |= ~usable.any(axis=1, keepdims=True) & (np.arange(ids.shape[1]) == 0)  # nothing but marks
        drawn = np.where(usable, rng.random(ids.shape), np.inf)
        chosen = drawn < self.config.mask_share
        chosen[np.arange(len(ids)), drawn.argmin(axis=1)] = True
        labels = np.where(chosen, ids, NOT_A_LABEL)
        how = rng.random(ids.shape)
        vocabulary = int(self.head.words.shape[0])
        changed = np.where(chosen & (how < 0.8), self.head.backbone.tokenizer.mask_token_id, ids)
        other = rng.integers(vocabulary, size=ids.shape)
        changed = np.where(chosen & (how >= 0.8) & (how < 0.9), other, changed)
        batch.ids.copy_(torch.from_numpy(changed))
        return torch.from_numpy(labels).to(batch.ids.device)


class WordHead(nn.Module):
    """From a token's vector to words: (a small map, for masked words) and the table of input words."""

    def __init__(self, backbone: Backbone, transform: bool) -> None:
        super().__init__()
        self.backbone = backbone
        dim = backbone.dim
        made: Any = nn.Identity()
        if transform:
            made = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim)).to(backbone.device)
        self.transform = made

    @property
    def words(self) -> torch.Tensor:
        """float32 (n_words, dim): the table of input words."""
        table: torch.Tensor = self.backbone.model.get_input_embeddings().weight  # type: ignore[operator]
        return table

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (n, n_words): logits."""
        logits: torch.Tensor = nn.functional.linear(self.transform(hidden), self.words)
        return logits


def _following(batch: Batch) -> torch.Tensor:
    """Return int64 (n, length): the token after each one."""
    labels = torch.full_like(batch.ids, NOT_A_LABEL)
    labels[:, :-1] = torch.where(batch.mask[:, 1:] == 1, batch.ids[:, 1:], labels[:, 1:])
    return labels


def _check_suits(backbone: Backbone, config: AdaptConfig) -> None:
    """Refuse an objective that the model was not made for."""
    wanted = {"masked": "encoder", "causal": "decoder"}[config.objective]
    if backbone.family != wanted:
        other = {"encoder": "masked", "decoder": "causal"}.get(backbone.family, "pairs")
        raise ConfigError(
            f"objective = {config.objective}: this model reads as {backbone.family}; choose {other} or pairs"
        )
    if config.objective == "masked" and backbone.tokenizer.mask_token_id is None:
        raise ConfigError("objective = masked: the tokenizer of this model has no mask token; choose pairs")
    if config.objective == "causal" and not backbone.model.config.tie_word_embeddings:  # type: ignore[union-attr]
        raise ConfigError(
            "objective = causal: the output words of this model are not its input words, and are not part of an "
            "encoder; choose pairs"
        )
