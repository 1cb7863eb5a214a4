"""Of which category the next item is, told by the person alone: reading the item would give the answer away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from torch import nn

from fuserec.errors import DataError
from fuserec.neural.language.heads.base import Head, Labels

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset

MOST = 64
"""Categories told apart, the most frequent ones."""

COMMON = 0.6
"""A category that more than this share of the items have tells nothing."""


class Topic(Head):
    """A logit a category; the label shares 1 among the categories of the item."""

    name: ClassVar[str] = "topic"
    reads: ClassVar[Literal["pair", "user"]] = "user"
    answers: ClassVar[Literal["chance", "value", "shares"]] = "shares"

    @classmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return the shares of the categories of each event's item."""
        names, member = _categories(data)
        if len(names) < 2:
            raise DataError(
                f"the head 'topic' needs items of at least two categories, {data.info.name!r} has not: leave it out of "
                "heads"
            )
        total = member.sum(axis=1, keepdims=True)
        shares = np.divide(member, total, out=np.zeros_like(member), where=total > 0)
        of_event = shares[data.interactions.item]
        return Labels.of(of_event, of_event.any(axis=1) & (data.interactions.weight > 0), names)

    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of each event: softmax over the categories."""
        return -(values * nn.functional.log_softmax(out, dim=1)).sum(dim=1)


def _categories(data: Dataset) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the categories told apart, and float32 (n_items, n_categories) of who belongs to which."""
    if "categories" not in data.item_table.columns:
        return (), np.zeros((data.n_items, 0), np.float32)
    rows = [
        sorted({str(one).strip() for one in row or () if one})
        for row in data.item_table["categories"].to_list()
    ]
    counts: dict[str, int] = {}
    for row in rows:
        for one in row:
            counts[one] = counts.get(one, 0) + 1
    telling = [one for one, count in counts.items() if count <= COMMON * data.n_items]
    names = tuple(sorted(telling, key=lambda one: (-counts[one], one))[:MOST])
    place = {one: column for column, one in enumerate(names)}
    member = np.zeros((data.n_items, len(names)), np.float32)
    for item, row in enumerate(rows):
        for one in row:
            if one in place:
                member[item, place[one]] = 1.0
    return names, member


HEAD = Topic
