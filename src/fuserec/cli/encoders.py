"""``fuserec models compare``: encoders side by side, before and after their tuning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.cli.language import Columns, Share, listed
from fuserec.cli.screen import Debug, Device, Format, Quiet, Screen, Seed, Threads, encoded, out_file
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.evaluation.encoders import EncoderComparison
    from fuserec.evaluation.statistics import Difference, Estimate


def compare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.", show_default=False)],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="minilm, a folder or a name on the hub; with :float32 after it in full precision. May be given "
            "again; the first is what the others are compared with.",
        ),
    ],
    split: Annotated[str, typer.Option("--split", help="As in `evaluate`.")] = "last-out",
    share: Share = 0.1,
    columns: Columns = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(
            "--shift",
            help="Repeat the test on faulty texts: typos:0.1, words:0.2 (left out) or span:0.2 (cut away), with the "
            "share of the words. May be given again.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the results as JSON; - is standard output.")
    ] = None,
    format: Format = "folder",
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure text encoders side by side, each as a content scorer alone: accuracy, size, speed, what is kept."""
    printed = json is not None and str(json) == "-"
    screen = Screen(printed, quiet, debug)
    if json is not None and not printed:
        out_file(json, "--json")
    from fuserec.data.readers import read
    from fuserec.data.splits import SplitConfig
    from fuserec.encoders.noise import shift_named
    from fuserec.encoders.text import TextConfig
    from fuserec.evaluation.encoders import compare_encoders, encoder_named, model_name

    wanted = [encoder_named(name) for name in model]
    named = {model_name(config): config for config in wanted}
    if len(named) < len(wanted):
        raise RequestError("--model: two encoders have the same name; rename one of the folders")
    protocol = SplitConfig.parse({"protocol": split, "share": share}, "--split and --share")
    text = TextConfig(columns=None if columns is None else tuple(listed(columns)))
    shifts = [shift_named(one) for one in shift or []]
    with screen.working("compared", seed=seed, threads=threads, device=device) as run:
        dataset, _ = read(folder, format)
        found = compare_encoders(dataset, named, split=protocol, text=text, shifts=shifts, run=run)
    value = found.to_json()
    if json is not None and not printed:
        json.write_text(encoded(value), encoding="utf-8")
        screen.remark(f"written: {json}")
    for note in found.notes:
        screen.remark(f"note: {note}")
    screen.result(value, *([] if screen.json else comparison_tables(found)))


def comparison_tables(found: EncoderComparison) -> list[Any]:
    """Return a comparison of encoders for the screen, in tables that 80 columns hold: accuracy, cost, what is kept."""
    from fuserec.cli.show import plain_table

    best = plain_table("encoder", "NDCG@10", "recall@10", title="how good they are")
    first = plain_table("encoder", "NDCG@10 against the first", "gain", "gain/ms", "AUC")
    cost = plain_table(
        "encoder", "trained", "training", "MB", "ms/text", "ms/request", title="what they cost"
    )
    kept = plain_table(
        *("encoder", "sentences", "catalogue", "graded", "whitening", "recency"),
        title="what is kept of similarity, and what validation has chosen",
    )
    for name, one in found.encoders.items():
        best.add_row(name, *(_interval(one.metrics[key]) for key in ("ndcg@10", "recall@10")))
        told = [] if one.gain is None else [one.relative, one.gain_per_ms]
        gains = [f"{100 * value:+.1f} %" for value in told] or ["", ""]
        first.add_row(name, _difference(one.gain), *gains, _figure(one.metrics["auc"]))
        trained = "" if one.trained is None else f"{_short(one.trained)} of {_short(one.parameters or 0)}"
        seconds = "" if one.training_s is None else f"{one.training_s:.0f} s"
        cost.add_row(
            name, trained, seconds, f"{one.megabytes:.1f}", f"{one.ms_text:.2f}", f"{one.ms_request:.1f}"
        )
        shares = (f"{one.kept[key]:.3f}" for key in ("general", "catalogue", "graded"))
        kept.add_row(name, *shares, "auto" if one.exponent is None else str(one.exponent), str(one.recency))
    return [best, first, cost, kept, *_shift_table(found)]


def _short(count: int) -> str:
    """Return a number of parameters in few letters."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.1f} {letter}"
    return str(count)


def _shift_table(found: EncoderComparison) -> list[Any]:
    """Return what faulty texts cost each encoder, where that was asked."""
    from fuserec.cli.show import plain_table

    if not any(one.shifted for one in found.encoders.values()):
        return []
    table = plain_table("encoder", "texts", "NDCG@10", "change", "against the first", title="on faulty texts")
    for name, one in found.encoders.items():
        for shift, left in one.shifted.items():
            lost = f"{100 * left.relative:+.1f} %"
            table.add_row(name, shift, _figure(left.ndcg), lost, _difference(left.gain))
    return [table]


def _difference(gain: Difference | None) -> str:
    """Return a paired difference with its interval."""
    if gain is None or gain.difference is None:
        return ""
    return f"{gain.difference:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def _figure(figure: Estimate) -> str:
    """Return a figure without its interval."""
    return "" if figure.value is None else f"{figure.value:.4f}"


def _interval(figure: Estimate) -> str:
    """Return a figure with its interval."""
    ends = "" if figure.low is None else f" ({figure.low:.4f} to {figure.high:.4f})"
    return f"{_figure(figure)}{ends}"
