from __future__ import annotations

import json
import math

import numpy as np
import pytest
from bench.information import NOTHING, WORLDS, World, main, planted, section

from fuserec.metrics.information import mutual_information
from fuserec.metrics.information_null import permutation_null
from fuserec.metrics.masses import labels


@pytest.mark.parametrize("world", [WORLDS[1], WORLDS[3]], ids=lambda world: world.name)
def test_planted_information_is_found_and_held_by_its_interval(world: World):
    told = planted(world, 1000, 200, np.random.default_rng(7))
    assert abs(told.error) < 0.02
    assert 0.90 <= told.held <= 0.985  # 200 draws at 95 %: three standard errors are 4.6 %


def test_what_the_correction_and_the_unit_of_observation_are_for():
    """Without the correction the estimate is too high; items counted as observations make intervals too short."""
    world, rng = World("lists", WORLDS[2].joint, lists=True), np.random.default_rng(3)
    plain, corrected, naive_held = [], [], 0
    for _ in range(150):
        x, y = world.draw(rng, 250)
        found = mutual_information(x, y)
        plain.append(found.plug_in)
        corrected.append(found.value)
        each = np.rint(x.toarray() * 10).astype(int)
        item = np.repeat(np.tile(np.arange(each.shape[1]), 250), each.ravel())
        group = np.repeat(y.indices, each.sum(axis=1))
        naive = mutual_information(labels(item), labels(group))
        naive_held += naive.low <= world.bits <= naive.high
    error = float(np.std(corrected)) / math.sqrt(150)
    assert abs(np.mean(corrected) - world.bits) < 3 * error
    assert np.mean(plain) - world.bits > 6 * error
    assert naive_held / 150 < 0.92


@pytest.mark.parametrize("world", NOTHING, ids=lambda world: world.name)
def test_nothing_is_found_where_there_is_nothing(world: World):
    rng, values, plain, called = np.random.default_rng(11), [], [], 0
    for _ in range(100):
        x, y = world.draw(rng, 200)
        null = permutation_null(x, y, rng=rng, n_permutations=39)
        found = mutual_information(x, y)
        values.append(found.value)
        plain.append(found.plug_in)
        called += null.p <= 0.1
        assert found.low == 0 or found.low < 0.05
        assert abs(null.mean) < 0.02
    error = float(np.std(values)) / 10
    assert abs(np.mean(values)) < 4 * error
    assert np.mean(plain) > 6 * error
    assert 0.02 <= called / 100 <= 0.20


def test_a_null_calls_what_is_there():
    x, y = WORLDS[3].draw(np.random.default_rng(1), 300)
    null = permutation_null(x, y, rng=np.random.default_rng(2), n_permutations=99)
    assert null.p == 0.01
    assert null.high < mutual_information(x, y).low


def test_the_command_keeps_its_verdicts_beside_those_of_other_sizes(capsys, tmp_path):
    out = tmp_path / "information.json"
    for users in ("400", "300"):
        status = main(["--users", users, "--replicates", "4", "--null-replicates", "4", "--out", str(out)])
    said, found = capsys.readouterr().out, json.loads(out.read_text())
    assert [row["users"] for row in found["planted"]] == [300] * len(WORLDS) + [400] * len(WORLDS)
    assert status == (
        not all(row["holds"] for rows in (found["planted"], found["independent"]) for row in rows)
    )
    assert said.count(" 400 ") == 2 * (len(WORLDS) + len(NOTHING))
    broken = sum(not row["holds"] for rows in (found["planted"], found["independent"]) for row in rows)
    assert section(found).count("** !") == broken
