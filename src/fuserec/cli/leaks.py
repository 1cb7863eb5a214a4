"""``fuserec data leaks``: what of the held-out answers a model could learn or be told, before any model is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.cli.data import Folder, Items
from fuserec.cli.protocol import Folds, Given, GivenEvents, Options, Share, Split, Targets
from fuserec.cli.screen import Debug, Format, Json, Quiet, Screen, Seed
from fuserec.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from fuserec.evaluation.leakage import Leak


def leaks(
    folder: Folder,
    split: Split = "last-out",
    share: Share = None,
    given: Given = None,
    given_events: GivenEvents = None,
    targets: Targets = "all",
    folds: Folds = 1,
    format: Format = "folder",
    items: Items = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look for what lets a model know the answers of a split; status 1 where something leaks.

    Of folds the first is looked at. `fuserec evaluate --check-leaks` tries the models themselves.
    """
    screen = Screen(json, quiet, debug)
    from fuserec.data.readers import read
    from fuserec.data.splits import split as split_data
    from fuserec.evaluation.leakage import CHECKS
    from fuserec.evaluation.leakage import leaks as found_in

    config = Options(split, share, given, given_events, targets, folds).config()
    with screen.working("checked", seed=seed) as run:
        dataset, _ = read(folder, format, items=items)
        found = found_in(dataset, split_data(dataset, config, run.seed))
    said = {"split": config.model_dump(), "checks": list(CHECKS), "found": [vars(leak) for leak in found]}
    screen.result(said, _table(found, len(CHECKS)))
    bad = [leak.check for leak in found if leak.level == "leak"]
    if bad:
        raise DataError(
            f"{folder}: with --split {split} answers leak ({', '.join(dict.fromkeys(bad))}): see above"
        )


def _table(found: list[Leak], checks: int) -> Table:
    """Return what was found, the worst first."""
    from rich.text import Text

    from fuserec.cli.screen import one_line
    from fuserec.cli.show import plain_table

    table = plain_table("level", "check", "count", "what", title=f"{checks} checks for leaks")
    styles = {"leak": "red", "suspect": "yellow", "known": "cyan"}
    for leak in found:
        table.add_row(
            Text(leak.level, style=styles[leak.level]), leak.check, f"{leak.count:,}", one_line(leak.message)
        )
    if not found:
        table.add_row("", "", "0", Text("nothing leaks", style="dim"))
    return table
