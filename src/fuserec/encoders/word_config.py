"""Hyperparameters of the encoders that are made of word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fuserec.settings import Settings


def _ordered(sizes: tuple[int, int]) -> tuple[int, int]:
    """Refuse lengths of n-grams that are none."""
    if not 1 <= sizes[0] <= sizes[1] <= 16:
        raise ValueError(f"allowed is 1 <= shortest <= longest <= 16, got {list(sizes)}")
    return sizes


Sizes = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""Shortest and longest run of characters."""


class SifConfig(Settings):
    """How the vectors of words become one of a text."""

    a: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="A word of the frequency p has the weight a / (a + p): the smaller, the less common words say.",
    )
    components: int = Field(
        default=1, ge=0, le=16, description="Common directions that are taken out of all texts; 0: none."
    )


class Word2VecConfig(Settings):
    """Word2Vec on the catalogue's own text."""

    architecture: Literal["skipgram", "cbow"] = Field(
        default="skipgram",
        description="skipgram: a word predicts those around it; cbow: those around it predict it.",
    )
    embedding_dim: int = Field(default=128, ge=2, le=2048, description="Length of a vector.")
    window: int = Field(default=8, ge=1, le=100, description="Words to either side that count, at most.")
    negatives: int = Field(default=5, ge=1, le=100, description="Words drawn against each one that is there.")
    negative_popularity: float = Field(
        default=0.75, ge=0, le=1, description="They are drawn in proportion to count^this."
    )
    subsample: float = Field(
        default=1e-3, ge=0, le=1, description="Words more frequent than this are read less often; 0: all are."
    )
    min_count: int = Field(default=2, ge=1, description="Words that occur less often have no vector.")
    epochs: int = Field(default=20, ge=1, description="Passes over the text.")
    learning_rate: float = Field(
        default=0.05, gt=0, le=1, description="At the beginning; it falls to nothing."
    )


class FastTextConfig(Word2VecConfig):
    """fastText on the catalogue's own text: words are read by their character n-grams too."""

    char_ngrams: Sizes = Field(
        default=(3, 6), description="Shortest and longest run of characters of a word that has a vector."
    )
    max_ngrams: int = Field(
        default=100_000, ge=0, description="Only this many runs have one, those in the most words."
    )


class GloveConfig(Settings):
    """Word vectors read from a file, or GloVe on the catalogue's own text."""

    path: Path | None = Field(
        default=None,
        description="A file in GloVe's text format or Word2Vec's text or binary format, plain or packed; left out: "
        "trained on the catalogue's text, by the keys from embedding_dim on.",
    )
    format: Literal["auto", "text", "binary"] = Field(
        default="auto", description="auto: told from how the file begins."
    )
    query_words: int = Field(
        default=50_000,
        ge=0,
        le=5_000_000,
        description="Words of the file that no item holds, but that queries may use: this many of the first ones are "
        "kept too, and stored in the model.",
    )
    embedding_dim: int = Field(default=128, ge=2, le=2048, description="Length of a vector.")
    window: int = Field(
        default=8, ge=1, le=100, description="Words to either side that count, one n words away as 1/n."
    )
    x_max: float = Field(default=10.0, gt=0, description="Pairs that occur together as often weigh the same.")
    weight_power: float = Field(
        default=0.75, ge=0, le=1, description="Rarer ones weigh (count / x_max)^this."
    )
    min_count: int = Field(default=2, ge=1, description="Words that occur less often have no vector.")
    epochs: int = Field(default=25, ge=1, description="Passes over the pairs.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Of AdaGrad.")


class LstmConfig(Settings):
    """An LSTM trained on the catalogue's own text (extra 'deep'; what is fitted answers without it)."""

    objective: Literal["contrastive", "tags"] = Field(
        default="contrastive",
        description="contrastive: two views of a text find each other among others; tags: a text predicts the item's "
        "tags (categories, tags, brand), which tells kinds of items apart, and hardly the items of one kind.",
    )
    embedding_dim: int = Field(default=128, ge=2, le=1024, description="Length of a word's vector.")
    hidden_dim: int = Field(default=128, ge=2, le=1024, description="Length of the state, in each direction.")
    bidirectional: bool = Field(default=True, description="Whether texts are read from both ends.")
    pooling: Literal["mean", "max", "last"] = Field(
        default="mean", description="What is kept of the states: their mean, their maximum, or the last ones."
    )
    min_count: int = Field(default=2, ge=1, description="Words that occur less often have no vector.")
    char_ngrams: Sizes = Field(
        default=(3, 5), description="Shortest and longest run of characters of a word that has a vector."
    )
    max_ngrams: int = Field(
        default=30_000, ge=0, description="Only this many runs have one, those in the most words."
    )
    max_length: int = Field(default=64, ge=1, le=4096, description="Words of a text that are read.")
    word_epochs: int = Field(
        default=5, ge=1, description="Passes of fastText that the vectors of words begin with."
    )
    epochs: int = Field(default=10, ge=1, description="Passes over the texts.")
    batch_size: int = Field(default=128, ge=2, description="Texts of a step.")
    learning_rate: float = Field(default=0.003, gt=0, le=1, description="Its peak.")
    regularization: float = Field(
        default=0.01, ge=0, description="Decay of weights, of matrices that are no tables."
    )
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Share of a word's vector that a step hides.")
    word_dropout: float = Field(
        default=0.3, ge=0, lt=1, description="Share of the words that a view leaves out."
    )
    temperature: float = Field(
        default=0.1, gt=0, le=1, description="contrastive: similarities are divided by it."
    )
    patience: int = Field(
        default=3, ge=0, description="Epochs surely worse than the best after which training stops; 0: never."
    )
