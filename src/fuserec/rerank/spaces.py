"""In which space the likeness of two items is measured, for rerankers that want lists with unlike items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fuserec.errors import DataError
from fuserec.metrics.beyond import intra_list_diversity
from fuserec.numerics.diverse import Space, space_of
from fuserec.rerank.base import Aim, Reranker

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures

SpaceName = Literal["text", "categories"]

SPACE = (
    "What two items are compared by: the vectors of their text (of the language model, or of words without one), "
    "or their categories, tags and brand."
)


class Diverse(Reranker):
    """What rerankers share whose lists are to have unlike items."""

    aim: Aim = Aim(
        "Diversity",
        "Mean distance (1 - cosine) between the items of a list, in the space of the reranker.",
        "higher",
    )

    _of: tuple[SpaceName, ItemFeatures] | None = None

    def _prepare(self) -> None:
        """Take the vectors, which the features hold already; another strength finds them ready."""
        name: SpaceName = getattr(self.config, "space", "text")
        if self._of is None or self._of[0] != name or self._of[1] is not self._features:
            self._space = item_space(name, self._features, f"[rerank.{self.name}]")
            self._of = name, self._features

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return the mean distance between the items of each list."""
        name: SpaceName = getattr(self.config, "space", "text")
        return intra_list_diversity(lists, counts, lists.shape[1], vectors_of(name, self._features))


def vectors_of(name: SpaceName, features: ItemFeatures) -> Any:
    """Return the vectors of all items in a named space, an array or a sparse matrix (n_items, dim)."""
    if name == "categories":
        return features.tags
    return features.lexical if features.sentence is None else features.sentence


def item_space(name: SpaceName, features: ItemFeatures, where: str) -> Space:
    """Return the vectors of all items in a named space.

    Raises
    ------
    DataError
        Where no item has anything to be compared by.
    """
    space = space_of(vectors_of(name, features))
    if not (space.scale > 0).any():
        have = "categories, tags or a brand" if name == "categories" else "any text"
        other = "text" if name == "categories" else "categories"
        raise DataError(f'{where} space = "{name}": no item has {have}; try space = "{other}"')
    return space
