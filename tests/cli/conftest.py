"""Running commands: in this process, or as a process of their own where streams and status are the point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fuserec.cli import main

QUICK = """
[features]
use_sentence = "never"
[parts.popularity]
[parts.item_knn]
[parts.content]
"""


@dataclass(frozen=True)
class Run:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)

    @property
    def fault(self) -> str:
        """The one line that a failed command says."""
        assert self.status == 1, (self.status, self.out, self.err)
        lines = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        assert self.out == ""
        return lines[0]


Cli = Callable[..., Run]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs a command in this process."""

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Run(status, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def shell() -> Cli:
    """Return a function that runs a command as a process of its own."""

    def run(*arguments: object, **options: Any) -> Run:
        command = [sys.executable, "-m", "fuserec", *map(str, arguments)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **options.pop("env", {})}
        environment.pop("COLUMNS", None)
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            env=environment,
            timeout=300,
            check=False,
            **options,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Return a configuration that fits in a moment."""
    path = tmp_path / "quick.toml"
    path.write_text(QUICK, encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a dataset folder: 30 readers, half of poems, half of maps, who choose 8 of their 12 works."""
    folder = tmp_path / "small"
    folder.mkdir()
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(30):
        kind = ("poem", "map")[user % 2]
        chosen = [(user + 5 * step) % 12 for step in range(8)]
        rows += [
            f"u{user},{kind}-{item},{3 + item % 3},{1_700_000_000 + 100 * step}"
            for step, item in enumerate(chosen)
        ]
    (folder / "interactions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = {"poem": "verses on love and loss", "map": "charts of coasts and harbours"}
    items = [
        {
            "item_id": f"{kind}-{item}",
            "title": f"{kind} number {item}",
            "categories": [kind],
            "description": text,
        }
        for kind, text in words.items()
        for item in range(12)
    ]
    (folder / "items.jsonl").write_text(
        "\n".join(json.dumps(item) for item in items) + "\n", encoding="utf-8"
    )
    return folder
