"""What of the documentation is read off the code: configuration.md, cli.md, and the scorers in the picture.

``python scripts/reference.py`` writes them; a test fails where they are not current.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

REPOSITORY = Path(__file__).resolve().parents[1]

WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", Any: "value"}
PICTURE = "docs/architecture.svg"
NAMES, TOP, BOTTOM, WIDTH = '  <g id="scorers" class="mono">', 128.0, 452.0, 122.0
"""Where in the picture the scorers are listed, from where to where, and how wide, in its units."""

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

CONFIGURATION = """\
# Configuration

<!-- written by scripts/reference.py from the code; do not edit -->

A configuration is a TOML file: `fuserec fit DIR --out MODEL --config FILE`, `fuserec evaluate DIR --config
FILE`, or `load_config(path)` in Python. Every key has a default, an unknown key fails and names the nearest
known one, and without a file the parts are chosen by the data. This one reads descriptions too, and fuses four
parts:

```toml
[features.text]
columns = ["title", "categories", "brand", "description"]

[parts.cooccurrence]
window = 20

[parts.ease]
regularization = 300.0

[parts.content]

[parts.trending]            # a part may bear any name where it says which scorer it is
scorer = "popularity"
half_life_days = 14.0
```
"""

PARTS = """
## Parts: `[parts.NAME]`

A part is a scorer with its hyperparameters. NAME is the scorer's name, or any other with `scorer = "..."` beside
it, so that one scorer can stand in the fusion several times. Without any `[parts]` table the parts are chosen by
the data (`fuserec.config.default_parts`). The keys marked *tuned* act on queries only: the fusion also tries other
values of them on validation, which costs no refit; `[fusion] tune = false` keeps yours.

Two keys may stand beside the hyperparameters of any part: `seeds = 3` fits that many copies with seeds of their own and
takes their mean (`averaged`), `debias = 0.5` lowers its scores of popular items (`debiased`; *tuned*).
[New items, new people, the long tail](cold-start.md) shows what they are for.
"""

RERANKERS_TEXT = """
## Rerankers: `[rerank.NAME]`

What puts scored candidates into the list that is shown ([guide](reranking.md)). NAME is the reranker's name, or any
other with `reranker = "..."` beside it, so that one can stand in the chain several times. They act in the order in
which their tables stand, or that `[rerank] order` names. Without any table lists are in the order of scores.
"""

LANGUAGE = """
## Files of `fuserec models tune` and `compress`

Settings of a training, `--config FILE` (see [adapting the language model](language-models.md)).
"""

AUDIT = """
## Audits of `fuserec evaluate`

Settings of `fuserec evaluate --audit FILE` (see [beside accuracy](fairness-and-information.md)).

"""

DATASET = """
## `dataset.toml`

Optional, in a dataset folder (see [data formats](data-formats.md)).
"""

CLI = """\
# The command line

<!-- written by scripts/reference.py from the code; do not edit -->

Exit status: 0 done; 1 the data, a value or the request is at fault, in one line on standard error that says what,
where, what is allowed and what to do; 2 an unknown flag or a missing argument. Progress goes to standard error,
so that standard output can be piped. A traceback comes only with `--debug`.
"""


def configuration() -> str:
    """Return docs/configuration.md."""
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset_toml import FolderSettings
    from fuserec.evaluation.audit import AuditConfig
    from fuserec.neural.language.adapt_config import AdaptConfig, CompressConfig
    from fuserec.neural.language.tuning_config import TuningConfig
    from fuserec.rerank import RERANKERS, reranker_class
    from fuserec.scorers import SCORERS, scorer_class

    pages = [CONFIGURATION]
    for name, field in RecommenderConfig.model_fields.items():
        if name != "parts" and is_model(field.annotation):
            pages.extend(section(field.annotation, name, field.description or "", 2))
    pages.append(PARTS)
    for name in SCORERS:
        scorer = scorer_class(name)
        pages.append(f"\n### `{name}`\n\n{summary(scorer.__doc__)}\n")
        pages.append(table(scorer.Config, frozenset(scorer.tunable)))
        for key, field in scorer.Config.model_fields.items():
            if is_model(field.annotation):
                pages.extend(section(field.annotation, f"parts.{name}.{key}", field.description or "", 4))
    pages.append(RERANKERS_TEXT)
    for name in RERANKERS:
        reranker = reranker_class(name)
        pages.append(f"\n### `[rerank.{name}]`\n\n{summary(reranker.__doc__)}\n")
        pages.append(table(reranker.Config, frozenset()))
    pages.append(LANGUAGE)
    for command, config in (("tune", AdaptConfig), ("compress", CompressConfig)):
        pages.append(f"\n### `models {command} --config`\n\n{summary(config.__doc__)}\n")
        pages.append(table(config, frozenset()))
    pages.append("\n### `[tuning]` of it\n\n" + summary(TuningConfig.__doc__) + "\n")
    pages.append(table(TuningConfig, frozenset()))
    for key in ("augmentation", "continual"):
        field = AdaptConfig.model_fields[key]
        for part in section(field.annotation, key, field.description or "", 3):
            pages.append(part.replace(f"`[{key}", f"`models tune`: `[{key}", 1))
    pages.append(AUDIT)
    pages.append(table(AuditConfig, frozenset()))
    pages.append(DATASET)
    pages.append(table(FolderSettings, frozenset()))
    return "".join(pages)


def is_model(annotation: Any) -> bool:
    """Return whether a field holds a model of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line, safe in Markdown."""
    first = (docstring or "").strip().split("\n\n")[0]
    return escaped(" ".join(first.replace("``", "`").split()))


def escaped(text: str) -> str:
    """Return a text in which Markdown sees no marks but those of code."""
    pieces = text.split("`")
    for outside in range(0, len(pieces), 2):
        for mark in ("\\", "|", "*", "_", "<"):
            pieces[outside] = pieces[outside].replace(mark, f"\\{mark}")
    return "`".join(pieces)


def section(model: type[BaseModel], path: str, description: str, depth: int) -> Iterator[str]:
    """Yield the heading and table of a model, then those of the models within."""
    yield f"\n{'#' * depth} `[{path}]`\n\n{escaped(description)}\n"
    yield table(model, frozenset())
    for name, field in model.model_fields.items():
        if is_model(field.annotation):
            yield from section(field.annotation, f"{path}.{name}", field.description or "", depth + 1)


def table(model: type[BaseModel], tunable: frozenset[str]) -> str:
    """Return the table of a model's own keys."""
    rows = []
    for name, field in model.model_fields.items():
        if is_model(field.annotation):
            continue
        mark = " *(tuned)*" if name in tunable else ""
        what = escaped(" ".join((field.description or "").split()))
        rows.append(f"| `{name}` | {allowed(field)} | {default(field)} | {what}{mark} |\n")
    head = "\n| key | allowed | default | what it is for |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def allowed(field: FieldInfo) -> str:
    """Return which values a field takes, in words."""
    unit = "characters" if str in (field.annotation, *typing.get_args(field.annotation)) else "entries"
    words = [spelled(field.annotation)]
    for limit in field.metadata:
        words += [f"{sign} {getattr(limit, key)}" for key, sign in SIGNS.items() if hasattr(limit, key)]
        if getattr(limit, "min_length", 0) == 1:
            words.append("not empty")
        elif hasattr(limit, "min_length"):
            words.append(f"at least {limit.min_length} {unit}")
        if hasattr(limit, "max_length"):
            words.append(f"at most {limit.max_length} {unit}")
    return ", ".join(words)


