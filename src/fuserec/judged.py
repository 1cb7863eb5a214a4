"""What each head of a fine-tuned language model says of somebody and an item: r_ui, a rating, a click, topics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from fuserec.errors import RequestError
from fuserec.requests import shown_id
from fuserec.run import RunOptions

if TYPE_CHECKING:
    from fuserec.data.query import Query
    from fuserec.fitted import Fitted
    from fuserec.fusion.base import Fusion
    from fuserec.scorers.language_pair import LanguagePair


@dataclass(frozen=True)
class Judgement:
    """What one head says.

    Parameters
    ----------
    head : str
    meaning : {"chance", "value", "shares"}
    value : float or None
        A probability or a rating; None where there is no text to read, and where it says shares.
    shares : dict of float
        By class, summing to 1; empty where it says one value.
    threshold : float or None
        Of the head that ranks: the probability from which most held-out pairs were matches.
    """

    head: str
    meaning: str
    value: float | None
    shares: dict[str, float]
    threshold: float | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def pair_scorer(fused: Fusion) -> LanguagePair | None:
    """Return the last stage or the part that is a language model of pairs, a cross-encoder first; None without one."""
    from fuserec.scorers.language_pair import LanguagePair

    asked = [getattr(fused, "last_stage", None), *fused.parts.values()]
    able = [part for part in asked if isinstance(part, LanguagePair)]
    return min(able, key=lambda each: each.config.form != "cross", default=None)


def judged(model: Fitted, item: str, query: Query) -> list[Judgement]:
    """Return what each head says, the one that ranks first.

    Raises
    ------
    RequestError
        For an unknown item, one that is kept from whoever asks, and a model without such a part.
    """
    scorer = pair_scorer(model.fused)
    if scorer is None:
        raise RequestError(
            f"judge: none of the parts ({', '.join(model.fused.parts)}) is a language_pair: fit a model with "
            "[parts.language_pair], or with it as [fusion.last_stage]"
        )
    index = model.item(item)
    request, q = model.asked(query, RunOptions(threads=1))
    if model.never_shown(request, q)[index]:
        raise RequestError(
            f"judge: item {shown_id(item)} is flagged, and kept from whoever asks ([rerank.flagged] protected)"
        )
    main = scorer.config.main
    heads = [main, *(name for name in scorer.config.heads if name != main)]
    return [_of_head(scorer, head, scorer.says(head, q, np.array([index]))[0]) for head in heads]


def _of_head(scorer: LanguagePair, head: str, said: np.ndarray) -> Judgement:
    """Return what a head says, of its numbers (1,) or (n_classes,)."""
    taught = scorer.taught(head)
    if taught.answers == "shares":
        there = bool(np.isfinite(said).all())
        return Judgement(
            head,
            taught.answers,
            None,
            dict(zip(taught.names, said.tolist(), strict=True)) if there else {},
            None,
        )
    ranks = head == scorer.config.main and taught.answers == "chance"
    value = float(said[0]) if np.isfinite(said[0]) else None
    return Judgement(head, taught.answers, value, {}, float(expit(scorer.threshold)) if ranks else None)
