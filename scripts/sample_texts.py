"""What the works of the bundled sample are, and how alike their texts are (used by ``make_sample.py``)."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "sample_works"


@cache
def stop_words() -> frozenset[str]:
    """Return the words that say nothing about a work."""
    return frozenset((FOLDER / "stop_words.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Work:
    """A row of ``sample_works``."""

    item_id: str
    title: str
    year: int
    medium: str
    creators: tuple[str, ...]
    genres: tuple[str, ...]
    description: str
    set_in: str
    series: str
    adapted_from: str
    title_en: str

    @property
    def content_words(self) -> list[str]:
        """Return the words of the sentence that say what the work is about, in their order."""
        words = re.findall(r"[a-zà-öø-ÿ]{4,}", self.description.lower())
        return [word for word in words if word not in stop_words()]


def read_works(folder: Path) -> list[Work]:
    """Return all works, in the order of the files and rows."""
    works: list[Work] = []
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                parts = {name: tuple(row.pop(name).split("|")) for name in ("creators", "genres")}
                works.append(Work(**{**row, **parts, "year": int(row["year"])}))  # type: ignore[arg-type]
    return works


def terms_of(work: Work) -> Counter[str]:
    """Return what a work is compared by: content words (plural s cut), genres twice, the creator."""
    words = [
        word[:-1] if word.endswith("s") and not word.endswith("ss") else word for word in work.content_words
    ]
    counts = Counter(words)
    counts.update({f"genre:{genre}": 2 for genre in work.genres})
    counts.update({f"creator:{work.creators[0]}": 1})
    return counts


def term_matrix(works: Sequence[Work]) -> np.ndarray:
    """Return int64 (works, terms): TF-IDF (Salton and Buckley, 1988) in hundredths, so products are exact."""
    counts = [terms_of(work) for work in works]
    names = sorted(set().union(*counts))
    column = {name: index for index, name in enumerate(names)}
    frequency = Counter(name for count in counts for name in count)
    matrix = np.zeros((len(works), len(names)), dtype=np.int64)
    for row, count in enumerate(counts):
        for name, n in count.items():
            matrix[row, column[name]] = n * round(100 * math.log(len(works) / frequency[name]))
    return matrix


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return float64 (left rows, right rows), rounded to four digits."""
    lengths = [np.sqrt((part * part).sum(axis=1).astype(np.float64)) for part in (left, right)]
    return np.asarray(np.round((left @ right.T) / lengths[0][:, None] / lengths[1][None, :], 4))


def standard(rows: np.ndarray) -> np.ndarray:
    """Return each row with mean 0 and deviation 1, rounded to four digits."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(np.round(centred / centred.std(axis=1, keepdims=True), 4))
