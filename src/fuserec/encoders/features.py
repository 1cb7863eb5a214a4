"""ItemFeatures: what all items are, as vectors; computed once and handed to every scorer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field
from scipy import sparse

from fuserec.data.query import TextVectors
from fuserec.encoders.augment import AugmentConfig, Variation, Varied
from fuserec.encoders.base import Vectors, WeightsError
from fuserec.encoders.cache import CacheConfig, CachedEncoder
from fuserec.encoders.choice import TextEncoder, restored, text_encoder
from fuserec.encoders.codes import CodesConfig, SemanticIds, codebook_size
from fuserec.encoders.lexical import LexicalConfig, LexicalEncoder
from fuserec.encoders.recent import RecentVectors
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder
from fuserec.encoders.text import TextConfig, item_text
from fuserec.encoders.whitening import Whitening, WhiteningConfig
from fuserec.errors import MissingExtraError
from fuserec.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")

TAG_COLUMNS = ("categories", "tags", "brand")


class FeatureConfig(Settings):
    """What of an item is read, and by what."""

    text: TextConfig = Field(default=TextConfig(), description="Which columns of an item are read.")
    lexical: LexicalConfig = Field(default=LexicalConfig(), description="TF-IDF over words and n-grams.")
    sentence: SentenceConfig = Field(
        default=SentenceConfig(),
        description="What reads the meaning of texts: a language model, or another kind of encoder.",
    )
    whitening: WhiteningConfig = Field(
        default=WhiteningConfig(), description="How sentence vectors are spread out."
    )
    cache: CacheConfig = Field(default=CacheConfig(), description="Vectors kept on disk between runs.")
    augment: AugmentConfig = Field(
        default=AugmentConfig(), description="Variants of the text of rare items; off by default."
    )
    codes: CodesConfig = Field(
        default=CodesConfig(), description="Semantic ids whose prefixes become tags; off by default."
    )
    use_sentence: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="auto: the language model reads the text where it is installed, else words alone do. An encoder "
        "of another kind reads it unless never.",
    )


@dataclass(frozen=True)
class ItemFeatures:
    """Content of ``n_items`` items.

    Parameters
    ----------
    lexical : CSR float32 (n_items, n_terms)
        TF-IDF rows of unit length; a zero row has no text.
    sentence : float32 (n_items, dim) or None
        Whitened vectors of unit length of a language model or another encoder; None without one.
    tags : CSR float32 (n_items, n_tags)
        1 where an item carries a tag (categories, tags, brand, and prefixes of its semantic id where these are on).
    tag_names : tuple of str
    has_text : bool (n_items,)
    config, lexical_encoder, sentence_encoder, whitening
        What made the vectors: it reads the words of queries and of later items the same way.
    variation : Variation or None
        What the texts of rare items are varied by; None where they are not.
    codes : SemanticIds or None
        Whose prefixes are among the tags; None where they are not.
    recent : RecentVectors
        What queries said lately, so that the same words are not read again; in memory only.
    """

    lexical: sparse.csr_matrix
    sentence: np.ndarray | None
    tags: sparse.csr_matrix
    tag_names: tuple[str, ...]
    has_text: np.ndarray
    config: FeatureConfig
    lexical_encoder: LexicalEncoder
    sentence_encoder: TextEncoder | None
    whitening: Whitening | None
    variation: Variation | None = None
    codes: SemanticIds | None = None
    recent: RecentVectors = field(default_factory=RecentVectors, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        dataset: Dataset,
        config: FeatureConfig,
        run: RunOptions,
        encoder: TextEncoder | None = None,
    ) -> ItemFeatures:
        """Read all items of a dataset.

        Parameters
        ----------
        dataset, config, run
        encoder : TextEncoder, optional
            One that is at hand and is used instead of loading what the configuration names: a model that came
            with its own encoder reads on with it. One that was trained on other texts is trained anew.

        Raises
        ------
        MissingExtraError, WeightsError
            Where ``use_sentence = "always"`` and the language model is not there.
        ConfigError, DataError
            Where an encoder of another kind cannot be made; see :func:`~fuserec.encoders.choice.text_encoder`.
        """
        texts = item_text(dataset.item_table, config.text)
        lexical_encoder = LexicalEncoder.fit(texts, run, config.lexical)
        tags, tag_names = tags_of(dataset.item_table)
        encoder = encoder if config.use_sentence == "never" else _reader(config, texts, run, encoder)
        sentence, whitening = None, None
        if encoder is not None and any(texts):
            raw = _encoded(encoder, texts, config, run)
            whitening = Whitening.fit(raw, config.whitening)
            sentence = whitening.apply(raw)
        lexical, variation = sparse.csr_matrix(lexical_encoder.encode(texts, run)), None
        if config.augment.variants and any(texts):
            variation = Variation.fit(lexical, lexical_encoder.terms, config.augment, run)
        features = cls(
            lexical,
            sentence,
            tags,
            tag_names,
            np.array([bool(t) for t in texts], dtype=bool),
            config,
            lexical_encoder,
            encoder if whitening is not None else None,
            whitening,
            variation,
        )
        return features._varied(texts, dataset, run)._with_codes(run)

    def _with_codes(self, run: RunOptions) -> ItemFeatures:
        """Return the features with prefixes of semantic ids among the tags, where these are asked for."""
        wanted = self.config.codes
        if not wanted.levels:
            return self
        codes = self.codes
        if codes is None:
            size = codebook_size(self.n_items, wanted.codebook_size)
            codes = SemanticIds.fit(self.lexical, self.sentence, wanted.levels, size, run.rng("codes"))
        codes = codes.extended(self.lexical, self.sentence)
        tags, names = codes.prefixes()
        joined = sparse.csr_matrix(sparse.hstack([self.tags, tags], format="csr"), dtype=np.float32)
        return replace(self, tags=joined, tag_names=(*self.tag_names, *names), codes=codes)

    def _varied(self, texts: Sequence[str], dataset: Dataset, run: RunOptions) -> ItemFeatures:
        """Return the features in which the vectors of rare items are means over variants of their texts."""
        if self.variation is None:
            return self
        varied = Varied.of(texts, dataset.item_counts, dataset.items.hashes, self.variation)
        lexical, sentence = varied.words(self.lexical, self.lexical_encoder, run), self.sentence
        if sentence is not None and self.sentence_encoder is not None and self.whitening is not None:
            raw = _encoded(self.sentence_encoder, varied.texts, self.config, run)
            sentence = varied.sentences(sentence, self.whitening.apply(raw))
        return replace(self, lexical=lexical, sentence=sentence)

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be known of an encoder that was made for this catalogue: its words, and what it cannot read."""
        encoder = self.sentence_encoder
        return (
            {}
            if encoder is None or isinstance(encoder, SentenceEncoder)
            else {"encoder_facts": encoder.facts}
        )

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return self.has_text.size

    def read(self, texts: Sequence[str], run: RunOptions) -> TextVectors:
        """Return the vectors of query texts, made as the items' were.

        Where a model has moved to a machine without its language model, words alone are read, with a notice.
        """
        sentence = None
        if self.sentence_encoder is not None and self.whitening is not None:
            try:
                sentence = self.whitening.apply(self.recent.encode(self.sentence_encoder, texts, run))
            except (MissingExtraError, WeightsError) as error:
                log.warning("the words of this query are read without the language model: %s", error)
        lexical = sparse.csr_matrix(self.lexical_encoder.encode(list(texts), run))
        return TextVectors(lexical, sentence, np.array([bool(t.strip()) for t in texts], dtype=bool))

    def extended(self, dataset: Dataset, run: RunOptions) -> ItemFeatures:
        """Return the features of a dataset that grew: vocabulary and whitening stay, every row is read anew.

        The vectors of unchanged texts come from the cache, so only what is new costs time.
        """
        texts = item_text(dataset.item_table, self.config.text)
        tags, tag_names = tags_of(dataset.item_table)
        sentence = None
        if self.sentence_encoder is not None and self.whitening is not None:
            raw = _encoded(self.sentence_encoder, texts, self.config, run)
            sentence = self.whitening.apply(raw)
        grown = replace(
            self,
            lexical=sparse.csr_matrix(self.lexical_encoder.encode(texts, run)),
            sentence=sentence,
            tags=tags,
            tag_names=tag_names,
            has_text=np.array([bool(t) for t in texts], dtype=bool),
        )
        return grown._varied(texts, dataset, run)._with_codes(run)

    def state(self) -> State:
        """Return arrays and JSON; the weights of a language model stay outside, any other encoder is in it."""
        lexical, lexical_info = self.lexical_encoder.state()
        arrays: Arrays = {f"lexical_encoder.{key}": value for key, value in lexical.items()}
        meta: Meta = {
            "config": self.config.model_dump(mode="json"),
            "lexical": lexical_info,
            "tags": self.tag_names,
        }
        for name in ("lexical", "tags"):
            matrix = getattr(self, name)
            arrays |= {
                f"{name}.values": matrix.data,
                f"{name}.indices": matrix.indices,
                f"{name}.indptr": matrix.indptr,
            }
        arrays["has_text"] = self.has_text
        if self.sentence is not None and self.sentence_encoder is not None and self.whitening is not None:
            arrays["sentence"] = self.sentence
            white, meta["whitening"] = self.whitening.state()
            arrays |= {f"whitening.{key}": value for key, value in white.items()}
            own, meta["sentence"] = self.sentence_encoder.state()
            arrays |= {f"sentence_encoder.{key}": value for key, value in own.items()}
        if self.variation is not None:
            meta["variation"] = self.variation.state()
        if self.codes is not None:
            coded, meta["codes"] = self.codes.state()
            arrays |= {f"codes.{key}": value for key, value in coded.items()}
        return arrays, meta

    @classmethod
    def from_state(cls, arrays: Arrays, meta: Meta) -> ItemFeatures:
        """Rebuild from :meth:`state`; a language model is loaded when it first reads something."""
        lexical_encoder = LexicalEncoder.from_state(_part(arrays, "lexical_encoder."), meta["lexical"])
        n_items = arrays["has_text"].size
        whitening, encoder = None, None
        if "sentence" in arrays:
            whitening = Whitening.from_state(_part(arrays, "whitening."), meta["whitening"])
            encoder = restored(_part(arrays, "sentence_encoder."), meta["sentence"])
        config = FeatureConfig.parse(meta["config"], "model.json [features]")
        variation = Variation.from_state(config.augment, meta["variation"]) if "variation" in meta else None
        codes = SemanticIds.from_state(_part(arrays, "codes."), meta["codes"]) if "codes" in meta else None
        return cls(
            _csr(arrays, "lexical", (n_items, lexical_encoder.dim)),
            arrays.get("sentence"),
            _csr(arrays, "tags", (n_items, len(meta["tags"]))),
            tuple(meta["tags"]),
            arrays["has_text"].astype(bool),
            config,
            lexical_encoder,
            encoder,
            whitening,
            variation,
            codes,
        )


