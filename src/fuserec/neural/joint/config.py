"""Hyperparameters of joint training; read without PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings

Head = Literal["content", "deep", "feedback"]
HEADS: tuple[Head, ...] = ("content", "deep", "feedback")
"""The losses, and the parts of the model that they teach, in the order of the objective."""

Likelihood = Literal["bernoulli", "gaussian", "ordinal"]


class JointConfig(Settings):
    """Hyperparameters of joint training: L = lambda_content L_C + lambda_deep L_D + lambda_feedback L_S."""

    lambda_content: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight of L_C, binary cross-entropy of the user with the item's text features. 0 leaves it out.",
    )
    lambda_deep: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight of L_D, the deep model's negative log likelihood. 0 leaves it out.",
    )
    lambda_feedback: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight of L_S, the feedback model on logged actions. 0 leaves it out.",
    )
    weights: Literal["fixed", "learnt"] = Field(
        default="fixed",
        description="fixed: the lambdas as they are. learnt: each is multiplied by exp(-s), s learnt beside the model "
        "with a charge of s / 2 (Kendall et al. 2018) and kept within a factor of weight_limit.",
    )
    weight_limit: float = Field(
        default=10.0,
        gt=1,
        le=1000,
        description="learnt: no weight gets further from its lambda than by this factor, so that none vanishes.",
    )
    deep_loss: Literal["likelihood", "next_item"] = Field(
        default="likelihood",
        description="L_D. likelihood: -log P(r | u, x). next_item: a softmax over all items that training holds.",
    )
    likelihood: Literal["bernoulli", "gaussian", "ordinal"] = Field(
        default="bernoulli",
        description="P(r | u, x). bernoulli: taken or not. gaussian, ordinal: the rating, of rated pairs alone.",
        json_schema_extra={"tune": False},
    )
    feedback_loss: Literal["cross_entropy", "policy_gradient"] = Field(
        default="cross_entropy",
        description="L_S. cross_entropy: of q(s, j) with the reward. policy_gradient: REINFORCE with off-policy "
        "correction.",
    )
    clip: float = Field(
        default=20.0,
        ge=1,
        le=1e6,
        description="A weight 1 / propensity (policy_gradient: pi / propensity) is cut to this: less variance, some "
        "bias.",
        json_schema_extra={"tune": False},
    )
    self_normalized: bool = Field(
        default=False,
        description="Divide L_S by the sum of its weights, not by the number of actions: less variance, some bias.",
        json_schema_extra={"tune": False},
    )
    top_k: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="policy_gradient: places of the list (top-K correction). With 1 the policy earns most by always "
        "showing one thing, and the rest of its ranking says nothing.",
        json_schema_extra={"tune": False},
    )
    head: Literal["mlp", "dot"] = Field(
        default="mlp",
        description="The deep model. mlp: a hidden layer over u and one over the item's text features and id, "
        "multiplied; dot: without hidden layers.",
    )
    hidden: int = Field(default=128, ge=1, le=4096, description="Width of the hidden layers of mlp.")
    embedding_dim: int = Field(
        default=64, ge=2, le=4096, description="Numbers of u, of F(x) and of an id; whitened text dimensions."
    )
    reads: Literal["sentence", "words", "both"] = Field(
        default="both", description="Text is the language model's vectors, TF-IDF (reduced), or both."
    )
    context: Literal["earlier", "others"] = Field(
        default="earlier",
        description="u in training is made of the events before the one that is judged, or of all others.",
    )
    decay: float = Field(
        default=0.65,
        gt=0,
        le=1,
        description="In training an event this many steps away enters u decay^steps.",
    )
    recency: float = Field(
        default=0.65, gt=0, le=1, description="The same for queries, from the newest event on."
    )
    normalization: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="u is divided by (sum of decay^steps)^this: 0 leaves the weighted sum, 1 makes it a weighted mean.",
    )
    max_length: int = Field(default=50, ge=1, le=10_000, description="Newest events that are read.")
    negatives: int = Field(
        default=256,
        ge=0,
        description="Items drawn a batch that stand for what each person has not taken; 0: no pair is drawn, P holds "
        "what is known alone.",
    )
    negative_popularity: float = Field(
        default=0.0, ge=0, le=1, description="They are drawn in proportion to count^this."
    )
    unknown_weight: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Weight of a pair of which nothing is known, beside 1 of a known one: unknown is not dislike.",
    )
    score: Literal["probability", "logit"] = Field(
        default="probability",
        description="probability: softmax of the joint logit, to the power of sharpness. logit: the joint logit "
        "itself; its evidence is exact where no head has hidden layers.",
    )
    sharpness: float = Field(
        default=0.5, gt=0, le=4, description="A probability is raised to this power; unused by logit."
    )
    as_words: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of pairs (without stored words) in which one event is read by its text as words are: it "
        "teaches what words mean where nobody has written any.",
    )
    id_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of ids hidden in a step: text learns to stand alone."
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of events left out of u while training."
    )
    epochs: int = Field(default=10, ge=1, le=100_000, description="Passes over the data, at most.")
    learning_rate: float = Field(
        default=0.003, gt=0, le=10, description="Its peak; it warms up and then falls as a cosine."
    )
    regularization: float = Field(default=0.0, ge=0, description="Decay of matrices (AdamW); ids are free.")
    batch_size: int = Field(default=1024, ge=1, description="Pairs of a batch.")
    patience: int = Field(
        default=3, ge=0, description="Epochs without gain on held-out events before training stops; 0: never."
    )
    held_out: int = Field(
        default=2000,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training, to know when to stop.",
    )

    @property
    def lambdas(self) -> dict[Head, float]:
        """The weights of the losses by head."""
        return {"content": self.lambda_content, "deep": self.lambda_deep, "feedback": self.lambda_feedback}
