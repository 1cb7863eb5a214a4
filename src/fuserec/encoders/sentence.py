"""Sentence vectors of a pretrained language model: MiniLM by default, or any sentence-transformers model."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fuserec.encoders import convert, hub, minilm
from fuserec.encoders.base import State, Vectors, WeightsError, one_line, unit_rows
from fuserec.encoders.convert import FolderFacts
from fuserec.encoders.engines import CTranslate2Engine, Engine, TorchEngine
from fuserec.encoders.folders import cache_root, published, reading_roots
from fuserec.encoders.tuned import read_tuning
from fuserec.encoders.word_config import FastTextConfig, GloveConfig, LstmConfig, SifConfig, Word2VecConfig
from fuserec.errors import ConfigError, MissingExtraError, ModelFormatError, RequestError
from fuserec.run import RunOptions

Backend = Literal["ctranslate2", "torch"]


class SentenceConfig(BaseModel):
    """What reads the text; of the keys beside ``kind`` those of a language model, each other kind has a table."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["language_model", "word2vec", "fasttext", "glove", "lstm"] = Field(
        default="language_model",
        description="language_model: a pretrained one, by the keys below. word2vec, fasttext, glove, lstm: trained on "
        "the catalogue's own text, each by the table of its name; glove reads word vectors from a file too.",
    )

    model: str = Field(
        default="minilm",
        min_length=1,
        description="'minilm', the path of a sentence-transformers folder, or the name of one on the model "
        "hub (a multilingual one for Chinese, for example).",
    )
    revision: str | None = Field(default=None, description="Revision on the model hub; left out: the latest.")
    backend: Literal["auto", "ctranslate2", "torch"] = Field(
        default="auto",
        description="ctranslate2 runs BERT-like models fast on CPU; torch runs all others (extra 'deep').",
    )
    compute_type: Literal["int8_float32", "int8", "float32"] = Field(
        default="int8_float32",
        description="Precision on ctranslate2: int8 is faster, float32 equals the original.",
    )
    max_length: int | None = Field(
        default=None,
        ge=3,
        le=8192,
        description="Tokens of a text that are read; left out: what the model says.",
    )
    batch_tokens: int = Field(
        default=1024, ge=16, le=2**31 - 1, description="Tokens of a batch, padding included."
    )
    normalize: bool = Field(default=True, description="Whether vectors are scaled to unit length.")
    prompt: str | None = Field(
        default=None, description="What is put before every text; left out: the model's own default prompt."
    )
    word2vec: Word2VecConfig = Field(
        default=Word2VecConfig(), description="Word2Vec on the catalogue's text."
    )
    fasttext: FastTextConfig = Field(
        default=FastTextConfig(),
        description="fastText on the catalogue's text: unseen words have vectors too.",
    )
    glove: GloveConfig = Field(
        default=GloveConfig(), description="Word vectors from a file, or GloVe on the catalogue's text."
    )
    lstm: LstmConfig = Field(
        default=LstmConfig(), description="An LSTM on the catalogue's text (extra 'deep' for the fit)."
    )
    sif: SifConfig = Field(
        default=SifConfig(), description="Word vectors to a text's: word2vec, fasttext and glove."
    )


OTHER_KINDS = frozenset({"word2vec", "fasttext", "glove", "lstm", "sif"})
"""Tables of a configuration that say nothing of a language model."""