def spelled(annotation: Any) -> str:
    """Return a type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{literal(value)}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(spelled(part) for part in arguments if part is not type(None))
    if origin is tuple and Ellipsis not in arguments:
        return f"`[{', '.join(spelled(part) for part in arguments)}]`"
    if origin in (tuple, list):
        return f"list of {spelled(arguments[0])}"
    if origin is dict:
        return f"table of {spelled(arguments[1])}"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default(field: FieldInfo) -> str:
    """Return the default of a field as TOML would hold it."""
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "set by each model"
    return "not given" if value is None or value == {} else f"`{literal(value)}`"


def literal(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(literal(part) for part in value)}]"
    return str(value)


def command_line() -> str:
    """Return docs/cli.md."""
    from fuserec.cli.app import app

    return CLI + "".join(commands(typer.main.get_command(app), "fuserec"))


def commands(command: Any, path: str) -> Iterator[str]:
    """Yield the section of a command, or of those below it; commands are typer's own, whose base has moved."""
    inner = getattr(command, "commands", None)
    if inner:
        for name, sub in inner.items():
            yield from commands(sub, f"{path} {name}")
        return
    if command.hidden:
        return
    arguments = [shown_name(one) for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([path, *arguments, "[OPTIONS]"])
    yield f"\n## `{path}`\n\n{paragraphs(command.help)}\n\n```\n{usage}\n```\n"
    rows = [row for parameter in command.params if (row := parameter_row(parameter)) is not None]
    if rows:
        yield "\n| argument or option | what it does |\n|---|---|\n" + "".join(rows)


def parameter_row(parameter: Any) -> str | None:
    """Return the row of an argument or option; none for ``--help`` and what is hidden."""
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return None
    is_option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else [shown_name(parameter)]
    text = prose(getattr(parameter, "help", None))
    value = parameter.default
    if is_option and parameter.required:
        text += " Required."
    elif isinstance(value, (str, int, float, Path)) and not isinstance(value, bool) and value != "":
        text += f" Default: `{value}`."
    return f"| {', '.join(f'`{name}`' for name in names)} | {text} |\n"


def shown_name(argument: Any) -> str:
    """Return how usage lines call an argument."""
    return str(argument.metavar or argument.name.upper())


def paragraphs(text: str | None) -> str:
    """Return a help text with each paragraph on one line."""
    cut = (text or "").split("\f")[0]
    return "\n\n".join(" ".join(part.split()) for part in cut.split("\n\n") if part.strip())


def prose(text: str | None) -> str:
    """Return a help text on one line, safe in a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def picture() -> str:
    """Return docs/architecture.svg with the names of all scorers, whose box they share evenly."""
    from fuserec.scorers import SCORERS

    text = (REPOSITORY / PICTURE).read_text(encoding="utf-8")
    begin, end = text.index(NAMES), text.index("  </g>", text.index(NAMES))
    step = (BOTTOM - TOP) / len(SCORERS)
    size = min(
        11.0, 0.84 * step, WIDTH / (0.6 * max(map(len, SCORERS)))
    )  # a letter is 0.6 of its height wide
    lines = [
        f'    <text class="mono" style="font-size:{size:.1f}px" x="836" y="{TOP + (i + 0.8) * step:.1f}" '
        f'text-anchor="middle">{name}</text>'
        for i, name in enumerate(SCORERS)
    ]
    return text[:begin] + NAMES + "\n" + "\n".join(lines) + "\n" + text[end:]


PAGES = {"docs/configuration.md": configuration, "docs/cli.md": command_line, PICTURE: picture}


def main() -> int:
    """Write the pages that are not current; return the exit status."""
    for name, make in PAGES.items():
        path, text = REPOSITORY / name, make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
