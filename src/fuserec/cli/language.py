"""``fuserec models tune`` and ``compress``: a text encoder that is adapted to a catalogue, and made small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.cli.checkpoints import Checkpoints, checkpoints
from fuserec.cli.fit import say_cleaning
from fuserec.cli.screen import Debug, Device, Format, Json, Quiet, Screen, Seed, Threads
from fuserec.errors import ConfigError, ModelFormatError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from fuserec.data.splits import SplitConfig
    from fuserec.encoders.tuned import Seen
    from fuserec.neural.language.adapt.compress import PairScores

Split = Annotated[
    str, typer.Option("--split", help="As in `evaluate`: only its training part is seen; none sees all rows.")
]
Share = Annotated[float, typer.Option("--share", help="What the split holds out, as in `evaluate`.")]

Columns = Annotated[
    str | None, typer.Option("--columns", help="Columns of an item's text, divided by commas.")
]


def tune(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.", show_default=False)],
    base: Annotated[
        str, typer.Option("--base", help="minilm, a folder of a language model, or a name on the hub.")
    ] = "minilm",
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings of the training (TOML).")
    ] = None,
    objective: Annotated[str | None, typer.Option("--objective", help="pairs, masked or causal.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="item, events or titles (pairs).")] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="full, last_layers, biases, lora, adalora or hira."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the examples.")] = None,
    max_pairs: Annotated[int | None, typer.Option("--max-pairs", help="Pairs of an epoch.")] = None,
    newest: Annotated[
        float | None,
        typer.Option("--newest", help="Go on with --base: learn this share of the examples, the newest."),
    ] = None,
    replay: Annotated[
        float | None,
        typer.Option("--replay", help="With --newest: share of an epoch that is older examples."),
    ] = None,
    columns: Columns = None,
    split: Split = "last-out",
    share: Share = 0.1,
    format: Format = "folder",
    resumable: Checkpoints = None,
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Adapt a text encoder to a catalogue, and write it as a folder that a configuration can name."""
    screen = Screen(json, quiet, debug)
    from fuserec.neural import require

    require("tuning a language model")
    from fuserec.data.readers import read
    from fuserec.neural.language.adapt import adapt
    from fuserec.neural.language.adapt.adaptation import require_merged
    from fuserec.neural.language.adapt.folder import check_destination, megabytes

    check_destination(out)
    given = {"objective": objective, "query": query, "epochs": epochs, "max_pairs": max_pairs}
    told = _settings(config, given, {"method": method}, {"newest": newest, "replay": replay}, columns)
    require_merged(told.tuning.method)
    protocol = split_of(split, share)
    kept = resumable or out.with_name(f"{out.name}.checkpoints")
    with (
        checkpoints(kept) as folder_of_checkpoints,
        screen.working(
            f"tuned and written to {out}",
            seed=seed,
            threads=threads,
            device=device,
            checkpoints=folder_of_checkpoints,
        ) as run,
    ):
        dataset, report = read(folder, format)
        say_cleaning(screen, report)
        adapted = adapt(dataset, told, run, base=base, split=protocol)
        adapted.save(out)
    facts = {"folder": str(out), "megabytes": round(megabytes(out), 1), **adapted.facts}
    screen.result(facts, *([] if screen.json else [_summary(facts)]))


