"""How training texts are varied; read without PyTorch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fuserec.llm.config import LLMConfig
from fuserec.settings import Settings

WRITTEN = ("paraphrase", "back_translation")
"""Kinds for which a language model is asked."""


class AugmentationConfig(Settings):
    """Other forms of the training texts, so that little data does not hang on single words."""

    kind: Literal["none", "word_dropout", "span_deletion", "paraphrase", "back_translation"] = Field(
        default="none",
        description="word_dropout, span_deletion: words left out anew each time a text is read; need nothing else. "
        "paraphrase, back_translation: the configured language model rewrites texts once, before training.",
    )
    share: float = Field(
        default=0.15, gt=0, lt=1, description="word_dropout, span_deletion: share of a text's words."
    )
    copies: int = Field(
        default=1, ge=1, le=16, description="paraphrase, back_translation: other forms of a text."
    )
    max_items: int = Field(
        default=1000,
        ge=1,
        description="paraphrase, back_translation: texts of items that are rewritten, at most, those with most "
        "training events first; and as many of what people say.",
    )
    replaced: float = Field(
        default=0.5, gt=0, le=1, description="How often a text is read in another form, in training."
    )
    language: str = Field(
        default="English",
        min_length=1,
        max_length=40,
        pattern=r"^[\w ()-]+$",
        description="back_translation: what the texts are written in.",
    )
    through: tuple[str, ...] = Field(
        default=("German", "French", "Spanish"),
        min_length=1,
        description="back_translation: the language of the first copy, of the second, and so on, round and round.",
    )
    min_similarity: float = Field(
        default=0.6,
        ge=-1,
        lt=1,
        description="paraphrase, back_translation: cosine to the text, by the encoder, under which a copy has drifted "
        "from it and is left out.",
    )
    llm: LLMConfig = Field(
        default=LLMConfig(), description="The language model that rewrites, and its budget."
    )

    @model_validator(mode="after")
    def _somebody_writes(self) -> Self:
        if self.kind in WRITTEN and self.llm.model is None:
            raise ValueError(
                f"kind = {self.kind!r} needs a language model: name it in the table llm, key model"
            )
        return self
