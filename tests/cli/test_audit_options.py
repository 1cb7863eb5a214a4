"""The options of ``fuserec evaluate`` that ask for more than accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .conftest import QUICK, Cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset whose users have a group, and whose items have categories and a flag."""
    rng = np.random.default_rng(0)
    where = tmp_path_factory.mktemp("people")
    rows = [
        f"u{u},i{item},{1_600_000_000 + at}"
        for u in range(80)
        for at, item in enumerate(rng.permutation(25)[:6])
    ]
    (where / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    people = [f"u{u},{'FM'[u % 2]},{20 + u % 40}" for u in range(80)]
    (where / "users.csv").write_text("\n".join(["user_id,gender,age", *people]))
    items = [f"i{i},Title {i},{['Love', 'War', 'Sea'][i % 3]},{int(i % 5 == 0)}" for i in range(25)]
    (where / "items.csv").write_text("\n".join(["item_id,title,categories,adult", *items]))
    (where / "quick.toml").write_text(QUICK)
    return where


def test_everything_at_once(cli: Cli, folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.toml"
    audit.write_text(
        'flagged = ["adult=1"]\nprotected = ["age<25"]\npermutations = 19\nsmallest_group = 10\n'
    )
    done = cli(
        *("evaluate", folder, "-c", folder / "quick.toml", "--audit", audit, "--groups", "gender"),
        *("--seeds", 2, "--reasons", 5, "--json", "-", "--quiet"),
    )
    fused = done.json["models"]["fused"]
    for name in (
        "group_gap:gender@10",
        "group_information_p:gender@10",
        "personalisation@10",
        "history_information@10",
        "exposure_merit:popularity@10",
        "flagged@5",
        "flagged_protected@10",
        "ips_ndcg@10",
        "seed_overlap@10",
        "reasons_true@3",
    ):
        assert fused["metrics"][name]["value"] is not None, name
    assert not [name for name in fused["metrics"] if ":age" in name]
    assert fused["segments"]["group:gender=F"]["users"] == 40
    assert fused["metrics"]["reasons_true@3"]["value"] == 1


def test_groups_are_found_or_none_are_made(cli: Cli, folder: Path) -> None:
    base = (
        "evaluate",
        folder,
        "-c",
        folder / "quick.toml",
        "--model",
        "popularity",
        "--json",
        "-",
        "--quiet",
    )
    found = cli(*base).json["models"]["popularity"]["segments"]
    assert {"group:gender=F", "group:gender=M"} <= found.keys()
    none = cli(*base, "--groups", "none").json["models"]["popularity"]
    assert not [name for name in (*none["segments"], *none["metrics"]) if "gender" in name]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--groups", "gendr"), "did you mean 'gender'"),
        (("--seeds", "0"), "seeds = 0"),
        (("--reasons", "-1"), "reasons = -1"),
        (("--audit", "nothing.toml"), "cannot be read"),
    ],
)
def test_what_is_not_allowed_is_one_line(cli: Cli, folder: Path, options: tuple[str, ...], said: str) -> None:
    assert said in cli("evaluate", folder, "-c", folder / "quick.toml", *options).fault
