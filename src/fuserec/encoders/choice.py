"""Which encoder stands behind the sentence vectors: a language model, word vectors, or an LSTM."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from fuserec.encoders.base import Vectors, WeightsError
from fuserec.encoders.lexical import LexicalConfig
from fuserec.encoders.lstm import LstmEncoder
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder
from fuserec.encoders.word_files import read_words
from fuserec.encoders.word_training import train_glove, train_words
from fuserec.encoders.word_vectors import WordVectorEncoder
from fuserec.encoders.words import Words
from fuserec.errors import ConfigError, MissingExtraError, ModelFormatError
from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

OwnEncoder = WordVectorEncoder | LstmEncoder
"""What is made for one catalogue and stored in its model; a language model stays outside and is named."""

TextEncoder = SentenceEncoder | OwnEncoder


def text_encoder(
    config: SentenceConfig,
    words: LexicalConfig,
    texts: Sequence[str],
    run: RunOptions,
    at_hand: TextEncoder | None = None,
    *,
    required: bool = False,
) -> TextEncoder | None:
    """Return what reads a catalogue as configured: found, loaded, or trained on its texts.

    Parameters
    ----------
    config : SentenceConfig
    words : LexicalConfig
        How scripts without spaces are cut.
    texts : sequence of str
        Of all items.
    run : RunOptions
    at_hand : TextEncoder, optional
        Taken where it is what would be made: any language model, and of the others one that was made from the same
        texts, configuration and seed.
    required : bool
        Whether a language model that is not there is an error; else None, with a notice.

    Raises
    ------
    MissingExtraError, WeightsError
        Where the language model is not there and ``required``.
    ConfigError, DataError
        Where word vectors cannot be read or trained; an LSTM is trained elsewhere (:mod:`fuserec.features`).
    """
    if config.kind == "language_model":
        return at_hand if isinstance(at_hand, SentenceEncoder) else _loaded(config, run, required)
    if not any(texts):
        return None
    made_from = key_of(config, words, texts, run)
    if isinstance(at_hand, OwnEncoder) and at_hand.made_from == made_from:
        return at_hand
    if config.kind == "lstm":
        raise ConfigError(
            "the encoder lstm has to be trained first: fit a Recommender, or call fuserec.features.item_features"
        )
    found, table = _vectors(config, texts, words.ngrams, run)
    encoder = WordVectorEncoder.over(config.kind, found, table, texts, config.sif, run, made_from)
    _tell(encoder.facts)
    return encoder


def restored(arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> TextEncoder:
    """Build the encoder of a saved model; one without a kind is a language model, as all of older releases are."""
    kind = info.get("kind", "language_model")
    kinds: dict[str, type[TextEncoder]] = {"language_model": SentenceEncoder, "lstm": LstmEncoder}
    kinds |= dict.fromkeys(("word2vec", "fasttext", "glove"), WordVectorEncoder)
    if kind not in kinds:
        raise ModelFormatError(
            f"the encoder of this model is a {str(kind)[:40]!r}: update FuseRec, or fit it again"
        )
    return kinds[kind].from_state(arrays, info)


def key_of(config: SentenceConfig, words: LexicalConfig, texts: Sequence[str], run: RunOptions) -> str:
    """Return a digest of all that an encoder of one's own is made from."""
    digest = hashlib.blake2b(digest_size=16)
    settings = [
        config.kind,
        getattr(config, config.kind).model_dump(mode="json"),
        config.sif.model_dump(mode="json"),
    ]
    digest.update(json.dumps([settings, words.ngrams, run.seed]).encode())
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()


def _loaded(config: SentenceConfig, run: RunOptions, required: bool) -> SentenceEncoder | None:
    """Return the language model, or None (with a notice) where it is not there and may be missing."""
    try:
        return SentenceEncoder(config).load(run)
    except (MissingExtraError, WeightsError) as error:
        if required:
            raise
        log.warning("no language model reads the text, words alone do: %s", error)
        return None


def _vectors(
    config: SentenceConfig, texts: Sequence[str], runs: tuple[int, int], run: RunOptions
) -> tuple[Words, Vectors]:
    """Return words and their vectors, read or trained."""
    if config.kind == "glove" and config.glove.path is not None:
        return read_words(config.glove, config.glove.path, texts, runs, run)
    if config.kind == "glove":
        return train_glove(texts, config.glove, runs, run)
    return train_words(texts, config.fasttext if config.kind == "fasttext" else config.word2vec, runs, run)


def _tell(facts: Mapping[str, Any]) -> None:
    """Say how much of the text the vectors know."""
    log.info(
        "%s: vectors of %s words; %s words of the catalogue have none (%.1f %% of its text)",
        facts["kind"],
        f"{facts['words']:,}",
        f"{facts['unknown_words']:,}",
        100.0 * facts["unknown_share"],
    )
    if facts["texts_without"]:
        log.warning(
            "%s: %s items hold no word that has a vector: they speak through their words alone",
            facts["kind"],
            f"{facts['texts_without']:,}",
        )
