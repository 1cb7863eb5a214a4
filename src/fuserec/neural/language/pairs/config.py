"""Hyperparameters of the language model as a scorer of pairs; read without PyTorch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fuserec.errors import nearest
from fuserec.neural.language.augmentation_config import AugmentationConfig
from fuserec.neural.language.few import FEWEST_LABELS
from fuserec.neural.language.heads import known_heads
from fuserec.neural.language.tuning_config import TuningConfig
from fuserec.settings import Settings

Form = Literal["cross", "bi", "pair"]


class SelfTrainingConfig(Settings):
    """What a model of pairs learns from pairs that it is sure of itself."""

    rounds: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Successors, at most, each trained anew; the first that does not gain on held-out events ends it. "
        "0: none.",
    )
    pairs: int = Field(
        default=5000, ge=1, le=10_000_000, description="Unlabelled pairs that are judged a round."
    )
    positive: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="Calibrated probability from which a pair is taught as a match.",
    )
    negative: float = Field(
        default=0.02, gt=0, lt=0.5, description="Calibrated probability up to which it is taught as none."
    )
    weight: float = Field(default=0.5, gt=0, le=10, description="Their mean loss counts so much.")


class LanguagePairConfig(Settings):
    """Hyperparameters of r_ui = M(d_u, d_i)."""

    form: Form = Field(
        default="bi",
        description="cross: one joint encoding of both texts. bi: two encodings and their similarity. pair: a small "
        "network over both encodings and their product.",
    )
    model: str = Field(
        default="minilm",
        min_length=1,
        description="'minilm', a folder in the layout of transformers or sentence-transformers, or a name on the model "
        "hub: BERT-, GPT- or T5-like.",
        json_schema_extra={"tune": False},
    )
    revision: str | None = Field(
        default=None,
        description="Revision on the model hub; left out: the latest.",
        json_schema_extra={"tune": False},
    )
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        default="auto", description="How tokens become one vector; auto: what suits the model."
    )
    tuning: TuningConfig = Field(
        default=TuningConfig(),
        description="What of the language model is trained (method, and what belongs to it).",
        json_schema_extra={"tune": False},
    )
    heads: dict[str, float] = Field(
        default={"match": 1.0},
        min_length=1,
        description="What the encoder is taught, each with the weight of its loss: match, rating, click, topic, "
        "sentiment.",
        json_schema_extra={"tune": False},
    )
    user: Literal["either", "both", "history"] = Field(
        default="either",
        description="Who asks, as text. either: the words of the query (request, profile, searches), else the titles "
        "of the history, the newest first. both: words, then titles. history: titles alone.",
    )
    user_length: int = Field(
        default=96,
        ge=4,
        le=8192,
        description="Tokens of who asks, at most.",
        json_schema_extra={"tune": False},
    )
    item_length: int = Field(
        default=48,
        ge=4,
        le=8192,
        description="Tokens of an item, at most.",
        json_schema_extra={"tune": False},
    )
    loss: Literal["bce", "softmax"] = Field(
        default="bce",
        description="bce: each pair for itself, on its logit. softmax (bi only): the right item among those of the "
        "batch, logQ-corrected.",
    )
    similarity: Literal["cosine", "dot"] = Field(default="cosine", description="bi: of the two vectors.")
    temperature: float = Field(default=0.05, gt=0, le=100, description="bi: similarities are divided by it.")
    head_dim: int = Field(default=128, ge=0, le=8192, description="Hidden units of a head; 0: linear.")
    negatives: int = Field(default=4, ge=1, le=1000, description="bce: items drawn for each that was taken.")
    negative_popularity: float = Field(
        default=0.5, ge=0, le=1, description="They are drawn in proportion to count^this; 0: uniformly."
    )
    negatives_near: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of them that is drawn from what people with an item in common took: as hard as the items "
        "that a last stage reads.",
    )
    rating_ids: bool = Field(
        default=True,
        description="Head rating: the text adds to mean, item and user biases. Off: to the mean alone.",
    )
    candidates: int = Field(
        default=100,
        ge=0,
        description="cross: items that are read with each query, those nearest to it by the vectors of items; the rest "
        "follows below them. 0: every item that is asked for (small catalogues; the last stage of a fusion).",
        json_schema_extra={"tune": False},
    )
    examples: int = Field(
        default=20_000,
        ge=0,
        description="Events that an epoch sees, drawn anew; 0: all.",
        json_schema_extra={"tune": False},
    )
    epochs: int = Field(default=2, ge=1, le=100_000, description="Passes.")
    learning_rate: float = Field(
        default=5e-5,
        gt=0,
        le=10,
        description="Its peak, for the language model; it warms up and then falls as a cosine.",
    )
    head_rate: float = Field(
        default=20.0, gt=0, le=1e5, description="Heads begin from nothing: they learn so many times faster."
    )
    regularization: float = Field(default=0.01, ge=0, description="Decay of weights (AdamW).")
    adversarial: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="The loss is also taken where the word vectors of each text are moved so as to raise it, by this "
        "share of their length (0.01 to 0.1); 0: not. A step makes two passes forward and two back.",
    )
    augmentation: AugmentationConfig = Field(
        default=AugmentationConfig(),
        description="Other forms of the training texts; off by default.",
        json_schema_extra={"tune": False},
    )
    batch_size: int = Field(default=32, ge=2, le=65_536, description="Events of a batch.")
    batch_tokens: int = Field(
        default=4096,
        ge=64,
        le=2**31 - 1,
        description="Tokens that are run through the model at once, padding included.",
        json_schema_extra={"tune": False},
    )
    patience: int = Field(
        default=0, ge=0, description="Epochs without gain on held-out events before training stops; 0: never."
    )
    held_out: int = Field(
        default=500,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training: to know when to stop, and "
        "which logit parts yes from no.",
    )
    labels: int | None = Field(
        default=None,
        ge=0,
        description="Labelled events that are learnt from, at most, a fifth of them (from 20 on) held out instead of "
        "held_out; 0 (bi): the pretrained model as it is. Left out: all.",
        json_schema_extra={"tune": False},
    )
    self_training: SelfTrainingConfig = Field(
        default=SelfTrainingConfig(),
        description="Pairs that the model is sure of, taught to its successor; off by default.",
        json_schema_extra={"tune": False},
    )
    compute_type: Literal["int8_float32", "int8", "float32"] = Field(
        default="int8_float32",
        description="Precision in which a BERT-like model answers, on CTranslate2; others answer by PyTorch.",
        json_schema_extra={"tune": False},
    )

    @field_validator("heads")
    @classmethod
    def _known_heads(cls, heads: dict[str, float]) -> dict[str, float]:
        known = known_heads()
        for name, weight in heads.items():
            if name not in known:
                raise ValueError(f"unknown head {name!r}{nearest(name, known)} (known: {', '.join(known)})")
            if not weight > 0:
                raise ValueError(f"the weight of head {name!r} has to be above 0: leave it out instead")
        return heads

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.loss == "softmax" and self.form != "bi":
            raise ValueError(
                f"loss = 'softmax' is for form = 'bi' only: choose loss = 'bce' for {self.form!r}"
            )
        if self.adversarial and self.tuning.method == "frozen":
            raise ValueError(
                "adversarial = 0 is all that tuning.method = 'frozen' allows: nothing would learn from it"
            )
        self._taught_by_something()
        if set(self.heads) == {"topic"}:
            raise ValueError("heads: 'topic' says nothing of an item, name one more that does, e.g. match")
        return self

    def _taught_by_something(self) -> None:
        """Refuse what has too few labels for what is asked."""
        if self.labels == 0 and (self.form != "bi" or set(self.heads) != {"match"}):
            raise ValueError(
                "labels = 0 is for form = 'bi' with the head match: any other head begins from nothing"
            )
        if not self.self_training.rounds:
            return
        if self.loss != "bce" or "match" not in self.heads:
            raise ValueError("self_training needs loss = 'bce' and the head match: it teaches yes and no")
        if self.held_out == 0 if self.labels is None else self.labels < FEWEST_LABELS:
            raise ValueError(
                f"self_training needs held-out events to know what is sure: held_out above 0, or {FEWEST_LABELS} labels"
            )

    @property
    def main(self) -> str:
        """The head that ranks: match where there is one, else the first that sees the item."""
        return "match" if "match" in self.heads else next(name for name in self.heads if name != "topic")