class SentenceEncoder:
    """Sentence vectors of a pretrained language model.

    MiniLM: Wang and others, 2020, MiniLM: deep self-attention distillation; sentence vectors by pooling:
    Reimers and Gurevych, 2019, Sentence-BERT. Weights are found or fetched, and loaded, when they are first
    needed. Empty texts give zero rows. Safe to call from many threads.

    Parameters
    ----------
    config : SentenceConfig, optional
        Which model, and how it runs.
    folder : Path, optional
        A folder written by :meth:`bundle`, used instead of ``config.model``.
    """

    def __init__(self, config: SentenceConfig | None = None, folder: Path | None = None) -> None:
        self.config = config or SentenceConfig()
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._expected: str | None = None
        self._stored: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The encoder's kind."""
        return "sentence"

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._parts(RunOptions()).facts.dim

    @property
    def backend(self) -> Backend:
        """What runs the model here."""
        return self._parts(RunOptions()).backend

    @property
    def megabytes(self) -> float:
        """Size of the weights that are run here."""
        parts = self._parts(RunOptions())
        wanted = {"ctranslate2": (".bin",), "torch": (".safetensors", ".bin")}[parts.backend]
        return sum(p.stat().st_size for p in parts.folder.rglob("*") if p.suffix in wanted) / 1e6

    @property
    def content_hash(self) -> str:
        """SHA-256 over weights, tokenizer, and pooling."""
        return self._parts(RunOptions()).facts.content_hash

    @property
    def fingerprint(self) -> str:
        """Name, content hash, backend, precision, and length: equal fingerprints, equal vectors.

        That of a stored encoder is known before its weights are loaded, and checked when they are.
        """
        if self._loaded is None and self._stored is not None:
            return str(self._stored["fingerprint"])
        return self._fingerprint(self._parts(RunOptions()))

    @property
    def tuning(self) -> dict[str, Any] | None:
        """What FuseRec wrote into the model's folder when it tuned it; None for any other model."""
        return read_tuning(self.config.model)

    def load(self, run: RunOptions) -> Self:
        """Find or fetch, convert, and load the model now instead of at first use.

        Raises
        ------
        WeightsError
            The weights cannot be found.
        MissingExtraError
            What runs this model is not installed.
        ConfigError
            The model cannot run as configured.
        ModelFormatError
            The weights differ from those the saved encoder was made with.
        """
        self._parts(run)
        return self

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return one vector a text.

        Parameters
        ----------
        texts : sequence of str
            Any lengths and languages; what is beyond ``max_length`` tokens is not read.
        run : RunOptions
            Threads, progress, cancellation.

        Returns
        -------
        float32 (len(texts), dim)
            Unit rows (with ``normalize``); a zero row for a text that is empty or white space.
        """
        if isinstance(texts, str):
            raise RequestError("texts must be a list of texts, got one text: pass [text]")
        parts = self._parts(run)
        kept = [i for i, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), parts.facts.dim), dtype=np.float32)
        if kept:
            prompt = self._prompt(parts)
            encoded = parts.engine.encode([prompt + texts[i] for i in kept], run)
            vectors[kept] = unit_rows(encoded) if self.config.normalize else encoded
        return vectors

    def bundle(self, destination: Path, run: RunOptions) -> None:
        """Copy the model, ready to run, to a new folder that ``SentenceEncoder(folder=destination)`` reads.

        Raises
        ------
        ConfigError
            The folder exists, or the model is not one that ctranslate2 runs.
        """
        parts = self._parts(run)
        if destination.exists():
            raise ConfigError(f"{destination} exists: name a new folder for the encoder")
        if parts.backend != "ctranslate2":
            raise ConfigError(
                f"the encoder {self.config.model!r} runs on {parts.backend} and cannot be bundled"
            )
        with published(destination) as staging:
            shutil.copytree(parts.folder, staging, dirs_exist_ok=True)

    def state(self) -> State:
        """Return no arrays, and configuration and fingerprint as JSON: weights are named, not copied."""
        if self._loaded is None and self._stored is not None:
            return {}, dict(self._stored)
        return {}, {
            "config": self.config.model_dump(mode="json", exclude=set(OTHER_KINDS)),
            "fingerprint": self.fingerprint,
            "dim": self.dim,
        }

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the encoder from :meth:`state`; the fingerprint is checked when weights are loaded.

        Raises
        ------
        ModelFormatError
            The description is damaged.
        """
        try:
            encoder = cls(SentenceConfig.model_validate(info["config"]), folder)
            encoder._expected = str(info["fingerprint"])
            encoder._stored = {key: info[key] for key in ("config", "fingerprint", "dim")}
        except (KeyError, ValueError) as fault:
            raise ModelFormatError(
                f"the sentence encoder of this model is damaged ({one_line(fault)}): fit it again"
            ) from fault
        return encoder

    def _parts(self, run: RunOptions) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                loaded = _open(self.config, self._folder, run)
                here = self._fingerprint(loaded)
                if self._expected not in (None, here):
                    raise ModelFormatError(
                        f"the saved vectors were made by {self._expected}, but here the encoder is {here}: "
                        "install the same weights and extras, or fit the model again"
                    )
                self._loaded = loaded
            return self._loaded

    def _prompt(self, parts: _Loaded) -> str:
        return parts.facts.prompt if self.config.prompt is None else self.config.prompt

    def _fingerprint(self, parts: _Loaded) -> str:
        precision = self.config.compute_type if parts.backend == "ctranslate2" else "float32"
        words = [self.name, parts.facts.content_hash[:32], parts.backend, precision, str(parts.max_length)]
        if not self.config.normalize:
            words.append("raw")
        prompt = self._prompt(parts)
        if prompt:
            words.append("prompt-" + hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest())
        return ":".join(words)


