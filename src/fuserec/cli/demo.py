"""``fuserec demo``: everything on the bundled sample, offline: answers with reasons, figures, a report, a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.cli.screen import Debug, Json, Quiet, Screen, Seed, Threads, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fuserec.answers import Answer
    from fuserec.data.dataset import Dataset
    from fuserec.evaluation.results import EvaluationResults
    from fuserec.recommender import Recommender
    from fuserec.run import RunOptions

COLUMNS = ("title", "categories", "brand", "tags", "description")
"""What of a work is read: the sample's sentences say more than its titles."""

READER = "reader-0204"
LIKED = ("kind-of-blue", "time-out", "getz-gilberto")
SENTENCE = "a quiet novel about memory, duty and regret"
SEARCHED = ("space opera", "first contact with aliens")
NEW_ID, NEW_TITLE = "red-mars", "Red Mars"
NEW_WANTED = "the first colony on Mars"
GIVEN = "spirited-away"
SOUGHT = "desert planet"
K = 5
RECENT = 5
"""Works of a reader's history that are named."""


@dataclass(frozen=True)
class Case:
    """One question to the model: who asks, what is known of them, and the answer."""

    name: str
    heading: str
    known: str
    answer: Answer


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder for report.html and model.", show_default=True)
    ] = Path("demo"),
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show everything on the bundled sample, offline: answers with reasons, how good they are, and a report."""
    screen = Screen(json, quiet, debug)
    from fuserec.config import RecommenderConfig
    from fuserec.data.sample import sample
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.report import write_html
    from fuserec.evaluation.runner import evaluate
    from fuserec.persistence import check_destination
    from fuserec.recommender import Recommender

    check_destination(out / "model")
    config = RecommenderConfig.parse({"features": {"text": {"columns": COLUMNS}}}, "the demo's configuration")
    with screen.working("fitted", seed=seed, threads=threads) as run:
        dataset = sample()
        screen.show(*_opening(dataset))
        model = Recommender(config).fit(dataset, run)
    cases = [*_people(model), _newcomer(model, run), *_works(model)]
    about = _about(dataset)
    for number, case in enumerate(cases, 1):
        screen.show(*_shown(number, case, about), *(_evidence(case) if number == 1 else ()))
    with screen.working("evaluated", seed=seed, threads=threads) as run:
        results = evaluate(dataset, config, split=SplitConfig(), run=run)
    report, folder = out / "report.html", out / "model"
    out.mkdir(parents=True, exist_ok=True)
    write_html(results, report)
    model.save(folder)
    if screen.json:
        answers = {case.name: case.answer.to_json() for case in cases}
        files = {"report": str(report), "model": str(folder)}
        figures = results.model_dump(mode="json")
        screen.result({"note": dataset.info.note, "answers": answers, "evaluation": figures, "files": files})
        return
    screen.show(*_figures(results, screen.width), *_closing(report, folder))


def _people(model: Recommender) -> list[Case]:
    """Ask for a reader with a history, for somebody with three likes, with a sentence, with two searches."""
    from fuserec.data.query import Event

    searches = [Event(text=text, kind="search") for text in SEARCHED]
    return [
        Case(
            "reader",
            f"{READER}, a simulated reader with a history",
            _reader(model.fitted.dataset),
            model.recommend(user=READER, k=K, explain=True),
        ),
        Case(
            "liked",
            "Somebody unknown who liked three albums",
            "liked: " + ", ".join(model.fitted.titles[model.fitted.item(item)] for item in LIKED),
            model.recommend(history=list(LIKED), k=K, explain=True),
        ),
        Case(
            "sentence",
            "Somebody unknown who says one sentence",
            f"“{SENTENCE}”",
            model.recommend(text=SENTENCE, k=K, explain=True),
        ),
        Case(
            "searches",
            "Somebody unknown who searched twice",
            "searched: " + ", then ".join(f"“{text}”" for text in SEARCHED),
            model.recommend(history=searches, k=K, explain=True),
        ),
    ]


def _newcomer(model: Recommender, run: RunOptions) -> Case:
    """Add a work of which only the title is known, and ask for what it is about; the model itself stays."""
    from fuserec.recommender import Recommender

    started = time.perf_counter()
    grown = Recommender.of(model.config, model.fitted)
    grown.update(items=[{"item_id": NEW_ID, "title": NEW_TITLE}], run=run)
    answer = grown.recommend(text=NEW_WANTED, k=K, explain=True)
    seconds = time.perf_counter() - started
    known = (
        f"“{NEW_TITLE}” was added with nothing but its title {seconds:.1f} s ago; asked for: “{NEW_WANTED}”"
    )
    return Case("new_item", "A new work, chosen by nobody yet", known, answer)


def _works(model: Recommender) -> list[Case]:
    """Ask what goes with a work, and search."""
    title = model.fitted.titles[model.fitted.item(GIVEN)]
    return [
        Case("similar", f"What goes with {title}", "", model.similar(GIVEN, K)),
        Case("search", f"Search: “{SOUGHT}”", "words and meaning together", model.search(SOUGHT, K)),
    ]


def _reader(dataset: Dataset) -> str:
    """Return what is known of the reader: the profile and the newest of the history."""
    user = dataset.users.index(READER)
    profile = dataset.user_table["text"][user] or ""
    taken = dataset.interactions.item[dataset.indptr[user] : dataset.indptr[user + 1]]
    about, titles = _about(dataset), dataset.item_table["title"]
    named = [f"{titles[int(item)]} ({about[dataset.items[int(item)]]})" for item in taken[::-1]]
    said = f"says: “{profile}”; " if profile else ""
    return f"{said}chose lately: {'; '.join(list(dict.fromkeys(named))[:RECENT])}"


def _about(dataset: Dataset) -> dict[str, str]:
    """Return what each work is, in two words, by id."""
    table = dataset.item_table
    kinds, years = table["categories"].to_list(), table["year"].to_list()
    words = [
        ", ".join(str(part) for part in (*(kind or ())[:1], year) if part)
        for kind, year in zip(kinds, years, strict=True)
    ]
    return dict(zip(dataset.items.ids(), words, strict=True)) | {NEW_ID: "new"}


def _opening(dataset: Dataset) -> list[RenderableType]:
    """Say what is shown."""
    from rich.panel import Panel
    from rich.text import Text

    count = f"{dataset.n_items} works, {dataset.n_users} readers, {dataset.n_interactions:,} choices"
    text = Text.assemble(
        ("FuseRec on its bundled sample: ", "bold"),
        f"{count}.\n",
        ("Works are real; readers are simulated.", "bold yellow"),
    )
    return [Panel(text, expand=False, padding=(0, 2))]


def _shown(number: int, case: Case, about: dict[str, str]) -> list[RenderableType]:
    """Return a case as it is printed."""
    from rich.padding import Padding
    from rich.text import Text

    from fuserec.cli.show import answer_table, hits_table

    head = Text(f"\n{number}  {shown(case.heading, 90)}", style="bold cyan")
    lines: list[RenderableType] = [head]
    if case.known:
        lines.append(Padding(Text(shown(case.known, 400), style="italic"), (0, 0, 0, 3)))
    found = (
        hits_table(case.answer, about)
        if case.name == "search"
        else answer_table(case.answer, about, evidence=False)
    )
    return [*lines, found]


def _evidence(case: Case) -> list[RenderableType]:
    """Return the evidence of a case's first item."""
    from rich.padding import Padding
    from rich.text import Text

    from fuserec.cli.show import evidence_table

    first = case.answer.items[0]
    said = Text(f"Every score is a sum of evidence; that of “{shown(first.title)}” is:", style="italic")
    return [Padding(said, (0, 0, 0, 3)), Padding(evidence_table(first), (0, 0, 0, 3))]


def _figures(results: EvaluationResults, width: int) -> Sequence[RenderableType]:
    """Return the table of figures with a heading."""
    from rich.text import Text

    from fuserec.evaluation.report import terminal_table
    from fuserec.evaluation.summary import summary

    head = "\nHow good is it? Each reader's last choice was hidden, and all works were ranked to find it."
    said = Text("\n".join((*summary(results), *results.notes)))
    return [Text(head, style="bold cyan"), terminal_table(results, width=width), said]


def _closing(report: Path, folder: Path) -> list[RenderableType]:
    """Say what was written and what to try next."""
    from rich.text import Text

    text = Text.assemble(
        ("\nWritten: ", "bold"),
        f"{report} (open it in a browser) and {folder}\n",
        ("Try: ", "bold"),
        f'fuserec recommend {folder} --text "{SENTENCE}" --explain\n',
        f"     fuserec explain {folder} --user {READER} --item {GIVEN}",
    )
    return [text]
