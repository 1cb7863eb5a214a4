"""``fuserec fit``: a folder of data to a model folder."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.cli.checkpoints import Checkpoints, checkpoints
from fuserec.cli.screen import Debug, Device, Format, Json, Quiet, Screen, Seed, Threads
from fuserec.cli.tracks import Track, tracking
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.data.check import CheckReport

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def fit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.", show_default=False)],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A configuration (TOML).")] = None,
    format: Format = "folder",
    budget: Annotated[str | None, typer.Option("--budget", help="Time to spend: 90s, 10m, 1h.")] = None,
    histories: Annotated[
        bool, typer.Option("--histories/--no-histories", help="Whether the model keeps what users did.")
    ] = True,
    bundle_encoder: Annotated[
        bool, typer.Option("--bundle-encoder", help="Take the language model's weights into the folder.")
    ] = False,
    resumable: Checkpoints = None,
    track: Track = None,
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit a model on a dataset and write it as a folder; without a configuration the data choose the parts."""
    screen = Screen(json, quiet, debug)
    deadline = None if budget is None else time.monotonic() + seconds(budget)
    from fuserec.config import RecommenderConfig, load_config
    from fuserec.data.readers import read
    from fuserec.persistence import check_destination
    from fuserec.recommender import Recommender

    check_destination(out)
    chosen = tracking(RecommenderConfig() if config is None else load_config(config), track)
    kept = resumable or out.with_name(f"{out.name}.checkpoints")
    with (
        checkpoints(kept) as folder_of_checkpoints,
        screen.working(
            f"fitted and written to {out}",
            seed=seed,
            threads=threads,
            device=device,
            deadline=deadline,
            checkpoints=folder_of_checkpoints,
        ) as run,
    ):
        dataset, report = read(folder, format)
        say_cleaning(screen, report)
        model = Recommender(chosen).fit(dataset, run)
        model.save(out, histories=histories, bundle_encoder=bundle_encoder)
    info = model.info()
    screen.result(info, *([] if screen.json else summary(info)))


def seconds(budget: str, option: str = "--budget") -> float:
    """Return the seconds of a time such as ``90s``, ``10m`` or ``1.5h``.

    Raises
    ------
    RequestError
        For anything else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", budget)
    if found is None or float(found[1]) == 0:
        raise RequestError(f"{option} {budget!r}: write a number and s, m or h, e.g. 90s, 10m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def say_cleaning(screen: Screen, report: CheckReport) -> None:
    """Remark on what reading dropped or mended."""
    if report.dropped or report.mended:
        screen.remark(
            f"note: reading dropped {_counted(report.dropped, 'row')} and mended {_counted(report.mended, 'value')} "
            "(`fuserec data check` tells which and why)"
        )


def _counted(count: int, what: str) -> str:
    """Return a number of things."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _reader(info: dict[str, Any]) -> str:
    """Return in words what reads the text; ``--json`` has the whole fingerprint."""
    encoder, own = info["encoder"], info.get("encoder_facts")
    if own and encoder.startswith(f"{own['kind']}:"):
        without = f"; {own['unknown_share']:.1%} of the text has no vector" if "unknown_share" in own else ""
        return f"words and {own['kind']} ({own['words']:,} words{without})"
    if not encoder.startswith("sentence:"):
        return "words alone"
    backend, *precision = encoder.split(":")[2:4]
    return f"words and the language model ({', '.join([backend, *precision])})"


def _told(facts: Any) -> str:
    """Return in words what a part tells of its fit."""
    if isinstance(facts, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_told(value)}" for name, value in facts.items())
    if isinstance(facts, list):
        return "; ".join(_told(one) for one in facts)
    return (
        f"{facts:,.4g}"
        if isinstance(facts, float)
        else f"{facts:,}"
        if isinstance(facts, int)
        else str(facts)
    )


def summary(info: dict[str, Any]) -> list[Any]:
    """Return what a model is, for the screen: its data, and its parts with what validation says of them."""
    from fuserec.cli.show import pairs, plain_table

    data = info["dataset"]
    count = f"{data['users']:,} users, {data['items']:,} items, {data['interactions']:,} interactions"
    rows = [("data", f"{data['name']}: {count}"), ("text read by", _reader(info))]
    rows += [("seed", str(info["seed"]))]
    if "fit_s" in info:
        rows.append(("fitted in", f"{info['fit_s']:.1f} s"))
    for name in ("updates", "stale", "pending"):
        if info.get(name):
            value = info[name]
            rows.append((name, ", ".join(value) if isinstance(value, list | tuple) else str(value)))
    validation = info.get("validation", {})
    others = [name for name in validation if " " in name]  # what the fusion was compared with
    decisions = info.get("decisions", ())
    rows += [("decided" if place == 0 else "", sentence) for place, sentence in enumerate(decisions)]
    rows += [(name, _told(facts)) for name, facts in info.get("told", {}).items()]
    left = [name for name in validation if name not in ("fused", *others, *info["parts"])]
    if left and not decisions:  # a model of an earlier release
        rows.append(("left out", f"{', '.join(left)}: no gain on validation"))
    weights = info["weights"]
    parts = plain_table(
        "part", "weight with a short history", "a long one", "a text alone", "NDCG on validation"
    )
    for name in dict.fromkeys(["fused", *others, *info["parts"]]):
        cohorts = ("short", "long", "none+text")
        cells = [f"{weights[c][name]:.3f}" if name in info["parts"] else "" for c in cohorts]
        ndcg = validation.get(name)
        parts.add_row(name, *cells, "" if ndcg is None else f"{ndcg:.4f}")
    return [pairs(rows), parts]
