from __future__ import annotations

from typing import Literal, Self

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator

from fuserec.errors import ConfigError, nearest
from fuserec.settings import Settings


class Inner(Settings):
    depth: int = Field(default=10, ge=1, description="How deep.")


class Outer(Settings):
    regularization: float = Field(default=1.0, gt=0, description="λ.")
    inner: Inner = Field(default=Inner(), description="Inside.")


def test_defaults_and_values():
    assert Outer.parse({}, "x") == Outer()
    assert Outer.parse({"regularization": 2, "inner": {"depth": 3}}, "x").inner.depth == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"regularisation": 1},
            r"\[x\]: unknown key 'regularisation'; did you mean 'regularization'\? \(known: inner, regularization\)",
        ),
        ({"zzz": 1}, r"\[x\]: unknown key 'zzz' \(known: inner, regularization\)"),
        ({"regularization": 0}, r"\[x\]: regularization = 0: Input should be greater than 0"),
        ({"regularization": "much"}, r"\[x\]: regularization = 'much': Input should be a valid number"),
        ({"inner": {"depth": 0}}, r"\[x\]: inner.depth = 0: Input should be greater than or equal to 1"),
        ({"inner": 3}, r"\[x\]: inner = 3: has to be a table: write \[inner\] and its settings below"),
        (
            {"inner": ["als"]},
            r"inner = \['als'\]: has to be a table: write \[inner.als\] and its settings below",
        ),
    ],
)
def test_one_clear_line_says_what_is_wrong(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Outer.parse(values, "[x]")
    assert "\n" not in str(caught.value)


def test_a_nested_unknown_key_names_what_is_known_there():
    with pytest.raises(
        ConfigError, match=r"\[x\]: unknown key 'inner.dept'; did you mean 'depth'\? \(known: depth\)"
    ):
        Outer.parse({"inner": {"dept": 1}}, "[x]")


class Judged(Settings):
    first: int = 1
    words: tuple[str, ...] = ()

    @field_validator("words")
    @classmethod
    def _no_blanks(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if "" in words:
            raise ValueError("a word is empty: leave it out")
        return words

    @model_validator(mode="after")
    def _few(self) -> Self:
        if self.first > len(self.words):
            raise ValueError("first is above the number of words: lower it")
        return self


def test_what_a_validator_says_stands_alone():
    with pytest.raises(ConfigError) as several:
        Judged.parse({"first": 5}, "[x]")
    assert str(several.value) == "[x]: first is above the number of words: lower it"
    with pytest.raises(ConfigError) as one:
        Judged.parse({"words": [""]}, "[x]")
    assert str(one.value) == "[x]: words = ['']: a word is empty: leave it out"


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Outer().regularization = 2.0


def test_nearest():
    assert nearest("ese", ["ease", "als"]) == "; did you mean 'ease'?"
    assert nearest("popularity", ["als"]) == ""


class Chosen(Settings):
    kind: Literal["blend", "cascade"] = Field(default="blend", description="Which.")


def test_a_word_that_is_not_allowed_names_the_nearest_that_is():
    with pytest.raises(
        ConfigError, match=r"kind = 'cascad': .*'blend' or 'cascade'; did you mean 'cascade'\?"
    ):
        Chosen.parse({"kind": "cascad"}, "[x]")
    with pytest.raises(ConfigError, match=r"kind = 3: Input should be 'blend' or 'cascade'$"):
        Chosen.parse({"kind": 3}, "[x]")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_no_setting_is_infinite(value):
    with pytest.raises(ConfigError, match=r"x: regularization = \w+: Input should be a finite number"):
        Outer.parse({"regularization": value}, "x")


@pytest.mark.parametrize(
    ("scorer", "key"),
    [
        ("trees", "min_leaf"),
        ("generative", "batch_size"),
        ("sequence", "batch_size"),
        ("language_pair", "batch_tokens"),
    ],
)
def test_numbers_that_libraries_below_cannot_hold_are_refused(scorer, key):
    from fuserec.scorers import create

    with pytest.raises(ConfigError, match=f"{key} = {2**63}: Input should be less than or equal to"):
        create(scorer, {key: 2**63})
