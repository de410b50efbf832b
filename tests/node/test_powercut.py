"""Power fails at every program, erase and sync of every scenario, and three boots in a row: nothing that must hold is broken."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cuts

BROKEN = [
    ("CounterAfterUse", "counter "),
    ("OneSlot", "counter "),
    ("SettingsInPlace", "settings damaged"),
    ("SettingsAndThenTheirId", "interval "),
    ("QueueThatRemembers", "not ["),
]


@pytest.mark.parametrize("name", cuts.scenarios())
def test_power_fails_at_every_operation(name):
    said = cuts.run(name, 1)  # all tears at each of them: tests/bench/powercut.py
    assert said["violations"] == []
    assert said["operations"] > 20
    assert said["cuts"] >= 2 * said["operations"]  # the first cut of each case is sure, the others nearly so
    assert said["overwritten"] == 0
    print(f"{name}: {said['operations']} operations, {said['cuts']} cuts, {said['by']}")


@pytest.mark.parametrize(("name", "what"), BROKEN)
def test_the_runner_finds_the_mistakes_that_boards_have(name, what):
    said = cuts.run(f"cut_broken.{name}", 1, 0, 3)
    assert len(said["violations"]) >= 3
    assert any(what in found for _, _, found in said["violations"]), said["violations"]
