"""A tuned language model that answers: kept as arrays, run by CTranslate2 where it can be, else by PyTorch.

The vector of a text (or pair) hangs on that text alone: batches hold texts of one padded length, which follows from a
text's own number of tokens, never from the texts beside it.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.encoders import convert
from fuserec.encoders.base import WeightsError, one_line
from fuserec.errors import MissingExtraError
from fuserec.neural import require
from fuserec.neural.language.tuning_config import TuningConfig

if TYPE_CHECKING:
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

STEP = 8
"""Texts are padded to a multiple of so many tokens."""

WEIGHT = "weight/"
"""What names of weights begin with in a state."""

Ids = tuple[list[int], list[int]]
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(ids, types int32 (n, width), lengths int32 (n,)) -> float32 (n, width, dim): a vector a token."""


@dataclass(frozen=True)
class Kept:
    """All of a tuned model that is kept.

    Parameters
    ----------
    weights : dict of float arrays
        By the names that the model's own class gives them.
    config : dict
        The model's configuration, as transformers writes it.
    kind : str
        The name of its class in transformers.
    tokenizer : str
        The tokenizer as JSON.
    family, pooling : str
    dim : int
        Length of a vector.
    max_length : int
    blank : int
        The token that stands for an empty text and for padding.
    joint : str
        What stands between the texts of a pair where the tokenizer puts nothing there.
    typed : bool
        Whether the model was told which text of a pair a token belongs to.
    tuning : TuningConfig or None
        What was added to the model and could not be merged into its weights.
    """

    weights: Arrays
    config: dict[str, Any]
    kind: str
    tokenizer: str
    family: str
    pooling: str
    dim: int
    max_length: int
    blank: int
    joint: str
    typed: bool
    tuning: TuningConfig | None

    def state(self) -> State:
        """Return arrays and JSON."""
        arrays: Arrays = {f"{WEIGHT}{name}": array for name, array in self.weights.items()}
        arrays["tokenizer"] = np.frombuffer(self.tokenizer.encode("utf-8"), dtype=np.uint8).copy()
        names = ("config", "kind", "family", "pooling", "dim", "max_length", "blank", "joint", "typed")
        meta: Meta = {name: getattr(self, name) for name in names}
        return arrays, {
            **meta,
            "tuning": None if self.tuning is None else self.tuning.model_dump(mode="json"),
        }

    @classmethod
    def from_state(cls, arrays: Arrays, meta: Meta) -> Kept:
        """Rebuild what :meth:`state` gave."""
        weights = {n.removeprefix(WEIGHT): array for n, array in arrays.items() if n.startswith(WEIGHT)}
        own = dict(meta)
        tuning = own.pop("tuning")
        return cls(
            weights,
            tokenizer=arrays["tokenizer"].tobytes().decode("utf-8"),
            tuning=None if tuning is None else TuningConfig.parse(tuning, "a model's language_pair"),
            **own,
        )