def compress(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model folder, or minilm.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.", show_default=False)],
    form: Annotated[str | None, typer.Option("--form", help="int8, layers or pruned.")] = None,
    layers: Annotated[
        int | None, typer.Option("--layers", help="layers: how many stay; by default half.")
    ] = None,
    amount: Annotated[float | None, typer.Option("--pruned", help="pruned: share of the weights.")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="A smaller model that learns from MODEL instead.")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            help="A fitted model whose part or last stage language_pair teaches pairs: a cross-encoder, for example.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The dataset folder on whose texts it is taught again.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes of teaching; 0: none.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="More settings (TOML).")] = None,
    columns: Columns = None,
    split: Split = "last-out",
    share: Share = 0.1,
    format: Format = "folder",
    resumable: Checkpoints = None,
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a smaller form of a text encoder: int8, fewer layers, pruned, or a student taught by it."""
    screen = Screen(json, quiet, debug)
    from fuserec.neural import require

    require("compressing a language model")
    from fuserec.data.readers import read
    from fuserec.neural.language.adapt import compress as write_smaller
    from fuserec.neural.language.adapt.folder import check_destination, megabytes

    check_destination(out)
    given = {"form": form, "layers": layers, "share": amount, "epochs": epochs}
    told = _smaller(config, given, columns, student, taught=data is not None)
    protocol = split_of(split, share)
    done = f"compressed and written to {out}"
    with (
        checkpoints(resumable or out.with_name(f"{out.name}.checkpoints")) as place,
        screen.working(done, seed=seed, threads=threads, device=device, checkpoints=place) as run,
    ):
        scores, seen = pair_teacher(teacher)
        facts = write_smaller(
            model,
            out,
            told,
            run,
            data=None if data is None else read(data, format)[0],
            split=protocol,
            student=student,
            scores=scores,
            taught_on=seen,
        )
    value = {"folder": str(out), "megabytes": round(megabytes(out), 1), **facts}
    screen.result(value, *([] if screen.json else [_compressed(value)]))


def _smaller(
    path: Path | None, given: dict[str, Any], columns: str | None, student: str | None, taught: bool
) -> Any:
    """Return the settings of a compression; ``--layers`` and ``--pruned`` name their form themselves.

    Raises
    ------
    RequestError
        For a form beside a student, which is another model, for an option of another form than the one asked for, and
        for lessons of a form that has none.
    """
    from fuserec.neural.language.adapt import CompressConfig

    if student is not None and any(given[name] is not None for name in ("form", "layers", "share")):
        raise RequestError(
            "--student: another model learns as it is, so --form, --layers and --pruned say nothing: leave them out, "
            "or make the student small in a command of its own"
        )
    values = _values(path, given, columns)
    for option, own in (("layers", "layers"), ("share", "pruned")):
        if given[option] is not None and values.setdefault("form", own) != own:
            raise RequestError(
                f"--{own} is for --form {own}, not for {values['form']}: leave one of them out"
            )
    told = CompressConfig.parse(values, _place(path, "models compress"))
    if told.form == "int8" and student is None and (taught or given["epochs"]):
        raise RequestError(
            "--form int8 teaches nothing, so --data and --epochs say nothing: leave them out, or choose --form layers "
            "or pruned"
        )
    return told


def pair_teacher(folder: Path | None) -> tuple[PairScores | None, list[Seen]]:
    """Return what the language model of pairs of a fitted model says of texts, and what it has learnt from.

    Nobody teaches without a folder.

    The last stage before the parts, and one that reads both texts at once before others: those are the better teachers.

    Raises
    ------
    RequestError
        Where the model has none.
    """
    if folder is None:
        return None, []
    from fuserec.encoders.tuned import Seen, seen_by
    from fuserec.judged import pair_scorer
    from fuserec.neural.language.pairs.text import SEPARATOR
    from fuserec.recommender import Recommender

    try:
        fitted = Recommender.load(folder).fitted
    except ModelFormatError as fault:
        raise ModelFormatError(f"--teacher {fault}") from None
    part, data = pair_scorer(fitted.fused), fitted.dataset
    if part is None:
        said = fitted.fused.facts.get("last_stage", {}).get("said", "")
        raise RequestError(
            f"--teacher {folder}: none of its parts is a language_pair: fit a model with [parts.language_pair] or with "
            f"it as [fusion.last_stage]{said and f' ({said})'}"
        )
    taught = Seen(data.info.name, data.fingerprint, data.fingerprint, {"protocol": "none"})

    def scores(people: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Return logits of pairs, histories told as the model has learnt to read them."""
        return part.of_texts([SEPARATOR.join(told.split("\n")) for told in people], items)

    return scores, [*seen_by(part.config.model), taught]


def split_of(split: str, share: float) -> SplitConfig | None:
    """Return the split of the options; None for ``none``."""
    from fuserec.data.splits import SplitConfig

    if split == "none":
        return None
    return SplitConfig.parse({"protocol": split, "share": share}, "--split and --share")


def listed(columns: str) -> list[str]:
    """Return the names that stand between commas."""
    return [name.strip() for name in columns.split(",") if name.strip()]


def _settings(
    path: Path | None,
    given: dict[str, Any],
    tuning: dict[str, Any],
    continual: dict[str, Any],
    columns: str | None,
) -> Any:
    """Return the settings of a training: those of the file, and on top of them those of the options."""
    from fuserec.neural.language.adapt import AdaptConfig

    values = _values(path, given, columns, {"tuning": tuning, "continual": continual})
    config = AdaptConfig.parse(values, _place(path, "models tune"))
    if continual["replay"] is not None and config.continual.newest is None:
        raise RequestError("--replay: says which older examples stand beside the newest: name --newest too")
    return config


def _values(
    path: Path | None,
    given: dict[str, Any],
    columns: str | None,
    tables: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return what a file says, and on top of it the options that are given, those of tables too."""
    values = {} if path is None else read_toml(path)
    values |= {name: value for name, value in given.items() if value is not None}
    tables = {**(tables or {}), "text": {"columns": None if columns is None else listed(columns)}}
    for table, own in tables.items():
        said = {name: value for name, value in own.items() if value is not None}
        if said and isinstance(values.get(table, {}), dict):  # what is no table is refused by the settings
            values[table] = {**values.get(table, {}), **said}
    return values


def _place(path: Path | None, command: str) -> str:
    """Return where settings come from, for errors."""
    return command if path is None else f"{command}, {path}"


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises
    ------
    ConfigError
        Where it cannot be read.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{path}: cannot be read as TOML ({fault})") from None


def _summary(facts: dict[str, Any]) -> Any:
    """Return what a tuned model is, for the screen."""
    from fuserec.cli.show import pairs

    figures, config = facts["figures"], facts["config"]
    what = f"{config['objective']}" + (f" ({config['query']})" if config["objective"] == "pairs" else "")
    kept = figures["kept"]
    rows = [
        ("model", facts["folder"]),
        ("base", facts["base"]["name"]),
        ("learnt from", what),
        (
            "trained",
            f"{config['tuning']['method']}: {figures['parameters_trained']:,} of {figures['parameters']:,}",
        ),
        ("training", _training(figures)),
        *_by_epoch(figures["held_out"], config["objective"] == "pairs"),
        ("size", f"{facts['megabytes']:.1f} MB"),
        ("similarity kept", f"{kept['general']:.3f} of sentences, {kept['catalogue']:.3f} of the catalogue"),
        ("agrees with people", f"{kept['graded']:.3f}, before {kept['graded_before']:.3f}"),
        *[(f"on what is {part}", _changed(figures["continual"][f"on_{part}"])) for part in _parts(figures)],
        ("read it by", f'[features.sentence] model = "{facts["folder"]}"'),
    ]
    return pairs(rows)


def _training(told: dict[str, Any]) -> str:
    """Return how long a training took."""
    epochs, steps = told["epochs"], told["steps"]
    return (
        f"{told['seconds']:.0f} s, {epochs} epoch{'s' if epochs != 1 else ''}, "
        f"{steps:,} step{'s' if steps != 1 else ''}"
    )


def _by_epoch(values: Sequence[float], pairs: bool) -> list[tuple[str, str]]:
    """Return the figure of each epoch on what was held out; nothing where nothing was."""
    if not values:
        return []
    what, figure = ("held-out people", "NDCG@10") if pairs else ("held-out texts", "log-likelihood of a word")
    return [(f"on {what}", f"{figure} {', '.join(f'{value:.4f}' for value in values)} (by epoch)")]


def _parts(figures: dict[str, Any]) -> list[str]:
    """Return the parts on which a training that went on was measured before and after."""
    return [part for part in ("old", "new") if f"on_{part}" in figures.get("continual", {})]


def _changed(told: dict[str, Any]) -> str:
    """Return a figure before and after, with the interval of the difference."""
    ends = f"({told['low']:+.4f} to {told['high']:+.4f})"
    return f"NDCG@10 {told['before']:.4f}, then {told['after']:.4f}: {told['change']:+.4f} {ends}"


def _compressed(value: dict[str, Any]) -> Any:
    """Return what a smaller model is, for the screen."""
    from fuserec.cli.show import pairs

    step = value["compression"][-1]
    rows = [("model", value["folder"]), ("size", f"{value['megabytes']:.1f} MB"), ("form", step["form"])]
    if "student" in step:
        rows.append(("student", step["student"]))
    if "kept" in step:
        rows.append(
            ("layers", f"{len(step['kept'])}: of those before {', '.join(map(str, step['kept']))} (from 0)")
        )
    if "parameters" in step:
        rows.append(("parameters", f"{step['parameters']:,}"))
    if "sparse_megabytes" in step:
        stored = (
            f"{step['sparse_megabytes']:.1f} MB stored sparsely, {step['dense_megabytes']:.1f} MB as it is"
        )
        rows.append(("zeros", f"{step['zeros']:.0%} of the weights: {stored}"))
    if "taught_by" in step:
        rows += [("taught by", step["taught_by"]), ("training", _training(step))]
    return pairs([*rows, ("read it by", f'[features.sentence] model = "{value["folder"]}"')])
