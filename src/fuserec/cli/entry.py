"""The border between the library and the shell: arguments in, exit status and one clear line out.

Status 0: done. 1: the data, a value or the request is at fault. 2: an unknown flag or a missing argument.
"""

from __future__ import annotations

import _thread
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType, TracebackType

from fuserec.cli.screen import one_line, remarks
from fuserec.errors import FuseRecError

INTERRUPTED = 130
"""What typer returns where the keyboard interrupted."""

AGAIN_S = 0.02
"""Seconds after which a signal that was swallowed is given again."""

_DISK = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "no space is left",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; nothing but ``--debug`` shows a traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program; by default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if arguments is None:
        _own_process(debug)
    try:
        with remarks():
            status = _command(given)
            sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt as error:
        return _failed(error, "interrupted; nothing was written", debug)
    except MemoryError as error:
        return _failed(error, "there is not enough memory: use fewer --threads, or a smaller dataset", debug)
    except FuseRecError as error:
        return _failed(error, str(error), debug)
    except OSError as error:
        return _failed(error, _of_the_system(error), debug)
    return status


def _command(given: list[str]) -> int:
    """Parse the arguments and run the command that they name."""
    from typer.main import get_command

    from fuserec.cli.app import app

    usage_fault = _usage_fault()
    try:
        status = get_command(app).main(given, prog_name="fuserec", standalone_mode=False)
    except usage_fault as error:
        return _misused(error)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _usage_fault() -> type[Exception]:
    """Return the exception of all faults of usage: typer has moved it between releases, its subclass is public."""
    from typer import BadParameter

    return next(base for base in BadParameter.__mro__ if base.__name__ == "UsageError")


def _misused(error: Exception) -> int:
    """Say what of the usage is at fault; return 1 for a value, 2 for an unknown flag or a missing argument."""
    from typer import BadParameter

    said = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "fuserec"
    if said.strip():  # empty where the help was shown instead
        sys.stderr.write(f"error: {one_line(said)} (see `{where} --help`)\n")
    return 1 if type(error) is BadParameter else 2


def _failed(error: BaseException, said: str, debug: bool) -> int:
    """Say what is at fault, in one line."""
    if debug:
        traceback.print_exception(error)
    sys.stderr.write(f"error: {one_line(said)}\n")
    return 1


def _of_the_system(error: OSError) -> str:
    """Return what the system said, with the file that it concerns."""
    said = _DISK.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{said}"


def _reader_left() -> int:
    """Leave quietly where nobody reads on (``fuserec ... | head``)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # a stream without a file of its own
            continue
    return 1


def _own_process(debug: bool) -> None:
    """Set what only the process of its own may: the last line of faults nobody foresaw, and SIGTERM."""

    def unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if debug:
            traceback.print_exception(kind, error, trace)
        said = one_line(f"{kind.__name__}: {error}")
        hint = "" if debug else "; run it again with --debug and report what it shows"
        sys.stderr.write(f"error: unforeseen fault, {said}{hint}\n")

    def ended(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def lost(what: sys.UnraisableHookArgs) -> None:
        """Ask again a moment later where a signal came in a callback of the interpreter, which swallows exceptions."""
        if not issubclass(what.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(what)
            return
        again = threading.Timer(AGAIN_S, _thread.interrupt_main, (signal.SIGTERM,))
        again.daemon = True
        again.start()

    sys.excepthook, sys.unraisablehook = unforeseen, lost
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended)
    # A stream that the caller has closed is None, and prints into nothing.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