class Reader:
    """Texts and pairs of texts to vectors; loaded when it first reads. Safe to call from many threads.

    Parameters
    ----------
    kept : Kept
    compute_type : str
        Of CTranslate2.
    tokens : int
        Of a batch, padding included.
    threads : int
        Batches run side by side.
    """

    def __init__(self, kept: Kept, compute_type: str, tokens: int, threads: int) -> None:
        self.kept, self.compute_type, self.tokens, self.threads = kept, compute_type, tokens, threads
        self._lock = threading.Lock()
        self._forward: Forward | None = None

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, without padding and truncation of its own."""
        if find_spec("tokenizers") is None:
            raise MissingExtraError("the scorer language_pair", "text")
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.kept.tokenizer)
        made.no_padding()
        made.no_truncation()
        return made

    @cached_property
    def why_torch(self) -> str | None:
        """Why CTranslate2 does not run this model, or None where it does."""
        if self.kept.tuning is not None:
            return f"tuning = {self.kept.tuning.method} cannot be merged into its weights"
        if find_spec("ctranslate2") is None:
            return "ctranslate2 is not installed"
        if self.kept.family != "encoder":
            return f"it reads as {self.kept.family}"
        with tempfile.TemporaryDirectory(prefix="fuserec-") as folder:
            self.export(Path(folder), weights=False)
            (Path(folder) / "model.safetensors").touch()
            return convert.why_not_native(Path(folder))

    def vectors(
        self,
        texts: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        limit: int,
        run: RunOptions | None = None,
    ) -> np.ndarray:
        """Return float32 (n, dim): vectors of texts, or of pairs of texts, cut at ``limit`` tokens."""
        rows = self.ids(texts, second, limit)
        if not rows:
            return np.zeros((0, self.kept.dim), np.float32)
        forward = self._loaded()
        batches = list(_buckets([len(ids) for ids, _ in rows], self.kept.max_length, self.tokens))
        out = np.zeros((len(rows), self.kept.dim), np.float32)
        done = 0

        def work(batch: tuple[np.ndarray, int]) -> np.ndarray:
            if run is not None:
                run.check()
            which, width = batch
            ids, types, lengths = _padded([rows[i] for i in which], width, self.kept.blank)
            return _pooled(forward(ids, types, lengths), lengths, self.kept.pooling)

        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            for (which, _), found in zip(batches, pool.map(work, batches), strict=True):
                out[which] = found
                done += which.size
                if run is not None:
                    run.progress("encoding text", done, len(rows))
        return out

    def counts(self, texts: Sequence[str]) -> np.ndarray:
        """Return int64 (n,): tokens of each text, without what opens and closes it."""
        told = self.tokenizer.encode_batch([_clean(text) for text in texts], add_special_tokens=False)
        return np.array([len(one.ids) for one in told], dtype=np.int64)

    def ids(self, texts: Sequence[str], second: Sequence[str] | None, limit: int) -> list[Ids]:
        """Return tokens and types of texts, as in training; a pair that is too long loses most of its longer text."""
        made: Sequence[Any] = [_clean(text) for text in texts]
        if second is not None:
            made = [(a, self.kept.joint + _clean(b)) for a, b in zip(made, second, strict=True)]
        with self._lock:  # truncation is a setting of the tokenizer
            self.tokenizer.enable_truncation(min(limit, self.kept.max_length))
            told = self.tokenizer.encode_batch(made)
        rows = [one.ids or [self.kept.blank] for one in told]
        kinds = [
            one.type_ids if self.kept.typed and one.ids else [0] * len(ids)
            for one, ids in zip(told, rows, strict=True)
        ]
        return list(zip(rows, kinds, strict=True))

    def _loaded(self) -> Forward:
        """Return what runs the model, loading it the first time."""
        with self._lock:
            if self._forward is None:
                self._forward = _by_ctranslate2(self) if self.why_torch is None else _by_torch(self.kept)
            return self._forward

    def export(self, folder: Path, *, weights: bool = True) -> None:
        """Write the model as a folder in the layout of transformers."""
        from safetensors.numpy import save_file

        (folder / "config.json").write_text(json.dumps(self.kept.config), encoding="utf-8")
        (folder / "tokenizer.json").write_text(self.kept.tokenizer, encoding="utf-8")
        told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": self.kept.max_length}
        told["pad_token"] = self.tokenizer.id_to_token(self.kept.blank)
        (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
        if weights:
            arrays = {name: np.ascontiguousarray(array) for name, array in self.kept.weights.items()}
            save_file(arrays, folder / "model.safetensors")


def _by_ctranslate2(reader: Reader) -> Forward:
    """Return the model on CTranslate2."""
    import os

    import ctranslate2

    quantization = "float32" if reader.compute_type == "float32" else "int8"
    with tempfile.TemporaryDirectory(prefix="fuserec-") as place:
        folder, native = Path(place) / "model", Path(place) / "native"
        folder.mkdir()
        native.mkdir()
        reader.export(folder)
        convert.convert(folder, native, quantization, convert.read_facts(folder))
        encoder = ctranslate2.Encoder(
            str(native),
            device="cpu",
            compute_type=reader.compute_type,
            inter_threads=os.cpu_count() or 1,
            intra_threads=1,
        )

    def forward(ids: np.ndarray, types: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        told = ctranslate2.StorageView.from_array
        out = encoder.forward_batch(told(ids), told(lengths), token_type_ids=types.tolist())
        return np.asarray(out.last_hidden_state)

    return forward


def _by_torch(kept: Kept) -> Forward:
    """Return the model on PyTorch, on the processor."""
    require("this language model")
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("this language model", "deep") from None
    import torch

    from fuserec.neural.language.backbone import Backbone, Batch

    backbone = Backbone(_model_of(kept, transformers), None, kept.family, kept.pooling, kept.max_length)  # type: ignore[arg-type]
    if kept.tuning is not None:
        from fuserec.neural.language.tuning import tune

        tune(backbone, kept.tuning, 1)
    state = {name: torch.from_numpy(np.array(array)) for name, array in kept.weights.items()}
    try:
        backbone.model.load_state_dict(state)
    except RuntimeError as fault:
        raise WeightsError(
            f"the tuned language model cannot be put together ({one_line(fault)}): fit it again"
        ) from None
    backbone.eval()

    def forward(ids: np.ndarray, types: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        arrays = (ids.astype(np.int64), types.astype(np.int64), mask)
        with torch.inference_mode():
            found: np.ndarray = backbone.hidden(Batch(*map(torch.from_numpy, arrays))).float().numpy()
        return found

    return forward


def _model_of(kept: Kept, transformers: Any) -> Any:
    """Return the model with weights that are yet to be filled in."""
    made = getattr(transformers, kept.kind, None)
    if not (isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)):
        raise WeightsError(
            f"transformers has no model {kept.kind!r} any more: install the release it was tuned with"
        )
    options = {key: value for key, value in kept.config.items() if key != "model_type"}
    return made(transformers.AutoConfig.for_model(kept.config["model_type"], **options))


def _buckets(lengths: Sequence[int], limit: int, budget: int) -> list[tuple[np.ndarray, int]]:
    """Return (positions, padded length) of batches: the padded length follows from a text's own, the longest first."""
    sizes = np.asarray(lengths, dtype=np.int64)
    widths = np.minimum(-(-sizes // STEP) * STEP, max(limit, int(sizes.max())))
    found = []
    for width in np.unique(widths)[::-1]:
        which = np.flatnonzero(widths == width)
        size = max(1, int(budget // width))
        found += [(which[lo : lo + size], int(width)) for lo in range(0, which.size, size)]
    return found


def _padded(rows: Sequence[Ids], width: int, blank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids and types int32 (n, width), and lengths int32 (n,)."""
    ids = np.full((len(rows), width), blank, dtype=np.int32)
    types = np.zeros_like(ids)
    lengths = np.array([len(own) for own, _ in rows], dtype=np.int32)
    for r, (own, kinds) in enumerate(rows):
        ids[r, : len(own)], types[r, : len(own)] = own, kinds
    return ids, types, lengths


def _pooled(hidden: np.ndarray, lengths: np.ndarray, pooling: str) -> np.ndarray:
    """Return float32 (n, dim) of token vectors (n, width, dim)."""
    if pooling == "cls":
        return np.ascontiguousarray(hidden[:, 0])
    if pooling == "last":
        return np.ascontiguousarray(hidden[np.arange(lengths.size), lengths - 1])
    share = (np.arange(hidden.shape[1]) < lengths[:, None]) / lengths[:, None].astype(np.float32)
    return np.asarray(np.matmul(share[:, None, :].astype(np.float32), hidden)[:, 0])


def _clean(text: str) -> str:
    """Return the text without what no tokenizer takes (lone surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
