"""Make the bundled sample: real works, hand-written sentences about them, and simulated readers.

The works lie in ``scripts/sample_works/*.tsv``; everything else is drawn from a fixed seed. To give the same
bytes under every version of numpy, randomness comes from the raw bits of PCG64 (whose stream numpy keeps
fixed), similarities from whole-number products, and logarithms are rounded before they decide anything.

Usage: ``python scripts/make_sample.py [--out DIR]``
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from sample_texts import FOLDER, Work, cosines, read_works, standard, term_matrix

SEED = 20240101
N_READERS = 600
DAY = 86_400
START = 1_704_067_200  # 2024-01-01T00:00:00Z
DAYS = 730
NEW_WORKS_FROM = 1_725_148_800  # 2024-09-01: by then every work of that year was out
SEARCH_SHARE = 0.026
STRAY_SHARE = 0.08  # choices by fame alone: where most of the low ratings come from
LEAST_WORKS = 6  # a genre of so many works can be an interest

SHELF = {
    "Novel": "Book",
    "Non-fiction": "Non-fiction book",
    "Film": "Film",
    "Series": "TV series",
    "Album": "Album",
    "Game": "Game",
}
PLURAL = {
    "Novel": "novels",
    "Non-fiction": "non-fiction",
    "Film": "films",
    "Series": "series",
    "Album": "albums",
    "Game": "games",
}
TIMED = {"Novel": "read", "Non-fiction": "read", "Film": "watch", "Series": "watch", "Album": "listen"}
SPOKEN = {
    "literary": "literary fiction",
    "historical": "historical stories",
    "detective": "detective stories",
    "noir": "noir moods",
    "gothic": "gothic moods",
    "calm": "calm moods",
    "experimental": "experimental sounds",
    "electronic": "electronic music",
    "role-playing": "role-playing stories",
    "open world": "open worlds",
    "children": "children's stories",
    "action": "action scenes",
}


class Draw:
    """Random numbers that are the same under every version of numpy."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, n: int) -> np.ndarray:
        """Return float64 (n,) in the open interval (0, 1)."""
        return ((self._bits.random_raw(n) >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52

    def one(self) -> float:
        """Return one number in (0, 1)."""
        return float(self.uniform(1)[0])

    def normal(self, n: int) -> np.ndarray:
        """Return float64 (n,), nearly standard normal: twelve uniforms less six (no logarithm)."""
        return np.asarray(np.round(self.uniform(12 * n).reshape(n, 12), 9).sum(axis=1) - 6.0).round(6)

    def gumbel(self, n: int) -> np.ndarray:
        """Return float64 (n,), standard Gumbel: the largest of logit + Gumbel is a draw from the softmax."""
        return np.asarray(np.round(-np.log(-np.log(self.uniform(n))), 6))

    def pick(self, weights: Sequence[float]) -> int:
        """Return an index drawn in proportion to the weights."""
        aim = self.one() * sum(weights)
        for index, weight in enumerate(weights):
            aim -= weight
            if aim < 0:
                return index
        return len(weights) - 1


@dataclass(frozen=True)
class Catalogue:
    """Everything about the works that a choice may depend on."""

    works: list[Work]
    interests: list[str]
    appeal: np.ndarray  # (interests, works): how much a work is of an interest, standardised
    kinship: np.ndarray  # (works, works): likeness in text, standardised by row
    interest_kinship: np.ndarray  # (interests, interests)
    fame: np.ndarray
    quality: np.ndarray
    taste: np.ndarray  # (circles, works): what circles of readers share beyond any text
    season: np.ndarray  # the day around which a work is talked about
    sequel: np.ndarray  # (works, works): bonus for going from one work to the next


def sequels(works: Sequence[Work]) -> np.ndarray:
    """Return the bonus for the next volume, and for the adaptation or its source."""
    bonus = np.zeros((len(works), len(works)))
    index = {work.item_id: row for row, work in enumerate(works)}
    for head, tail in series_steps(works):
        bonus[index[head.item_id], index[tail.item_id]] = 3.5
    for row, work in enumerate(works):
        if work.adapted_from:
            bonus[index[work.adapted_from], row] = 2.5
            bonus[row, index[work.adapted_from]] = 2.0
    return bonus


def series_steps(works: Sequence[Work]) -> list[tuple[Work, Work]]:
    """Return the pairs (a work, the next of its series by year)."""
    series: dict[str, list[Work]] = {}
    for work in works:
        if work.series:
            series.setdefault(work.series, []).append(work)
    ordered = [sorted(group, key=lambda work: work.year) for group in series.values()]
    return [pair for group in ordered for pair in pairwise(group)]


def catalogue_of(works: list[Work], draw: Draw) -> Catalogue:
    """Return the catalogue with its similarities, fame and hidden tastes."""
    matrix = term_matrix(works)
    counts = Counter(genre for work in works for genre in work.genres)
    interests = sorted(genre for genre, n in counts.items() if n >= LEAST_WORKS)
    centres = np.stack([matrix[[g in work.genres for work in works]].sum(axis=0) for g in interests])
    likeness = cosines(matrix, matrix)
    np.fill_diagonal(likeness, 0.0)
    n = len(works)
    return Catalogue(
        works=works,
        interests=interests,
        appeal=standard(cosines(centres, matrix)),
        kinship=standard(likeness),
        interest_kinship=cosines(centres, centres),
        fame=draw.normal(n),
        quality=draw.normal(n),
        taste=draw.normal(8 * n).reshape(8, n),
        season=np.round(draw.uniform(n) * DAYS, 3),
        sequel=sequels(works),
    )


@dataclass
class Reader:
    """A simulated reader: interests that drift from the first to the last, favourite media, a circle."""

    user_id: str
    interests: list[int]
    media: dict[str, float]
    circle: int
    first_day: float
    last_day: float
    n_choices: int
    seen: list[int] = field(default_factory=list)

    def leaning(self, catalogue: Catalogue, share: float) -> np.ndarray:
        """Return (works,): how much each work suits the reader when ``share`` of their time has passed."""
        parts = zip((1.0 - 0.8 * share, 0.55, 0.15 + 0.85 * share), self.interests, strict=True)
        liking = sum(weight * catalogue.appeal[interest] for weight, interest in parts)
        media = np.array([self.media[work.medium] for work in catalogue.works])
        return np.asarray(1.15 * liking + media)


def make_reader(number: int, catalogue: Catalogue, draw: Draw) -> Reader:
    """Draw one reader."""
    counts = Counter(genre for work in catalogue.works for genre in work.genres)
    weights = [math.sqrt(counts[name]) for name in catalogue.interests]
    chosen = [draw.pick(weights)]
    while len(chosen) < 3:
        near = catalogue.interest_kinship[chosen[-1]] if draw.one() < 0.6 else np.ones(len(weights))
        following = draw.pick([0.0 if i in chosen else w * near[i] ** 2 for i, w in enumerate(weights)])
        chosen.append(following)
    media = dict(zip(SHELF, (0.7 * draw.normal(len(SHELF))).tolist(), strict=True))
    first = draw.one() ** 1.3 * 560.0
    last = first + 60.0 + draw.one() * (DAYS - first - 60.0)
    n_choices = min(80, max(5, round(math.exp(2.83 + 0.58 * float(draw.normal(1)[0])))))
    return Reader(f"reader-{number:04d}", chosen, media, draw.pick([1.0] * 8), first, last, n_choices)


def times_of(reader: Reader, draw: Draw) -> list[int]:
    """Return increasing unix seconds: evenings mostly, one to four choices at a sitting."""
    times: list[int] = []
    while len(times) < reader.n_choices:
        day = int(reader.first_day + draw.one() * (reader.last_day - reader.first_day))
        moment = START + day * DAY + int(3600 * (7 + 16 * max(draw.one(), draw.one())))
        for _ in range(1 + draw.pick([4.0, 3.0, 2.0, 1.0])):
            times.append(moment)
            moment += 180 + int(draw.one() * 2400)
    times = sorted(times[: reader.n_choices])
    for place in range(1, len(times)):
        times[place] = max(times[place], times[place - 1] + 120)
    return times


def choose(reader: Reader, catalogue: Catalogue, time: int, share: float, draw: Draw) -> int:
    """Return the work chosen next, from liking, the last works, fame, circle, season and chance."""
    score = catalogue.fame + draw.gumbel(len(catalogue.works))
    if draw.one() >= STRAY_SHARE:
        score += reader.leaning(catalogue, share) + 0.5 * catalogue.taste[reader.circle]
        score += 0.6 * np.exp(-(((time - START) / DAY - catalogue.season) ** 2) / 1800.0)
        for back, work in enumerate(reversed(reader.seen[-3:])):
            score += 0.5**back * (0.42 * catalogue.kinship[work] + catalogue.sequel[work])
    score[reader.seen] = -np.inf
    if time < NEW_WORKS_FROM:
        score[[work.year >= 2024 for work in catalogue.works]] = -np.inf
    return int(np.argmax(np.round(score, 6)))


def deed(work: Work, joy: float, draw: Draw) -> dict[str, str | int]:
    """Return what the reader did with a work that gave them so much joy: kind, rating, value."""
    stars = min(5, max(1, round(3.4 + joy)))
    if joy < -0.9:
        kind = ("rating", "dislike", "view")[draw.pick([0.5, 0.25, 0.25])]
    else:
        kinds = ("view", "like", "save", "purchase", "rating", "timed")
        eager = 1.6 if joy > 0.5 else 0.8
        kind = kinds[draw.pick([0.28, 0.17 * eager, 0.12 * eager, 0.13 * eager, 0.2, 0.1])]
    if kind == "timed":
        kind = TIMED.get(work.medium, "view")
        if kind != "view":
            return {"kind": kind, "value": 60 + int(5340 * draw.one() * min(1.0, 0.4 + 0.3 * max(joy, 0.0)))}
    return {"kind": kind, "rating": stars} if kind == "rating" else {"kind": kind}


def search_text(work: Work, draw: Draw) -> str:
    """Return the words someone types who is about to choose this work."""
    genre = work.genres[draw.pick([3.0] + [1.0] * (len(work.genres) - 1))].lower()
    words = work.content_words
    first, second = sorted(draw.pick([1.0] * len(words)) for _ in range(2))
    form = draw.pick([1.0, 1.0, 1.0])
    if form == 0:
        return f"{genre} {PLURAL[work.medium]}"
    if form == 1 and first != second:
        return f"{words[first]} {words[second]}"
    return f"{genre} {words[second]}"


def history(reader: Reader, catalogue: Catalogue, draw: Draw) -> list[dict[str, str | int]]:
    """Return the events of a reader, oldest first."""
    events: list[dict[str, str | int]] = []
    times = times_of(reader, draw)
    for place, time in enumerate(times):
        share = place / len(times)
        chosen = choose(reader, catalogue, time, share, draw)
        work = catalogue.works[chosen]
        if draw.one() < SEARCH_SHARE:
            asked = time - 20 - int(60 * draw.one())
            text = search_text(work, draw)
            events.append({"user_id": reader.user_id, "timestamp": asked, "kind": "search", "text": text})
        suits = float(reader.leaning(catalogue, share)[chosen])
        joy = min(1.6, 0.4 * suits) - 0.5 + 0.45 * float(catalogue.quality[chosen] + draw.normal(1)[0])
        event: dict[str, str | int] = {"user_id": reader.user_id, "item_id": work.item_id, "timestamp": time}
        events.append(event | deed(work, round(joy, 6), draw))
        reader.seen.append(chosen)
    return events


def profile(reader: Reader, catalogue: Catalogue, draw: Draw) -> dict[str, str]:
    """Return a row of users.csv: most readers say something of themselves."""
    first, second, third = (catalogue.interests[i].lower() for i in reader.interests)
    said = [SPOKEN.get(name, name) for name in (first, second, third)]
    best, next_best = (PLURAL[name] for name in sorted(reader.media, key=lambda m: -reader.media[m])[:2])
    works = [catalogue.works[i] for i in np.argsort(-reader.leaning(catalogue, 0.5), kind="stable")[:12]]
    words = [work.content_words[draw.pick([1.0] * len(work.content_words))] for work in works[::6]]
    forms = (
        f"Mostly {said[0]} and {said[1]}, {best} before {next_best}.",
        f"I came for {said[0]}, and lately I keep returning to {said[2]}.",
        f"Happy with any {best} that have {said[0]}, {words[0]} or {words[1]} in them.",
        f"Looking for {said[1]} with a touch of {said[2]}; {words[0]} is a good sign.",
        f"Long evenings with {best}: {said[0]}, {said[1]}, sometimes {said[2]}.",
        f"Recommend me {best} with {said[0]}, and {said[1]} for the weekend.",
    )
    text = forms[draw.pick([1.0] * len(forms))] if draw.one() < 0.6 else ""
    tags = "|".join((first, second, third)[: 1 + draw.pick([1.0, 2.0, 2.0])]) if draw.one() < 0.7 else ""
    return {"user_id": reader.user_id, "text": text, "tags": tags}


def links_of(works: Sequence[Work]) -> list[tuple[str, str, str]]:
    """Return the knowledge graph: head, relation, tail."""
    links = [(work.item_id, "created_by", name) for work in works for name in work.creators]
    links += [(work.item_id, "has_genre", name) for work in works for name in work.genres]
    links += [(work.item_id, "set_in", work.set_in) for work in works if work.set_in]
    links += [(work.item_id, "adapted_from", work.adapted_from) for work in works if work.adapted_from]
    links += [(head.item_id, "same_series", tail.item_id) for head, tail in series_steps(works)]
    return links


def item_row(work: Work) -> dict[str, object]:
    """Return a line of items.jsonl."""
    title = f"{work.title} ({work.title_en})" if work.title_en else work.title
    return {
        "item_id": work.item_id,
        "title": title,
        "description": work.description,
        "categories": [SHELF[work.medium], *work.genres[:2]],
        "brand": work.creators[0],
        "tags": [genre.lower() for genre in work.genres],
        "creators": list(work.creators),
        "year": work.year,
        "title_en": work.title_en or work.title,
    }


DATASET_TOML = """\
name = "FuseRec sample"
licence = "CC0-1.0 (facts are public; sentences and simulated readers were made for FuseRec)"
simulated = true
note = "Works are real; readers are simulated. Made by scripts/make_sample.py."
rating_scale = [1, 5]
"""


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object] | dict[str, str | int]]
) -> None:
    """Write a CSV file with the same bytes on every system."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([row.get(c, "") for c in columns] if isinstance(row, dict) else row)


def main() -> None:
    """Write the dataset folder."""
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description="Make the bundled sample dataset.")
    parser.add_argument(
        "--out", type=Path, default=root / "src/fuserec/data/sample/files", help="folder to write"
    )
    out: Path = parser.parse_args().out
    draw = Draw(SEED)
    works = read_works(FOLDER)
    catalogue = catalogue_of(works, draw)
    readers = [make_reader(number, catalogue, draw) for number in range(1, N_READERS + 1)]
    users = [profile(reader, catalogue, draw) for reader in readers]
    events = [event for reader in readers for event in history(reader, catalogue, draw)]
    events.sort(key=lambda event: (event["timestamp"], event["user_id"]))
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(item_row(work), ensure_ascii=False) + "\n" for work in works]
    (out / "items.jsonl").write_bytes("".join(lines).encode("utf-8"))
    columns = ("user_id", "item_id", "rating", "timestamp", "kind", "value", "text")
    write_table(out / "interactions.csv", columns, events)
    write_table(out / "users.csv", ("user_id", "text", "tags"), (list(user.values()) for user in users))
    write_table(out / "links.csv", ("head", "relation", "tail"), links_of(works))
    (out / "dataset.toml").write_bytes(DATASET_TOML.encode("utf-8"))


if __name__ == "__main__":
    main()
