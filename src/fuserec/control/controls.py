"""The dials: what somebody wants more or less of, how varied, rare and new a list is, and what never comes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from fuserec.settings import Settings

MAX_TOPICS = 100
"""Topics of one kind that are taken: everything from outside has a limit."""

MAX_NEVER = 10_000
MAX_TEXT = 1_024

Strength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Days = Annotated[float, Field(gt=0, allow_inf_nan=False)]

UNITED = ("more", "less", "never")
"""Dials that unite where two sets of them meet; of every other the nearer set counts."""

ACTING = ("more", "less", "never", "diversity", "novelty", "freshness", "fatigue", "max_shown", "new_share")
"""Dials that change a list; the others say how."""


class Controls(Settings):
    """Dials of one user, of an operator (``[control]``), or of one call; at 0 a dial does nothing.

    A strength of 0.5 weighs as much as the scores of the items that the list is chosen from; one of 1 goes before them.
    """

    more: dict[Text, Strength] = Field(
        default={},
        max_length=MAX_TOPICS,
        description="Topics that come more often, each with its strength: `COLUMN: VALUE`, the name of a category, tag "
        "or brand, or any words.",
    )
    less: dict[Text, Strength] = Field(
        default={}, max_length=MAX_TOPICS, description="Topics that come less often, as in `more`."
    )
    never: tuple[Text, ...] = Field(
        default=(),
        max_length=MAX_NEVER,
        description="What never comes: item ids, `COLUMN: VALUE`, conditions such as `year<1950`, or the name of a "
        "category, tag or brand.",
    )
    diversity: Strength = Field(
        default=0.0, description="How different the items of a list are from each other."
    )
    novelty: Strength = Field(default=0.0, description="How little known the items of a list are.")
    freshness: Strength = Field(default=0.0, description="How new the items of a list are.")
    fatigue: Strength = Field(
        default=0.0, description="How far what was shown and not taken sinks; it comes back with time."
    )
    fatigue_days: Days = Field(default=7.0, description="Days after which half of that is forgotten.")
    max_shown: int | None = Field(
        default=None, ge=1, description="Show an item that is not taken at most so often within `shown_days`."
    )
    shown_days: Days = Field(default=30.0, description="Days over which showings are counted.")
    new_share: Strength = Field(
        default=0.0,
        description="Share of the places that new items have for sure, as far as there are any; below one place a "
        "list, the share of the lists that have one.",
    )
    new_days: Days | None = Field(
        default=None, description="An item is new for so many days. Left out: `new_interactions` decides."
    )
    new_interactions: int = Field(
        default=5, ge=0, description="Without `new_days`: an item is new with at most so many interactions."
    )
    depth: int = Field(
        default=200, ge=10, le=10_000, description="How many of the best items a list is chosen from."
    )
    time_column: str | None = Field(
        default=None,
        description="The column of items that says when an item came. Left out: one that is called like it "
        "(timestamp, date, year ...), else the first interaction.",
    )

    @field_validator("more", "less")
    @classmethod
    def _topics_stripped(cls, topics: dict[str, float]) -> dict[str, float]:
        """Take spaces around a topic away."""
        return {_worded(topic): strength for topic, strength in topics.items()}

    @field_validator("never")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Keep each name once."""
        return tuple(dict.fromkeys(map(_worded, names)))

    @property
    def active(self) -> bool:
        """Whether any dial is off 0."""
        weighed = any(strength > 0 for topics in (self.more, self.less) for strength in topics.values())
        rest = (name for name in ACTING if name not in ("more", "less"))
        return weighed or any(getattr(self, name) for name in rest)

    def over(self, base: Controls) -> Controls:
        """Return these dials laid over others: what is set here counts; topics and what never comes unite.

        A topic that is named here, in ``more`` or in ``less``, is no longer what the others made of it.
        """
        mine = self.model_fields_set
        values: dict[str, Any] = {
            name: getattr(self if name in mine else base, name) for name in type(self).model_fields
        }
        here = {topic.casefold() for topic in (*self.more, *self.less)}
        for name in ("more", "less"):
            kept = {topic: s for topic, s in getattr(base, name).items() if topic.casefold() not in here}
            values[name] = {**kept, **getattr(self, name)}
        values["never"] = tuple(dict.fromkeys((*base.never, *self.never)))
        changed = {name for name in values if name in mine or name in base.model_fields_set}
        return Controls.parse({name: values[name] for name in changed}, "controls")

    def told(self) -> dict[str, Any]:
        """Return what is set, as JSON has it."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _worded(text: str) -> str:
    """Return a name without spaces around it, or refuse one that is nothing else."""
    found = text.strip()
    if not found:
        raise ValueError("a topic without a letter; name one")
    return found


def controls_of(given: Controls | Mapping[str, Any] | None, where: str = "controls") -> Controls:
    """Return dials that came as such, or as a mapping.

    Raises
    ------
    ConfigError
        For an unknown dial or a value that is not allowed.
    """
    if isinstance(given, Controls):
        return given
    return Controls.parse({} if given is None else given, where)
