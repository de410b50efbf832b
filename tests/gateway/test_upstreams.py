"""Several upstreams of the real daemon, a backlog with the broker back, and books that balance after every death."""

import signal
import time

import cbor2
import gatedesk as desk
import pytest

from gateway.fold import Kid
from gateway.store import Group, Store
from gateway.uplink import PLAIN

TWO = 'name = "{}"\nformat = "{}"\nbatch_age_s = 0.02\nbatch_readings = 7\n'
ALARM = {19: 1}


def fill(files, n, urgent=()):
    """A store with `n` rows of board 1, as if the broker had been away; of `urgent` with an alarm."""
    store = Store(files.store)
    rows = []
    for piv in range(1, n + 1):
        payload = cbor2.dumps(ALARM if piv in urgent else {3: piv % 100})
        tag = desk.frame(1, piv, payload)[-8:]
        now_ms = int(time.time() * 1000)
        rows.append((b"\0\1", piv, PLAIN, 1, int(piv in urgent), now_ms, 0, None, -100, 20, "bridge", piv, payload, tag, None))
    kid = Kid(desk.keys(1), "bin-1")
    for piv, row in enumerate(rows, 1):
        kid.window.accept(piv, row[13])
    kid.stored = kid.direct = n
    store.write(Group(rows=rows, contexts=[kid.row], folded=True))
    store.close()


def test_a_dead_upstream_delays_no_other(tmp_path, bridge, broker, proxy, listener, start):  # noqa: PLR0917
    files = desk.Files(tmp_path, {"bridge": bridge.path})
    files.text += f'[[upstream]]\nurl = "{proxy.url}"\n{TWO.format("away", "senml")}'
    files.text += f'[[upstream]]\nurl = "{broker}"\n{TWO.format("here", "frames")}'
    proxy.cut()
    daemon = start(files.write())
    desk.until(lambda: bridge.hellos)
    sent = [desk.frame(1, piv, {3: piv}) for piv in range(1, 51)]
    for frame in sent:
        bridge.hears(frame)

    def frames():
        found = [cbor2.loads(m.payload)[3] for m in listener.messages if str(m.topic).endswith("/frames")]
        return [entry[1] for batch in found for entry in batch]

    desk.until(lambda: len(frames()) == 50)
    assert frames() == sent, "made again, byte by byte"
    desk.until(lambda: desk.balance(files, "here", True).forwarded == 50)
    assert desk.balance(files, "away") == (50, 0, 50, 0, {})
    daemon.kill()
    assert desk.balance(files, "here", True) == (50, 50, 0, 0, {})
    assert desk.balance(files, "away") == (50, 0, 50, 0, {})
    last = start(files)
    proxy.mend()
    desk.until(lambda: desk.balance(files, "away").forwarded == 50, 20)
    assert last.stop() == 0
    assert len(frames()) == 50, "the one that was here had nothing to say again"
    assert not (tmp_path / "store.db-wal").exists()


@pytest.mark.parametrize("die_at", ["handed-done:9", "sent:6", "marked-done:1"])
def test_the_books_balance_after_death_at_any_moment(tmp_path, bridge, broker, start, die_at):
    files = desk.Files(tmp_path, {"bridge": bridge.path})
    for name, form in (("readings", "senml"), ("whole", "frames")):
        files.text += f'[[upstream]]\nurl = "{broker}"\n{TWO.format(name, form)}'
    files.write()
    if die_at.startswith("marked"):
        fill(files, 30)
    daemon = start(files, die_at=die_at)
    piv = 30 if die_at.startswith("marked") else 0
    while daemon.alive:
        assert piv < 2000, "it should be dead"
        if len(bridge.waiting) < 40:
            piv += 1
            bridge.hears(desk.frame(1, piv, {3: piv % 100}))
        else:
            time.sleep(0.002)
    assert daemon.wait() == -signal.SIGKILL
    for name, frames in (("readings", False), ("whole", True)):
        assert desk.balance(files, name, frames).accepted <= piv
    life = start(files)
    desk.until(lambda: not bridge.waiting)
    for name, frames in (("readings", False), ("whole", True)):
        desk.until(lambda n=name, f=frames: desk.balance(files, n, f) == (piv, piv, 0, 0, {}))
    assert life.stop() == 0
    for name, frames in (("readings", False), ("whole", True)):
        assert desk.balance(files, name, frames) == (piv, piv, 0, 0, {})


def test_new_alarms_and_live_readings_overtake_a_long_backlog(tmp_path, bridge, broker, listener, start):
    n = 12_000
    old_alarms = {5000, 11_000}
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 0\nbatch_readings = 3").write()
    fill(files, n, old_alarms)
    daemon = start(files)
    desk.until(lambda: len(listener.messages) > 20)
    bridge.hears(desk.frame(2, 1, ALARM))
    bridge.hears(desk.frame(2, 2, {3: 7}))
    desk.until(lambda: desk.balance(files, "senml") == (n + 2, n + 2, 0, 0, {}), 30)
    desk.until(lambda: sum(m.payload.count(b"frame") for m in listener.messages) == n + 2, 30)
    arrived = listener.frames()
    assert len(arrived) == len(set(arrived)) == n + 2
    at = {name: place for place, name in enumerate(arrived)}
    assert [at[desk.name(1, piv)] for piv in sorted(old_alarms)] == [0, 1], "the alarms of the backlog first of all"
    left = n - max(at[desk.name(2, 1)], at[desk.name(2, 2)])
    assert left > n // 10, "both came while the backlog was still long"
    lanes = [dict(m.properties.UserProperty)["lane"] for m in listener.messages]
    assert set(lanes) == {"alarm", "live", "backlog"}
    alarms = {desk.name(1, piv) for piv in old_alarms}
    backlog = [name for name in arrived if name[:2] == b"\0\1" and name not in alarms]
    assert backlog == [desk.name(1, piv) for piv in range(1, n + 1) if piv not in old_alarms], "in its order"
    assert daemon.stop() == 0
