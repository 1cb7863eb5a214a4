"""What only a process of its own shows: exit status, streams, signals, and the time to start."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FUSEREC = [sys.executable, "-m", "fuserec"]
IN_FOREGROUND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore the keyboard
from fuserec.cli import main
sys.exit(main())
"""


def test_status_two_is_for_usage_alone(cli) -> None:
    for arguments in (["recommend", "--nonsense"], ["recommend"], ["fit", "."], ["nonsense"], ["data"]):
        assert cli(*arguments).status == 2
    assert "No such option: --nonsense" in cli("recommend", "--nonsense").err
    assert "did you mean 'recommend'" in cli("recommand").err.lower()
    assert cli("--version").out.startswith("fuserec ")
    assert cli("--help").status == 0


def test_every_command_has_its_common_options(cli) -> None:
    groups = {"data": ["import", "check", "info"], "models": ["install"]}
    single = [
        "demo",
        "doctor",
        "fit",
        "evaluate",
        "report",
        "recommend",
        "similar",
        "search",
        "explain",
        "update",
        "forget",
    ]
    commands = [
        *([name] for name in (*single, "info")),
        *([g, name] for g, names in groups.items() for name in names),
    ]
    for command in commands:
        shown = cli(*command, "--help").out
        assert all(option in shown for option in ("--json", "--quiet", "--debug")), command


def test_a_traceback_only_on_request(shell, tmp_path: Path) -> None:
    plain, debug = shell("info", tmp_path), shell("info", tmp_path, "--debug")
    assert plain.fault.endswith("`fuserec fit DIR --out MODEL` makes one")
    assert "Traceback" not in plain.err
    assert debug.status == 1
    assert "Traceback" in debug.err
    assert debug.err.splitlines()[-1] == plain.err.splitlines()[-1]


def test_starting_is_light() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*FUSEREC, "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 0.5, f"{spent:.2f} s of CPU"


def test_a_reader_that_leaves(saved_sample: Path) -> None:
    command = " ".join(
        f"'{part}'" for part in (*FUSEREC, "recommend", saved_sample, "-k", 400, "--explain", "--json")
    )
    script = f"unset PYTHONUNBUFFERED; {command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.splitlines() == ["{", "1"]
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    out, slow = tmp_path / "model", tmp_path / "slow.csv"
    os.mkfifo(slow)  # reading it waits for what never comes, so that the signal is sure to come in the middle
    process = subprocess.Popen(
        [sys.executable, "-c", IN_FOREGROUND, "fit", str(slow), "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        writer = opened_by_reader(slow)
        time.sleep(0.2)
        process.send_signal(number)
        time.sleep(0.2)
        os.close(writer)  # polars has system calls restarted after SIGINT: let this one end
        printed, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert said == "error: interrupted; nothing was written\n"
    assert printed == ""
    assert not out.exists()


def opened_by_reader(fifo: Path) -> int:
    """Return the writing end of a pipe as soon as somebody reads from it."""
    for _ in range(600):
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nobody reads the file")


def test_output_that_is_not_unicode(shell, saved_sample: Path) -> None:
    options = {"env": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}}
    shown = shell("recommend", saved_sample, "--history", "to-live", **options)
    assert shown.status == 0, shown.err
    found = shell("recommend", saved_sample, "--history", "to-live", "--json", **options).json
    assert any("活着" in item["title"] for item in found["items"])


def test_a_closed_standard_output(saved_sample: Path) -> None:
    command = " ".join(f"'{part}'" for part in (*FUSEREC, "info", saved_sample))
    done = subprocess.run(
        ["bash", "-c", f"{command} >&-"], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_that_a_callback_swallows_is_given_again():
    """What a handler raises in ``__del__`` or a weak reference's callback is lost, and the work would go on."""
    swallowing = (
        "import os, signal, sys, time\n"
        "from fuserec.cli import entry\n"
        "entry._own_process(False)\n"
        "class Dying:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "try:\n"
        "    dying = Dying()\n"
        "    del dying\n"
        "    time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(7)\n"
    )
    command = [sys.executable, "-c", swallowing]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (7, "")