class _Loaded:
    """A model in memory, and where it came from."""

    def __init__(
        self, engine: Engine, backend: Backend, facts: FolderFacts, max_length: int, folder: Path
    ) -> None:
        self.engine = engine
        self.backend = backend
        self.facts = facts
        self.max_length = max_length
        self.folder = folder


def _open(config: SentenceConfig, bundled: Path | None, run: RunOptions) -> _Loaded:
    folder = bundled or located(config.model, config.revision, run)
    if _choose_backend(config, folder) == "torch":
        return _open_torch(config, folder, run)
    quantization = "float32" if config.compute_type == "float32" else "int8"
    native, facts = _native_folder(folder, quantization)
    limit = facts.max_length if config.max_length is None else min(config.max_length, facts.max_positions)
    engine = CTranslate2Engine(native, facts, config.compute_type, limit, config.batch_tokens)
    return _Loaded(engine, "ctranslate2", facts, limit, native)


def _open_torch(config: SentenceConfig, folder: Path, run: RunOptions) -> _Loaded:
    engine = TorchEngine(folder, config.max_length, run.device)
    facts = convert.read_foreign_facts(folder, engine.dim, engine.max_length)
    return _Loaded(engine, "torch", facts, engine.max_length, folder)


def located(model: str, revision: str | None, run: RunOptions) -> Path:
    """Return the folder of a model: the default one, one on disk, or one from the hub.

    Raises
    ------
    WeightsError
        Where there is no such folder, or it cannot be fetched.
    """
    if not model.strip():
        raise WeightsError(
            "the language model has no name: name 'minilm', a sentence-transformers folder, or one on the hub"
        )
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if model in minilm.NAMES and revision in (None, minilm.REVISION):
        return minilm.install(run)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise WeightsError(
            f"there is no folder {model}: allowed is 'minilm', a sentence-transformers folder, "
            "or the name of one on the hub"
        )
    if ":" in model:
        raise WeightsError(
            f"there is no model {model!r}: a precision after : is for `fuserec models compare`; name "
            f"{model.partition(':')[0]!r}, and for answers set compute_type in [features.sentence]"
        )
    return hub.snapshot(model, revision)


def _choose_backend(config: SentenceConfig, folder: Path) -> Backend:
    """Return what runs a folder, or say what would have to be installed."""
    reason = None if convert.read_manifest(folder) else convert.why_not_native(folder)
    has_native = all(importlib.util.find_spec(part) is not None for part in ("ctranslate2", "tokenizers"))
    has_torch = importlib.util.find_spec("sentence_transformers") is not None
    if config.backend == "torch" or (config.backend == "auto" and has_torch and (reason or not has_native)):
        return "torch"
    if reason and config.backend == "ctranslate2":
        raise ConfigError(f"backend 'ctranslate2' cannot run {folder}: {reason}; allowed is backend 'torch'")
    if reason:
        raise MissingExtraError(f"the encoder {config.model!r} ({reason})", "deep")
    if not has_native:
        raise MissingExtraError("the sentence encoder", "text")
    return "ctranslate2"


def _native_folder(folder: Path, quantization: str) -> tuple[Path, FolderFacts]:
    """Return the converted form of a folder, converting it once into the cache."""
    own = convert.read_manifest(folder)
    if own is not None:
        if own[1] != quantization:
            raise ConfigError(f"{folder} holds {own[1]} weights; allowed is a compute_type of that precision")
        return folder, own[0]
    facts = convert.read_facts_kept(folder) or convert.read_facts(folder)
    name = Path("encoders") / f"converted-{facts.content_hash[:24]}-{quantization}"
    for root in reading_roots():
        if convert.read_manifest(root / name) is not None:
            return root / name, facts
    try:
        final = cache_root() / name
        if final.exists():
            shutil.rmtree(final)  # without a manifest: what an older release, or a damaged disk, left
        with published(final) as staging:
            convert.convert(folder, staging, quantization, facts)
    except OSError as fault:
        raise WeightsError(f"the encoder could not be converted into the cache: {fault}") from fault
    return final, facts