def _reader(
    config: FeatureConfig, texts: Sequence[str], run: RunOptions, at_hand: TextEncoder | None
) -> TextEncoder | None:
    """Return what reads the texts, or None (with a notice) where it is a language model and may be missing."""
    required = config.use_sentence == "always"
    return text_encoder(config.sentence, config.lexical, texts, run, at_hand, required=required)


def _encoded(encoder: TextEncoder, texts: Sequence[str], config: FeatureConfig, run: RunOptions) -> Vectors:
    """Return the vectors of items' texts; those of a language model are kept on disk.

    Others read a text about as fast as a disk does, and belong to one catalogue alone.
    """
    if isinstance(encoder, SentenceEncoder):
        return CachedEncoder(encoder, config.cache).encode(texts, run)
    return encoder.encode(texts, run)


def tags_of(table: pl.DataFrame) -> tuple[sparse.csr_matrix, tuple[str, ...]]:
    """Return CSR (n_items, n_tags) of the tag columns, and the names (folded to lower case)."""
    parts = []
    for column in (c for c in TAG_COLUMNS if c in table.columns):
        values = table[column]
        as_list = (
            values
            if isinstance(values.dtype, pl.List)
            else values.cast(pl.String).reshape((-1, 1)).arr.to_list()
        )
        rows = pl.DataFrame(
            {"item": pl.int_range(table.height, eager=True), "tag": as_list.cast(pl.List(pl.String))}
        )
        parts.append(rows.explode("tag"))
    if not parts:
        return sparse.csr_matrix(np.empty((table.height, 0), np.float32)), ()
    pairs = pl.concat(parts).with_columns(pl.col("tag").str.strip_chars().str.to_lowercase())
    pairs = pairs.filter(pl.col("tag").is_not_null() & (pl.col("tag") != "")).unique(maintain_order=True)
    names = pairs["tag"].unique(maintain_order=True)
    position = dict(zip(names.to_list(), range(names.len()), strict=True))
    columns = np.fromiter((position[t] for t in pairs["tag"]), dtype=np.int32, count=pairs.height)
    ones = np.ones(pairs.height, dtype=np.float32)
    matrix = sparse.csr_matrix(
        (ones, (pairs["item"].to_numpy(), columns)), shape=(table.height, len(position))
    )
    return matrix, tuple(position)


def _part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays of one prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _csr(arrays: Arrays, name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Rebuild a sparse matrix from its three arrays."""
    parts = (arrays[f"{name}.values"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
    return sparse.csr_matrix(parts, shape=shape)
