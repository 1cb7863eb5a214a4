"""What every command shares: its common options, what goes to which stream, and its progress."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

    from fuserec.run import Progress, RunOptions

WIDTH = 100
"""Columns of what is printed, at most and where no terminal says otherwise."""

MOST_THREADS = 1024

_LINE = 700
"""Characters of an error's line; the middle of a longer one is left out."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks on standard error.")]
Debug = Annotated[bool, typer.Option("--debug", help="More remarks; tracebacks where something fails.")]
Seed = Annotated[int, typer.Option("--seed", help="Root of all randomness.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Worker threads; by default all cores.")]
Device = Annotated[
    str,
    typer.Option("--device", help="What trainings run on: cpu, cuda, cuda:1 (the second GPU) or auto."),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", "-f", help="folder, movielens, sequences, amazon, recbole or goodbooks.", metavar="FORMAT"
    ),
]


def one_line(text: str) -> str:
    """Return a text on one line of bearable length, without anything that steers a terminal."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 200]} … {line[-197:]}"


def shown(text: str, length: int = 60) -> str:
    """Return a text from data as a terminal may show it: no control characters, and cut to a length."""
    line = _CONTROL.sub(" ", text)
    return line if len(line) <= length else line[: length - 1] + "…"


def encoded(value: Any, ensure_ascii: bool = False) -> str:
    """Return a result as JSON text; numbers that are not finite become null."""
    return json.dumps(_plain(value), ensure_ascii=ensure_ascii, indent=1, allow_nan=False, default=str) + "\n"


def out_file(path: Path, what: str) -> Path:
    """Return the path of a file that is to be written, or refuse it before any work is done for it.

    Raises
    ------
    RequestError
        Where its folder does not exist, or the path is a folder.
    """
    from fuserec.errors import RequestError

    if path.is_dir():
        raise RequestError(f"{what} {path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise RequestError(f"{what} {path}: there is no folder {path.parent}; make it first")
    return path


class Screen:
    """Results on standard output, for people or as JSON; progress and remarks on standard error.

    Parameters
    ----------
    json : bool
        Results as JSON.
    quiet : bool
        No progress, no remarks.
    debug : bool
        More remarks.
    """

    def __init__(self, json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        level = logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING
        logging.getLogger("fuserec").setLevel(level)
        if quiet:
            warnings.simplefilter("ignore")

    def result(self, value: Any, *shown: RenderableType) -> None:
        """Print a result: the value as JSON, or what stands for it on a screen."""
        if self.json:
            encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
            sys.stdout.write(encoded(value, ensure_ascii=encoding != "utf8"))
            return
        self.show(*shown)

    def show(self, *shown: RenderableType) -> None:
        """Print for people, to a pipe without blanks at the ends of lines; with ``--json``, nothing."""
        if self.json:
            return
        console = _console(sys.stdout)
        with console.capture() as capture:
            for each in shown:
                console.print(each)
        text = capture.get()
        if not console.is_terminal:
            text = "\n".join(line.rstrip() for line in text.split("\n"))
        sys.stdout.write(text)

    @property
    def width(self) -> int:
        """Columns of what is printed."""
        return _console(sys.stdout).width

    def remark(self, text: str) -> None:
        """Say something beside the result, on standard error."""
        if not self.quiet:
            sys.stderr.write(f"{one_line(text)}\n")

    @contextmanager
    def working(self, done: str, **options: Any) -> Iterator[RunOptions]:
        """Give run options whose progress is shown; at the end one line says what was done and how long it took.

        Parameters
        ----------
        done : str
            What the last line says, e.g. ``"fitted"``.
        **options
            Of :class:`fuserec.run.RunOptions`; those that are None keep their default.

        Raises
        ------
        RequestError, ConfigError, MissingExtraError
            For numbers that make no sense, or a device that is not there: before any work is done.
        """
        from fuserec.errors import RequestError
        from fuserec.run import RunOptions

        if (threads := options.get("threads")) is not None and threads < 1:
            raise RequestError(f"--threads {threads}: has to be at least 1")
        if threads is not None and threads > MOST_THREADS:  # libraries below end the process
            raise RequestError(f"--threads {threads}: has to be at most {MOST_THREADS:,}")
        if options.get("seed", 0) < 0:
            raise RequestError(f"--seed {options['seed']}: has to be 0 or more")
        given = {name: value for name, value in options.items() if value is not None}
        _check_device(given.get("device", "cpu"))
        started = time.perf_counter()
        with _progress(not self.quiet and sys.stderr.isatty()) as report:
            yield RunOptions(progress=report, **given)
        self.remark(f"{done} in {time.perf_counter() - started:.1f} s")


def _check_device(name: str) -> None:
    """Refuse a device that is not there; what needs no PyTorch runs without it on ``cpu`` and ``auto``."""
    if name == "cpu":
        return
    from fuserec.neural import available, require

    if name == "auto" and not available():
        return
    require(f"--device {name}")
    from fuserec.neural.device import device_of
    from fuserec.run import RunOptions

    device_of(RunOptions(device=name))


def _console(stream: Any) -> Console:
    """Return a console: colours and the terminal's width where it is one, plain text of one width elsewhere."""
    import os

    from rich.console import Console

    # Texts from data are shown as they are: no markup, no emoji names.
    make = partial(Console, file=stream, highlight=False, markup=False, emoji=False)
    if stream.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        found = make()
        return found if found.width <= WIDTH else make(width=WIDTH)
    return make(width=WIDTH)


@contextmanager
def _progress(visible: bool) -> Iterator[Progress]:
    """Show one line of progress: what is being done, how far it is, how long it took."""
    if not visible:
        yield lambda label, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(label: str, done: int, total: int) -> None:
            bar.update(task, description=f"{shown(label, 40):40}", completed=done, total=total or None)

        yield report


class _Remarks(logging.Handler):
    """Log records as single lines on standard error, whatever stream that is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"note: {one_line(record.getMessage())}\n")


@contextmanager
def remarks() -> Iterator[None]:
    """Show log records and warnings of the library as single lines while a command runs."""
    logger, handler = logging.getLogger("fuserec"), _Remarks()
    level = logger.level
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _show_warning(message: Warning | str, *rest: Any, **named: Any) -> None:
    """Print a warning as one line, without the place in the code."""
    sys.stderr.write(f"note: {one_line(str(message))}\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item") and not isinstance(value, str | int | float):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
