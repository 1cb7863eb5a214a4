"""Training an LSTM on a catalogue's own text; what comes out answers in NumPy (``encoders.lstm``)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fuserec.encoders.lstm import LstmEncoder, numbered
from fuserec.encoders.word_config import FastTextConfig, LstmConfig
from fuserec.encoders.word_training import train_words
from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import lowered, training
from fuserec.neural.training import Plan, train

if TYPE_CHECKING:
    from fuserec.encoders.words import Words
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "lstm"

FEWEST_OF_A_TAG = 5
MOST_TAGS = 2000

HELD_OUT, MOST_HELD = 0.05, 1000
ENOUGH_TO_HOLD = 400
"""Texts from which some are held out to judge epochs by."""

Words2D = Sequence[Sequence[int]]


class TextLstm(nn.Module):
    """Words to vectors, an LSTM over them, pooled; a linear layer to tags where those are learnt.

    Parameters
    ----------
    table : float32 (n_rows, e)
        Where vectors of words and n-grams begin.
    config : LstmConfig
    n_tags : int
        0 for none.
    """

    def __init__(self, table: torch.Tensor, config: LstmConfig, n_tags: int) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Parameter(table)
        self.lstm = nn.LSTM(
            config.embedding_dim, config.hidden_dim, batch_first=True, bidirectional=config.bidirectional
        )
        self.dropout = nn.Dropout(config.dropout)
        dim = config.hidden_dim * (2 if config.bidirectional else 1)
        self.to_tags = nn.Linear(dim, n_tags) if n_tags else None

    def forward(self, texts: Words2D, reading: sparse.csr_matrix) -> torch.Tensor:
        """Return float32 (n, dim): the pooled vectors of texts, none of which may be empty.

        Parameters
        ----------
        texts : sequences of int
            Rows of ``reading``.
        reading : CSR (n_words, n_rows)
            What the table is multiplied by to read a word.
        """
        device = self.table.device
        lengths = np.array([len(text) for text in texts])
        distinct, place = np.unique(np.concatenate([np.asarray(text) for text in texts]), return_inverse=True)
        padded = np.zeros((len(texts), lengths.max()), np.int64)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = place
        x = self._words(reading[distinct])[torch.from_numpy(padded).to(device)]
        sizes = torch.from_numpy(lengths)
        packed = pack_padded_sequence(self.dropout(x), sizes, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        if self.config.pooling == "last":
            return torch.cat(list(last), dim=1)
        if self.config.pooling == "max":
            highest: torch.Tensor = pad_packed_sequence(states, True, -torch.inf)[0].amax(dim=1)
            return highest
        summed: torch.Tensor = pad_packed_sequence(states, True)[0].sum(dim=1)
        return summed / sizes.to(device)[:, None]

    def _words(self, reading: sparse.csr_matrix) -> torch.Tensor:
        """Return float32 (m, e): the vectors of words, each the mean of its rows."""
        rows, ends = (
            torch.from_numpy(a.astype(np.int64)).to(self.table.device)
            for a in (reading.indices, reading.indptr)
        )
        return functional.embedding_bag(rows, self.table, ends, mode="mean", include_last_offset=True)


@dataclass(frozen=True)
class Corpus:
    """What is learnt from.

    Parameters
    ----------
    full, bare : sequences of sequences of int
        The words of each text, and of the text without its tags (empty where there is nothing else).
    reading : CSR (n_words, n_rows)
    tags : CSR float32 (n_texts, n_tags)
        Rows sum to 1 where there are tags; no columns where tags are not learnt.
    """

    full: Words2D
    bare: Words2D
    reading: sparse.csr_matrix
    tags: sparse.csr_matrix


class LstmTask:
    """Batches, loss and judgement.

    With tags: cross-entropy of the softmax over tags with the item's own, each with the same share; the text is read
    whole or without its tags, by turns of chance, so that they cannot be learnt by copying. Without: both of two views
    of a text have to find the other among those of all texts of the batch (the loss of Chen, Kornblith, Norouzi, Hinton
    2020, "A simple framework for contrastive learning", with words left out for views as in Gao, Yao, Chen 2021,
    "SimCSE", section 3).
    """

    def __init__(self, model: TextLstm, corpus: Corpus, config: LstmConfig, seed: int) -> None:
        self.model, self.corpus, self.config, self.seed = model, corpus, config, seed
        told = np.diff(corpus.tags.indptr) > 0 if model.to_tags is not None else True
        usable = np.flatnonzero(np.array([len(text) > 0 for text in corpus.full]) & told)
        order = np.random.default_rng(seed).permutation(usable)
        held = min(MOST_HELD, int(HELD_OUT * usable.size)) if usable.size >= ENOUGH_TO_HOLD else 0
        self.held, self.texts = order[:held], np.sort(order[held:])

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch: texts, and the seed of their views."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        order, size = rng.permutation(self.texts), self.config.batch_size
        cuts = [order[lo : lo + size] for lo in range(0, order.size, size)]
        cuts = [cut for cut in cuts if cut.size > 1] or cuts  # one text alone has nothing to be told from
        return list(zip(cuts, rng.integers(2**31, size=len(cuts)).tolist(), strict=True))

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean loss of a batch."""
        return -self._gains(batch[0], np.random.default_rng(batch[1])).mean()

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): the log-likelihood of each held-out text; equal views every time."""
        if not self.held.size:
            return None
        rng, size = np.random.default_rng(self.seed), self.config.batch_size
        cuts = np.array_split(self.held, max(1, self.held.size // size))
        return np.concatenate([self._gains(cut, rng).double().cpu().numpy() for cut in cuts])

    def _gains(self, which: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return float32 (n,): the log-likelihood of some texts."""
        if self.model.to_tags is not None:
            logits = self.model.to_tags(self._read(which, rng))
            truth = torch.from_numpy(self.corpus.tags[which].toarray()).to(logits.device)
            return (functional.log_softmax(logits, dim=1) * truth).sum(dim=1)
        one, two = (functional.normalize(self._read(which, rng), dim=1) for _ in range(2))
        logits = one @ two.T / self.config.temperature
        both = functional.log_softmax(logits, dim=1) + functional.log_softmax(logits, dim=0)
        gains: torch.Tensor = both.diagonal() / 2
        return gains

    def _read(self, which: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return the vectors of a view of each text."""
        views = [self._view(int(text), rng) for text in which]
        vectors: torch.Tensor = self.model(views, self.corpus.reading)
        return vectors

    def _view(self, text: int, rng: np.random.Generator) -> np.ndarray:
        """Return some of the words of a text, in their order; one at least."""
        words = self.corpus.full[text]
        if self.model.to_tags is not None and self.corpus.bare[text] and rng.random() < 0.5:
            words = self.corpus.bare[text]
        kept = rng.random(len(words)) >= self.config.word_dropout
        kept[rng.integers(len(words))] = True
        return np.asarray(words)[kept]


def train_lstm(
    texts: Sequence[str],
    untagged: Sequence[str],
    tags: sparse.csr_matrix,
    config: LstmConfig,
    runs: tuple[int, int],
    run: RunOptions,
    made_from: str = "",
) -> LstmEncoder:
    """Train an encoder on texts.

    Parameters
    ----------
    texts, untagged : sequence of str
        Of all items, with and without what tags are made of.
    tags : CSR (n_texts, n_tags)
        1 where an item carries a tag; may have no columns.
    config : LstmConfig
    runs : (int, int)
        Shortest and longest run taken from scripts without spaces.
    run : RunOptions
        Seed, device, threads, checkpoints.
    made_from : str
        Kept in the encoder.

    Raises
    ------
    DataError
        Where no two words stand beside each other, or ``objective = "tags"`` finds none.
    """
    words, table = _start(texts, config, runs, run)
    corpus = _corpus(texts, untagged, _learnable(tags, config), words, config)
    seed = int(run.rng(NAME).integers(2**31))
    with training(seed, run, f"the encoder {NAME}", lowered(config, "batch_size", "max_length")) as device:
        model = TextLstm(torch.from_numpy(table), config, corpus.tags.shape[1]).to(device)
        task = LstmTask(model, corpus, config, seed)
        plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, config.patience)
        key = key_of(made_from=made_from, config=config.model_dump(mode="json"), seed=run.seed)
        done = train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
    facts = {
        "kind": NAME,
        "objective": "tags" if model.to_tags is not None else "contrastive",
        "epochs": done.epoch,
        "loss": round(done.losses[-1], 4),
        "words": len(words.terms),
        "ngrams": len(words.ngrams),
        "texts_without": sum(bool(t.strip()) and not w for t, w in zip(texts, corpus.full, strict=True)),
    }
    return LstmEncoder(words, weights_of(model), config, made_from, facts)


def weights_of(model: TextLstm) -> dict[str, np.ndarray]:
    """Return what is needed to answer: PyTorch's two vectors of a direction's gates become one."""
    found = {k: v.detach().float().cpu().numpy().copy() for k, v in model.state_dict().items()}
    weights = {"table": found["table"]}
    sides = {"forward": "", "backward": "_reverse"} if model.config.bidirectional else {"forward": ""}
    for side, end in sides.items():
        weights[f"{side}.x"], weights[f"{side}.h"] = (found[f"lstm.weight_{k}_l0{end}"] for k in ("ih", "hh"))
        weights[f"{side}.b"] = found[f"lstm.bias_ih_l0{end}"] + found[f"lstm.bias_hh_l0{end}"]
    return weights


def _start(
    texts: Sequence[str], config: LstmConfig, runs: tuple[int, int], run: RunOptions
) -> tuple[Words, np.ndarray]:
    """Return words and where their vectors begin: as fastText has them after a few passes, of the length √e."""
    told: dict[str, Any] = {
        "embedding_dim": config.embedding_dim,
        "min_count": config.min_count,
        "char_ngrams": config.char_ngrams,
        "max_ngrams": config.max_ngrams,
        "epochs": max(1, config.word_epochs),
    }
    words, table = train_words(texts, FastTextConfig(**told), runs, run)
    lengths = np.linalg.norm(words.reading(words.terms) @ table, axis=1)
    table *= np.float32(np.sqrt(config.embedding_dim) / max(float(lengths.mean()), 1e-9))
    return words, table


def _corpus(
    texts: Sequence[str], untagged: Sequence[str], tags: sparse.csr_matrix, words: Words, config: LstmConfig
) -> Corpus:
    """Return all texts as numbers of words."""
    cuts = words.cut([*texts, *untagged])
    rows, place = numbered(cuts, words, config.max_length)
    return Corpus(rows[: len(texts)], rows[len(texts) :], words.reading(list(place)), tags)


def _learnable(tags: sparse.csr_matrix, config: LstmConfig) -> sparse.csr_matrix:
    """Return the tags that enough items carry, each item's with equal shares; no columns where none are to be learnt.

    Raises
    ------
    DataError
        Where tags are asked for and there are none.
    """
    n_items = tags.shape[0]
    if config.objective == "contrastive":
        return sparse.csr_matrix(np.empty((n_items, 0), np.float32))
    counts = np.asarray((tags > 0).sum(axis=0)).ravel()
    kept = np.flatnonzero((counts >= FEWEST_OF_A_TAG) & (counts < n_items))
    kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")][:MOST_TAGS])
    found = sparse.csr_matrix(tags[:, kept], dtype=np.float32)
    carried = np.diff(found.indptr)
    if kept.size < 2:
        raise DataError(
            f"the encoder lstm is to learn tags, and no two tags are carried by {FEWEST_OF_A_TAG} items or more: "
            'set objective = "contrastive"'
        )
    found.data = np.repeat(np.float32(1.0) / np.maximum(carried, 1).astype(np.float32), carried)
    return found
