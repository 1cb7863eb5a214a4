"""Content by encoder: TF-IDF alone, and beside it what stands for the meaning of texts.

    python -m bench.text_encoders --data ../shared/data [--only beauty,ml-100k] [--encoders minilm,word2vec]

The scorer ``content`` on the first protocol of each dataset, once as in the default (words and vectors, their shares
tuned on validation) and once by the vectors alone. GloVe is trained on the catalogue's text, written to a file in
GloVe's format, and read from it as one from elsewhere would be. Figures go to bench/results/text_encoders.json; what is
there of other encoders and datasets is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import datasets, page, records
from fuserec.config import RecommenderConfig
from fuserec.data.splits import SplitConfig
from fuserec.run import RunOptions

if TYPE_CHECKING:
    import numpy as np

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.words import Words

STANDARD = ("beauty", "ml-100k")
SHOWN = ("recall@10", "ndcg@10")
RESULT = records.RESULTS / "text_encoders.json"
GLOVE = "glove file"

ENCODERS: dict[str, dict[str, Any]] = {
    "tf-idf": {"use_sentence": "never"},
    "minilm": {"sentence": {"kind": "language_model"}},
    "word2vec": {"sentence": {"kind": "word2vec"}},
    "fasttext": {"sentence": {"kind": "fasttext"}},
    GLOVE: {"sentence": {"kind": "glove"}},
    "lstm": {"sentence": {"kind": "lstm"}},
}
"""``[features]`` of each; the file of ``glove file`` is made on the way."""

BOTH, ALONE = "words and vectors", "vectors alone"


def run(
    data: Path, only: tuple[str, ...] = STANDARD, wanted: tuple[str, ...] = tuple(ENCODERS)
) -> dict[str, Any]:
    """Measure what is wanted and return it with what was there."""
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    for key in only:
        dataset, split = datasets.load(key, data), datasets.DATASETS[key].splits[0]
        rows = found.setdefault(f"{key}-{split}", {})
        for name in wanted:
            rows[name] = measured(name, dataset, SplitConfig(protocol=split))  # type: ignore[arg-type]
            print(f"{key} {name}: {told(rows[name])}", file=sys.stderr)
            RESULT.parent.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def measured(
    name: str, dataset: Dataset, split: SplitConfig, run: RunOptions | None = None
) -> dict[str, Any]:
    """Return the figures of one encoder on one dataset."""
    from fuserec import evaluate
    from fuserec.features import item_features

    run = run or RunOptions(seed=0)
    with tempfile.TemporaryDirectory(prefix="fuserec-bench-") as place:
        features = {**ENCODERS[name], "cache": {"folder": place}}
        if name == GLOVE:
            features["sentence"] = {
                "kind": "glove",
                "glove": {"path": str(glove_file(dataset, Path(place), run))},
            }
        configs = {BOTH: _config(features, {}, tune=True)}
        if name != "tf-idf":
            configs[ALONE] = _config(
                features, {"sentence_share": 1.0, "text_sentence_share": 1.0}, tune=False
            )
        began = time.process_time()
        facts = item_features(dataset, configs[BOTH].features, run).facts.get("encoder_facts", {})
        seconds = time.process_time() - began
        results = evaluate(dataset, configs, split=split, models=("content",), run=run)
    models = json.loads(results.to_json())["models"]
    figures = {way: models.get(f"{way}.content", models.get("content")) for way in configs}
    kept = {
        way: {m: {k: round(v, 5) for k, v in one["metrics"][m].items()} for m in SHOWN}
        for way, one in figures.items()
    }
    return {**kept, "cpu_s": round(seconds, 1), "facts": facts, "commit": records.commit()}


def _config(features: dict[str, Any], content: dict[str, Any], *, tune: bool) -> RecommenderConfig:
    """Return a configuration of content alone."""
    table = {"features": features, "fusion": {"tune": tune}, "parts": {"content": content}}
    return RecommenderConfig.parse(table, "bench.text_encoders")


def glove_file(dataset: Dataset, folder: Path, run: RunOptions) -> Path:
    """Train GloVe on the items' text and write it as the makers' program does."""
    from fuserec.encoders.features import FeatureConfig
    from fuserec.encoders.text import item_text
    from fuserec.encoders.word_config import GloveConfig
    from fuserec.encoders.word_training import train_glove

    texts = item_text(dataset.item_table)
    words, table = train_glove(texts, GloveConfig(), FeatureConfig().lexical.ngrams, run)
    return write_glove(folder / "glove.txt", words, table)


def write_glove(path: Path, words: Words, table: np.ndarray) -> Path:
    """Write a line a word: the word, and its numbers."""
    with path.open("w", encoding="utf-8") as file:
        for term, vector in zip(words.terms, table, strict=True):
            file.write(f"{term} {' '.join(map(str, vector.tolist()))}\n")
    return path


def told(row: dict[str, Any]) -> str:
    """Return NDCG@10 of one encoder in words."""
    figures = [f"{way} {row[way]['ndcg@10']['value']:.4f}" for way in (BOTH, ALONE) if way in row]
    return f"NDCG@10 {', '.join(figures)}; {row['cpu_s']} s"


def section(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        "## Content by encoder\n",
        "`python -m bench.text_encoders`: the scorer `content` with each encoder of "
        "[item text](docs/text-encoders.md), words and vectors with their shares tuned on validation as in the "
        "default, and the vectors alone. All but MiniLM have seen nothing but the catalogue's own text. CPU seconds "
        "are of training, where there is any, and of reading the whole catalogue.\n",
    ]
    for place, rows in found.items():
        key = next(k for k in sorted(datasets.DATASETS, key=len, reverse=True) if place.startswith(f"{k}-"))
        split = place.removeprefix(f"{key}-")
        lines += [
            f"### {datasets.DATASETS[key].title}, {split}\n",
            "| encoder | recall@10 | NDCG@10 | NDCG@10, vectors alone | CPU s | text without vectors | commit |",
            "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        ]
        for name in [n for n in ENCODERS if n in rows]:
            row = rows[name]
            both = " | ".join(page.cell(row[BOTH][metric]) for metric in SHOWN)
            unknown = row["facts"].get("unknown_share")
            share = "–" if unknown is None else f"{unknown:.1%}"
            alone = page.cell(row.get(ALONE, {}).get("ndcg@10"))
            lines.append(f"| {name} | {both} | {alone} | {row['cpu_s']:,.1f} | {share} | {row['commit']} |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Measure and print the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default=",".join(STANDARD), help="datasets, separated by commas")
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="encoders, separated by commas")
    a = parser.parse_args()
    only, wanted = (tuple(word for word in text.split(",") if word) for text in (a.only, a.encoders))
    unknown = [name for name in only if name not in datasets.DATASETS]
    unknown += [name for name in wanted if name not in ENCODERS]
    if unknown or not a.data.is_dir():
        print(
            f"error: no such dataset, encoder or folder: {', '.join(unknown) or a.data} (datasets: "
            f"{', '.join(datasets.DATASETS)}; encoders: {', '.join(ENCODERS)})",
            file=sys.stderr,
        )
        return 1
    print(section(run(a.data, only, wanted)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
