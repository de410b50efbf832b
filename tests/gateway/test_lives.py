"""The gateway under everything that can happen to it, and the harness under daemons that break their word."""

from pathlib import Path

import lives
import pytest
from lifefaults import FAULTS

SABOTAGE = Path(__file__).parent / "sabotage.py"


def test_twenty_rounds_lose_nothing(tmp_path):
    """Each fault once and some again: what the bridge heard is delivered, once and in order, and the books balance."""
    life = lives.Life(tmp_path, 20)
    try:
        kinds = [*life.kinds, *life.rng.choices(life.kinds, k=20 - len(life.kinds))]
        for kind in kinds:
            life.round(kind)
            assert not life.checker.violations, "\n".join([*life.checker.violations[:20], *life.story[-12:]])
    finally:
        life.close()
    assert sum(life.counts[kind] for kind in FAULTS) >= 20
    assert life.boards.heard > 400


@pytest.mark.parametrize(
    ("name", "kinds"), [("early", ["kill"]), ("unsynced", ["power"]), ("unacked", ["cut"]), ("twice", ["replug", "nothing"])]
)
def test_a_daemon_that_breaks_its_word_is_found_out(tmp_path, monkeypatch, name, kinds):
    monkeypatch.setenv("SABOTAGE", name)
    monkeypatch.setattr(lives, "SETTLE_S", 4.0)
    life = lives.Life(tmp_path, 3, kinds=kinds, sabotage=SABOTAGE)
    try:
        if not life.kinds:
            pytest.skip("no strace on this machine: apt install strace")
        for _ in range(12):
            if not life.round():
                break
    finally:
        life.close()
    assert life.checker.violations
