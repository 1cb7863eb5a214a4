"""``fuserec demo``: everything on the bundled sample, offline: answers with reasons, figures, a report, a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.cli.screen import Debug, Json, Quiet, Screen, Seed, Threads, one_line

if TYPE_CHECKING:
    from fuserec.answers import Answer
    from fuserec.evaluation.results import EvaluationResults
    from fuserec.recommender import Recommender
    from fuserec.run import RunOptions

COLUMNS = ("title", "categories", "brand", "tags", "description")
"""What of a work is read: the sample's sentences say more than its titles."""

READER = "reader-0139"
LIKED = ("dune", "foundation", "the-left-hand-of-darkness")
SENTENCE = "a quiet novel about memory, duty and regret"
SEARCHED = ("country house murder", "clever detective")
NEW_ID, NEW_TITLE = "the-lighthouse", "The Lighthouse"
NEW_WANTED = "alone in a lighthouse by the sea"
LIKE = "spirited-away"
SOUGHT = "desert planet"
K = 5


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where report.html and model are written.")] = Path("demo"),
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show everything on the bundled sample, offline: who asks how gets what and why, how good it is, a report."""
    screen = Screen(json, quiet, debug)
    from fuserec.config import RecommenderConfig
    from fuserec.data.sample import sample
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.runner import evaluate
    from fuserec.persistence import check_destination
    from fuserec.recommender import Recommender

    check_destination(out / "model")
    config = RecommenderConfig.parse({"features": {"text": {"columns": COLUMNS}}}, "the demo's configuration")
    dataset = sample()
    _opening(screen, dataset)
    with screen.working("fitted", seed=seed, threads=threads) as run:
        model = Recommender(config).fit(dataset, run)
    answers = _Answers(screen, model)
    answers.all(run)
    screen.remark("Now the same is measured: each reader's last choice is hidden, and has to be found.")
    with screen.working("evaluated", seed=seed, threads=threads) as run:
        results = evaluate(dataset, config, split=SplitConfig(), run=run)
    _closing(screen, results, answers, out)
    _write(model, results, out)
