"""The daemon itself over a damaged store: it goes on by itself, and says what happened."""

import random
import sqlite3

import gatedesk as desk
import pytest

PAGE = 4096


def given(bridge, pivs, n=1):
    for piv in pivs:
        bridge.hears(desk.frame(n, piv, {3: piv % 100}))
    desk.until(lambda: not bridge.waiting, what="all handled")


def settled(path):
    """All of the log is in the file."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()


def keys_of(listener, since=0):
    return listener.frames()[since:]


@pytest.mark.produces("bad_store")
def test_a_daemon_whose_store_lost_its_first_page(tmp_path, bridge, proxy, listener, start):
    files = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url).write()
    daemon = start(files)
    given(bridge, range(1, 101))
    wanted = [desk.name(1, piv) for piv in range(1, 101)]
    desk.until(lambda: set(wanted) <= set(keys_of(listener)))
    proxy.cut()
    given(bridge, range(101, 141))
    daemon.kill()
    settled(files.store)
    with files.store.open("r+b") as file:
        file.write(bytes(PAGE))
    proxy.mend()
    daemon = start(files)
    desk.until(lambda: daemon.said("healed"))
    healed = daemon.said("healed")[0]
    assert (healed["rows"], healed["lost"], healed["refused"]) == (140, [], 0)
    assert (tmp_path / healed["aside"]).read_bytes()[:PAGE] == bytes(PAGE)
    given(bridge, range(141, 161))
    wanted = [desk.name(1, piv) for piv in range(1, 161)]
    desk.until(lambda: set(wanted) <= set(keys_of(listener)))
    assert keys_of(listener).count(wanted[0]) == 1, "what was acknowledged was sent again"
    bridge.hears(desk.frame(1, 50, {3: 50}))
    desk.until(lambda: not bridge.waiting)
    desk.until(lambda: daemon.said("alarm", name="healed", state="raised"))
    assert daemon.stop() == 0
    _, counters = desk.counts(files)
    assert counters["healed"] == 1


@pytest.mark.produces("bad_store")
def test_a_backlog_with_a_hole(tmp_path, bridge, proxy, listener, start):
    """Pages of the backlog are overwritten: it is found when they are read, what is whole leaves, and new frames go on."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url).write()
    daemon = start(files)
    desk.until(lambda: daemon.said("broker", state="connected"))
    proxy.cut()
    desk.until(lambda: daemon.said("broker", state="broker_lost"))
    given(bridge, range(1, 1501))
    assert daemon.stop() == 0
    settled(files.store)
    size = files.store.stat().st_size
    with files.store.open("r+b") as file:
        file.seek(size // PAGE * 3 // 4 * PAGE)
        file.write(random.Random(1).randbytes(3 * PAGE))
    proxy.mend()
    daemon = start(files)
    desk.until(lambda: daemon.said("healed"), 20)
    given(bridge, range(1501, 1511))
    desk.until(lambda: desk.name(1, 1510) in keys_of(listener), 20)
    found = set(keys_of(listener))
    healed = daemon.said("healed")[0]
    missing = [piv for piv in range(1, 1511) if desk.name(1, piv) not in found]
    assert 0 < len(missing) <= 250, (healed, size)
    assert healed["readings"] == len(missing)
    assert len(daemon.said("healed")) == 1
    assert daemon.stop() == 0
