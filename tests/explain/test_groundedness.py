from __future__ import annotations

import doctest
import math

import pytest

from fuserec.explain import groundedness
from fuserec.explain.groundedness import Claim, GroundednessChecker, Record, Support, grounded
from fuserec.reasons import reason
from fuserec.scorers.base import Evidence

RECORD = Record(
    item={
        "title": "Up (2009)",
        "categories": ["Animation", "Adventure"],
        "year": 2009,
        "description": "A widower ties balloons to his house and flies to South America.",
        "brand": "Pete Docter",
    },
    history=["Wall-E", "Cars; and other stories", "Alien"],
    topics=["Animation", "Comedy"],
    text="Something with balloons for the family",
    profile={"age": 34, "occupation": "writer"},
    evidence=[
        Support("item", "Wall-E", 0.4),
        Support("item", "Cars; and other stories", 0.2),
        Support("item", "Alien", -0.3),
        Support("word", "balloons", 0.2),
        Support("tag", "Animation", 0.1),
    ],
)


def check(text: str, record: Record = RECORD) -> list[tuple[str, str, str]]:
    return [(claim.text, claim.kind, claim.verdict) for claim in GroundednessChecker().check(text, record)]


def test_docstring_examples():
    result = doctest.testmod(groundedness)
    assert result.attempted == 3
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Because of “Wall-E”.", [("Wall-E", "history", "supported")]),
        (
            "Because of “Cars; and other stories” and “Wall-E”.",
            [("Cars; and other stories", "history", "supported"), ("Wall-E", "history", "supported")],
        ),
        (
            "因为您关注过“Wall-E”；符合您的用词“balloons”。",
            [("Wall-E", "history", "supported"), ("balloons", "words", "supported")],
        ),
        (
            "Matches your words “balloons”, “dragons”.",
            [("balloons", "words", "supported"), ("dragons", "words", "unsupported")],
        ),
        ("You take to “Animation”.", [("Animation", "topic", "supported")]),
        ("You take to “Comedy”.", [("Comedy", "topic", "unsupported")]),  # true of the user, no evidence here
        ("Fits what you describe.", [("Fits what you describe", "description", "supported")]),
        ("Others choose it too.", [("Others choose it too", "popularity", "unsupported")]),
        ("A learnt pattern speaks for it.", [("A learnt pattern speaks for it", "pattern", "supported")]),
        (
            "Nothing is known that speaks for it.",
            [("Nothing is known that speaks for it", "pattern", "unsupported")],
        ),
    ],
)
def test_what_the_system_says(text, expected):
    assert check(text) == expected


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("Because you liked “Alien”.", ["unsupported"]),  # in the history, but it speaks against the item
        ("Because you watched “Toy Story”.", ["unsupported"]),
        ("It came out in 2009.", ["supported"]),
        ("It came out in 1999.", ["unsupported"]),
        ("It came out in 200.", ["unsupported"]),  # a number is not a part of another one
        ("It was directed by Pete Docter.", ["supported"]),
        ("It was directed by Steven Spielberg.", ["unsupported"]),
        ("It has 3 sequels; it was directed by Pete Docter.", ["unsupported", "supported"]),
        ("The widower flies his house to South America.", ["supported"]),
        ("Critics everywhere adored this masterpiece.", ["unverifiable"]),
        ("", []),
        ("“Up (2009)” has balloons.", ["supported"]),
    ],
)
def test_what_a_language_model_may_say(text, verdicts):
    assert [verdict for _, _, verdict in check(text)] == verdicts


def test_without_evidence_the_history_is_enough():
    record = Record(item={"title": "Up"}, history=["Wall-E"], text="balloons")
    assert check("Because of “WALL-E”; matches your word “balloons”.", record) == [
        ("WALL-E", "history", "supported"),
        ("balloons", "words", "supported"),
    ]
    assert check("Others choose it too.", record)[0][2] == "unsupported"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reasons_of_the_system_are_true_and_changed_ones_are_not(language):
    titles = ["Wall-E", "Cars", "Up"]
    rows = [
        Evidence("item_knn", "item", 0, 0.5, "exact"),
        Evidence("item_knn", "item", 1, 0.4, "exact"),
        Evidence("content", "word", "balloons", 0.3, "exact"),
        Evidence("popularity", "popularity", None, 0.01, "exact"),
    ]
    named = [
        Support(r.kind, titles[r.key] if isinstance(r.key, int) else str(r.key or ""), r.contribution)
        for r in rows
    ]
    record = Record({"title": "Up"}, history=titles[:2], text="balloons please", evidence=named)
    said = reason(rows, titles, language)
    checker = GroundednessChecker()
    assert grounded(checker.check(said, record)) == 1
    assert len(checker.check(said, record)) == 3
    assert grounded(checker.check(said.replace("Cars", "Brave"), record)) == pytest.approx(2 / 3)
    assert grounded(checker.check(said.replace("balloons", "spaceships"), record)) == pytest.approx(2 / 3)


def test_text_is_data():
    hostile = "Because of “(?:.*)” and “Wall-E”. \ue0000\ue001 {0} %s \\"
    assert ("Wall-E", "history", "supported") in check(hostile)
    assert ("(?:.*)", "history", "unsupported") in check(hostile)
    assert check("\ue0007\ue001") == [("7", "number", "unsupported")]
    assert math.isnan(grounded([]))
    assert Claim("a", "name", "supported").verdict == "supported"
