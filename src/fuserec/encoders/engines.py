"""What runs a sentence encoder: CTranslate2 for BERT-like models, sentence-transformers for all others."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fuserec.encoders.base import Vectors, WeightsError, one_line
from fuserec.encoders.convert import FolderFacts
from fuserec.errors import ConfigError, MissingExtraError
from fuserec.numerics.gpu_memory import is_full
from fuserec.run import RunOptions

_KNOWN_SHARE = 0.5
_TAUGHT_HAN = 2000
_SPECIAL = 2
"""Tokens that open and close a text."""

_BLOCK = 16_384
_AT_ONCE = 32
"""Texts that sentence-transformers is given at once; fewer where a GPU has no room for them."""

_LABEL = "encoding text"


class Engine(Protocol):
    """Runs one model: texts (none empty) to pooled vectors, not yet of unit length."""

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim)."""
        ...


class CTranslate2Engine:
    """A converted folder on CTranslate2, on CPU.

    Texts are sorted by length and cut into small batches of about equal work (CPU caches like about 1,024
    tokens); one batch runs on one core and several run side by side, so a vector does not depend on the
    number of threads.

    Parameters
    ----------
    folder : Path
        What :func:`fuserec.encoders.convert.convert` wrote.
    facts : FolderFacts
        Pooling and case.
    compute_type : str
        ``"int8_float32"``, ``"int8"``, or ``"float32"``.
    max_length : int
        Tokens of a text that are read.
    batch_tokens : int
        Tokens of a batch, padding included.
    """

    def __init__(
        self, folder: Path, facts: FolderFacts, compute_type: str, max_length: int, batch_tokens: int
    ) -> None:
        try:
            import ctranslate2
            from tokenizers import Tokenizer
        except ImportError as absent:
            raise MissingExtraError("the sentence encoder", "text") from absent
        supported = ctranslate2.get_supported_compute_types("cpu")
        if compute_type not in supported:
            raise ConfigError(
                f"compute_type {compute_type!r} cannot run on this CPU; allowed is {sorted(supported)}"
            )
        self._model = ctranslate2.Encoder(
            str(folder),
            device="cpu",
            compute_type=compute_type,
            inter_threads=os.cpu_count() or 1,
            intra_threads=1,
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Packaged tokenizers may pad every text to a fixed length and cut it shorter than the model reads.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._strange = _strange_tokens(self._tokenizer)
        self._facts = facts
        self._batch_tokens = batch_tokens

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim)."""
        vectors = np.zeros((len(texts), self._facts.dim), dtype=np.float32)
        done = 0
        with ThreadPoolExecutor(max(1, run.threads)) as pool:
            for start in range(0, len(texts), _BLOCK):
                run.check()
                ids = self._ids(texts[start : start + _BLOCK])
                batches = list(_batches(ids, self._batch_tokens))

                def work(batch: NDArray[np.int64], ids: list[list[int]] = ids) -> Vectors:
                    run.check()
                    return self._pooled([ids[i] for i in batch])

                for batch, pooled in zip(batches, pool.map(work, batches), strict=True):
                    vectors[start + batch] = pooled * self._readable([ids[i] for i in batch])[:, None]
                    done += len(batch)
                    run.progress(_LABEL, done, len(texts))
        return vectors

    def _readable(self, ids: list[list[int]]) -> NDArray[np.bool_]:
        """Return bool (n,): the texts of which the model knows at least half of the tokens.

        What it makes of the others is noise that looks like meaning: they get a zero vector, as if they had no text.
        """
        known = [1.0 - self._strange[row[1:-1]].mean() if len(row) > _SPECIAL else 1.0 for row in ids]
        return np.array(known) >= _KNOWN_SHARE

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        cleaned = [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]
        if self._facts.lower_case:
            cleaned = [text.lower() for text in cleaned]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(cleaned)]

    def _pooled(self, ids: list[list[int]]) -> Vectors:
        """Return the mean over each text's own tokens, or its first token's vector: float32 (batch, dim)."""
        hidden = np.asarray(self._model.forward_batch(ids).last_hidden_state)
        if self._facts.pooling == "cls":
            return np.array(hidden[:, 0], dtype=np.float32)
        lengths = np.array([len(row) for row in ids])
        share = (np.arange(hidden.shape[1]) < lengths[:, None]) / lengths[:, None].astype(np.float32)
        pooled: Vectors = np.matmul(share[:, None, :].astype(np.float32), hidden)[:, 0]
        return pooled


def _strange_tokens(tokenizer: Any) -> NDArray[np.bool_]:
    """Return bool (n_tokens,): the unknown token, and Han characters where the model was taught only a few of them.

    An English vocabulary holds some hundred Han characters, without a meaning; a Chinese or multilingual one thousands.
    """
    vocabulary = tokenizer.get_vocab()
    strange = np.zeros(max(vocabulary.values(), default=0) + 1, dtype=bool)
    han = [index for token, index in vocabulary.items() if any("\u4e00" <= c <= "\u9fff" for c in token)]
    if len(han) < _TAUGHT_HAN:
        strange[han] = True
    for token in ("[UNK]", "<unk>"):
        if token in vocabulary:
            strange[vocabulary[token]] = True
    return strange


class TorchEngine:
    """Any sentence-transformers folder, run by that library.

    Parameters
    ----------
    folder : Path
        A sentence-transformers folder.
    max_length : int or None
        Tokens of a text that are read; None: what the folder says.
    device : str
        ``"cpu"``, ``"cuda"``, or ``"auto"``.
    """

    def __init__(self, folder: Path, max_length: int | None, device: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as absent:
            raise MissingExtraError("this sentence encoder", "deep") from absent
        chosen = None if device == "auto" else device
        self._at_once = _AT_ONCE
        try:
            with quietly():
                self._model = SentenceTransformer(str(folder), device=chosen, local_files_only=True)
            if max_length is not None:
                self._model.max_seq_length = max_length
            # Asked of the model itself: the method that tells it has changed its name between releases.
            vector = np.asarray(self._model.encode(["a"], prompt="", show_progress_bar=False))
        except Exception as fault:  # that library, and those below it, raise whatever the file formats raise
            if not is_full(fault):
                raise WeightsError(
                    f"the sentence encoder {folder.name} cannot be read ({one_line(fault)}): name a whole "
                    "sentence-transformers folder, or fetch the model again"
                ) from fault
            raise ConfigError(
                f"the GPU has too little memory for the sentence encoder {folder.name}: name a smaller model in "
                "[features.sentence], or encode on the processor (--device cpu)"
            ) from None
        if not np.isfinite(vector).all():
            raise WeightsError(
                f"the sentence encoder {folder.name} gives vectors that are not finite: its weights are damaged, fetch "
                "the model again"
            )
        self.dim = int(vector.shape[1])

    @property
    def max_length(self) -> int:
        """Tokens of a text that are read."""
        return int(self._model.max_seq_length or 0)

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim)."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        block = 2048
        for start in range(0, len(texts), block):
            run.check()
            part = [text.encode("utf-8", "replace").decode() for text in texts[start : start + block]]
            vectors[start : start + len(part)] = self._encoded(part)
            run.progress(_LABEL, start + len(part), len(texts))
        return vectors

    def _encoded(self, part: list[str]) -> Vectors:
        """Return the vectors of some texts; where a GPU is too small for as many at once, of fewer at a time."""
        at_once = self._at_once  # requests encode side by side: each goes down by itself
        while True:
            try:
                made = self._model.encode(part, prompt="", batch_size=at_once, show_progress_bar=False)
                return np.asarray(made, np.float32)
            except RuntimeError as fault:
                if not is_full(fault):
                    raise
            if at_once == 1:
                raise ConfigError(
                    f"the GPU has too little memory for one text of {self.max_length} tokens: lower max_length of "
                    "[features.sentence], or encode on the processor (--device cpu)"
                )
            at_once //= 2
            self._at_once = min(self._at_once, at_once)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep progress bars and load reports of transformers off the screen."""
    from transformers.utils import logging as told

    bars: Any = told  # its functions have no types
    logger, shown = logging.getLogger("transformers"), bars.is_progress_bar_enabled()
    before = logger.level
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(before)
        if shown:
            bars.enable_progress_bar()


def _batches(ids: list[list[int]], budget: int) -> Iterator[NDArray[np.int64]]:
    """Yield positions of texts of similar length, longest first; a padded batch fits the budget."""
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < order.size:
        end = start + max(1, int(budget // lengths[order[start]]))
        yield order[start:end]
        start = end
