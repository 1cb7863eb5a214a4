"""``fuserec doctor``: what is installed, what is missing and how to get it, and whether it works."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path
from typing import Any

import typer

from fuserec import __version__
from fuserec.cli.screen import Debug, Json, Quiet, Screen

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd")
"""Instruction sets that the encoder and the kernels gain from."""

_HIDDEN = ("all", "dev")


def doctor(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Tell what is installed, which device and models there are, what is missing, and test that it works."""
    screen = Screen(json, quiet, debug)
    from fuserec.encoders import minilm

    with screen.working("examined"):
        found: dict[str, Any] = {
            "fuserec": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "packages": packages(""),
            "extras": {extra: packages(extra) for extra in _extras()},
            "device": _device(),
            "minilm": minilm.status(),
            "encoders": _encoders(),
            "cache": _cache(),
            "self_test": _self_test(),
        }
    screen.result(found, *([] if screen.json else _tables(found)))
    if not found["self_test"]["passed"]:
        raise typer.Exit(1)


def _requirements() -> list[tuple[str, str]]:
    """Return (package, extra) of everything that FuseRec names; the base has the extra ``""``."""
    try:
        named = importlib.metadata.requires("fuserec") or []
    except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
        return []
    found = []
    for line in named:
        package = re.match(r"[A-Za-z0-9._-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if package is not None:
            found.append((package[0], extra[1] if extra else ""))
    return found


def _extras() -> list[str]:
    """Return the extras, in the order in which they are declared."""
    return [extra for extra in dict.fromkeys(e for _, e in _requirements()) if extra and extra not in _HIDDEN]


def packages(extra: str) -> dict[str, str | None]:
    """Return version by package of an extra (the base: ``""``); None where one is missing."""
    found: dict[str, str | None] = {}
    for package, belongs in _requirements():
        if belongs == extra and package != "fuserec":
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found[package] = None
    return found


def _device() -> dict[str, Any]:
    """Return cores, instruction sets, memory, and CUDA where torch is there to tell."""
    from fuserec.run import RunOptions

    flags = _cpu_flags()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "cores": RunOptions().threads,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gb": round(pages / 2**30, 1) or None,
        "cuda": _cuda(),
    }


def _encoders() -> dict[str, bool]:
    """Return which kinds of ``[features.sentence]`` can be fitted here; word vectors need nothing but the base."""
    from fuserec.encoders import minilm
    from fuserec.neural import available

    own = dict.fromkeys(("word2vec", "fasttext", "glove"), True)
    return {"language_model": bool(minilm.status()["ready"]), **own, "lstm": available()}


def _cpu_flags() -> set[str]:
    """Return the processor's flags, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    line = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return set(line[1].split()) if line else set()


def _cuda() -> str | None:
    """Return the name of the GPU that torch sees, or None; torch is only imported where it is installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


def _cache() -> dict[str, Any]:
    """Return where models and vectors are kept, and how much there is."""
    from fuserec.encoders.folders import is_writable, preferred_root

    root = preferred_root()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.is_dir() else 0
    return {"folder": str(root), "size_mb": round(size / 2**20, 1), "writable": is_writable(root)}


def _self_test() -> dict[str, Any]:
    """Fit a tiny model, ask it, and read two sentences where a language model is there."""
    from fuserec.errors import FuseRecError

    try:
        return {"passed": True, "checks": [_learns(), *_reads()]}
    except (FuseRecError, AssertionError, ImportError, OSError) as error:
        return {"passed": False, "checks": [], "fault": f"{type(error).__name__}: {error}"}


def _learns() -> str:
    """Check that two groups of readers are told apart."""
    import polars as pl

    from fuserec.config import RecommenderConfig
    from fuserec.data.frames import from_frames
    from fuserec.recommender import Recommender

    likes = [
        (f"u{user}", f"{'ab'[user % 2]}{item}") for user in range(12) for item in range(5) if item != user % 5
    ]
    frame = pl.DataFrame(likes, schema=["user_id", "item_id"], orient="row")
    config = RecommenderConfig.parse(
        {"features": {"use_sentence": "never"}, "parts": {"popularity": {}, "item_knn": {}}}, "self-test"
    )
    model = Recommender(config).fit(from_frames(frame)[0])
    first = model.recommend(history=["a0", "a1"], k=1).items[0].item_id
    if not first.startswith("a"):
        raise AssertionError(f"a reader of a0 and a1 was recommended {first}")
    return "learns: a model was fitted and asked"


def _reads() -> list[str]:
    """Check that the language model tells near from far, where it is installed."""
    from fuserec.encoders import minilm
    from fuserec.encoders.sentence import SentenceEncoder
    from fuserec.run import RunOptions

    if not minilm.status()["ready"]:
        return []
    a, b, c = SentenceEncoder().encode(["a cat sleeps", "a kitten naps", "tax law"], RunOptions(threads=1))
    if not float(a @ b) > float(a @ c) + 0.2:
        raise AssertionError("the language model does not tell a kitten from tax law: install it again")
    return ["reads: the language model tells near from far"]


def _tables(found: dict[str, Any]) -> list[Any]:
    """Return what was found, for the screen."""
    from fuserec.cli.show import pairs, plain_table

    device, mini, cache, test = (found[name] for name in ("device", "minilm", "cache", "self_test"))
    processor = f"{device['cores']} cores" + (f", {' '.join(device['flags'])}" if device["flags"] else "")
    state = "installed" if mini["ready"] else f"missing: {', '.join(mini['missing'])}; {mini['hint']}"
    rows = [
        ("fuserec", f"{found['fuserec']}, Python {found['python']}, {found['system']}"),
        ("processor", processor),
        ("memory", f"{device['memory_gb']} GB" if device["memory_gb"] else "unknown"),
        ("GPU", device["cuda"] or "none in use"),
        ("MiniLM", state),
        (
            "encoders",
            ", ".join(f"{kind}{'' if ready else ' (missing)'}" for kind, ready in found["encoders"].items()),
        ),
        (
            "cache",
            f"{cache['folder']} ({cache['size_mb']:,} MB{'' if cache['writable'] else ', not writable'})",
        ),
        ("self-test", "; ".join(test["checks"]) if test["passed"] else f"FAILED: {test['fault']}"),
    ]
    table = plain_table("part", "packages", "to install")
    for extra, inside in {"base": found["packages"], **found["extras"]}.items():
        missing = [name for name, version in inside.items() if version is None]
        listed = ", ".join(f"{name} {version or '-'}" for name, version in inside.items())
        target = "fuserec" if extra == "base" else f"fuserec[{extra}]"
        table.add_row(extra, listed, f"pip install '{target}'" if missing else "")
    return [pairs(rows), table]
