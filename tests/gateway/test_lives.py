"""The gateway under everything that can happen to it, and the harness under daemons that break their word."""

import os
import random
import subprocess
import time
from pathlib import Path

import brokers
import gatedesk as desk
import lives
import pytest
from lifebridge import Bridge
from lifecheck import Checker, Reader
from lifefaults import FAULTS

from tools.twin.broker import free_port

ISLAND, CABLE = f"jourdain-{os.getpid()}", f"jd{os.getpid()}"
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
    monkeypatch.setattr(lives, "SETTLE_S", 3.0)
    monkeypatch.setattr(lives, "BOOKS_S", 2.0)
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


def _ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False).returncode == 0


@pytest.fixture
def island(tmp_path):
    """A network of its own for the daemon, a broker at the far end of its only cable -> (name of the network, broker, URL)."""
    if os.geteuid() or not brokers.binary() or not _ip("netns", "add", ISLAND):
        pytest.skip("needs root, `ip` and mosquitto")
    _ip("link", "del", CABLE)
    assert _ip("link", "add", CABLE, "type", "veth", "peer", "name", "far", "netns", ISLAND)
    assert _ip("addr", "add", "10.213.77.1/30", "dev", CABLE)
    assert _ip("-n", ISLAND, "addr", "add", "10.213.77.2/30", "dev", "far")
    assert _ip("-n", ISLAND, "link", "set", "far", "up")
    assert _ip("link", "set", CABLE, "up")
    (tmp_path / "broker").mkdir()
    port = free_port()
    broker = brokers.Mosquitto(tmp_path / "broker", options=(f"listener {port} 10.213.77.1", "allow_anonymous true"))
    yield ISLAND, broker, f"mqtt://10.213.77.1:{port}"
    broker.close()
    _ip("netns", "del", ISLAND)
    _ip("link", "del", CABLE)


def test_the_cable_is_pulled(tmp_path, island):
    """No reset, no word: packets go nowhere for a while, and then all of it arrives, once."""
    network, broker, url = island
    (tmp_path / "gate").mkdir()
    checker, reader = Checker(), Reader(broker.plain_port)
    desk.until(reader.connect().__len__)
    bridge = Bridge(tmp_path)
    boards = lives.Boards(checker)
    files = desk.Files(tmp_path / "gate", {"bridge": bridge.path}, url, lives.UPSTREAM).write()
    daemon = desk.Daemon(files, prefix=("ip", "netns", "exec", network), stdout=subprocess.DEVNULL)
    rng = random.Random(2)
    try:
        for n in range(3):
            for _ in range(20):
                bridge.hears(*boards.next(rng))
                time.sleep(0.005)
            if n == 0:
                desk.until(lambda: reader.got, 20)
            assert _ip("link", "set", CABLE, ("down", "up", "up")[n])
        desk.until(lambda: not checker.missing(set(), reader.got), 20)
        checker.judge(reader.got, 0)
        assert not checker.violations
    finally:
        for part in (daemon, bridge, reader):
            part.close()
