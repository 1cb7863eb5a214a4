"""Which rating somebody gives an item, in the scale of the ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from fuserec.errors import DataError
from fuserec.neural.language.heads.base import Head, Labels

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset


class Rating(Head):
    """One number beside what ids alone say: r̂ = offset + M(d_u, d_i), squared error in the scale of the ratings."""

    name: ClassVar[str] = "rating"
    answers: ClassVar[Literal["chance", "value", "shares"]] = "value"

    @classmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return the rating of each event; offsets are set by whoever knows the ids."""
        rating = data.interactions.rating
        known = np.isfinite(rating)
        if not known.any():
            raise DataError(
                f"the head 'rating' needs ratings: no interaction of {data.info.name!r} has one; leave it out of heads"
            )
        return Labels.of(np.where(known, rating, 0.0), known)

    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the squared error of each rating."""
        return (out - values).square().mean(dim=1)


HEAD = Rating
