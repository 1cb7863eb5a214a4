"""In which space the likeness of two items is measured, for rerankers that want lists with unlike items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fuserec.errors import DataError
from fuserec.numerics.diverse import Space, space_of

if TYPE_CHECKING:
    from fuserec.encoders.features import ItemFeatures

SpaceName = Literal["text", "categories"]

SPACE = (
    "What two items are compared by: the vectors of their text (of the language model, or of words without one), "
    "or their categories, tags and brand."
)


def item_space(name: SpaceName, features: ItemFeatures, where: str) -> Space:
    """Return the vectors of all items in a named space.

    Raises
    ------
    DataError
        Where no item has anything to be compared by.
    """
    if name == "categories":
        space = space_of(features.tags)
    else:
        space = space_of(features.lexical if features.sentence is None else features.sentence)
    if not (space.scale > 0).any():
        have = "categories, tags or a brand" if name == "categories" else "any text"
        other = "text" if name == "categories" else "categories"
        raise DataError(f'{where} space = "{name}": no item has {have}; try space = "{other}"')
    return space
