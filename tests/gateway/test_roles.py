"""Roles and rotation in the real daemon: what passes, byte by byte; what a thief finds; old key ids; floods."""

import json
import mmap
import random
import sqlite3

import cbor2
import gatedesk as desk
import pytest
from click.testing import CliRunner

from firmware.wire import cbor, seal
from gateway import clock, command
from gateway.alarms import DAY_MS
from gateway.keys import MAY_HOLD
from tools.twin.broker import Embedded

NOW_S = 1_800_000_000.0
DAY_S = DAY_MS / 1000


def _files(folder, bridge, broker, role, gateway=""):
    """Files of a gateway of a role, with the keys for it, that publishes frames."""
    files = desk.Files(folder, {"bridge": bridge.path}, broker, 'format = "frames"\nbatch_age_s = 0.1', gateway)
    files.role = role
    files.text = files.text.replace('name = "poste"', f'name = "poste-{role}"')
    files.keys = {kid: {name: getattr(desk.keys(int(kid, 16)), name).hex() for name in MAY_HOLD[role]} for kid in files.keys}
    files.write()
    boards = folder / "boards.yaml"
    boards.write_text(boards.read_text().replace("poste:", f"poste-{role}:").replace(": poste,", f": poste-{role},"))
    if role == "relay":
        (folder / "keys.json").unlink()
    return files


def _frames(listener, role):
    """Every frame that the gateway of a role published, in the order of arrival."""
    packs = [cbor2.loads(m.payload) for m in listener.messages if str(m.topic) == f"jourdain/{desk.SITE}/poste-{role}/frames"]
    assert all(pack[:2] == [1, f"poste-{role}"] for pack in packs)
    return [entry for pack in packs for entry in pack[3]]


def _tagged(n, piv, payload):
    return seal.seal(desk.keys(n), piv, cbor.dumps(payload), hop=True)


def _forge(buf):
    return buf[:-1] + bytes((buf[-1] ^ 1,))


def test_a_street_gateway_passes_on_what_is_genuine_once_and_byte_by_byte(tmp_path, bridge, broker, listener, start):
    """Killed in between; the copies on air, the forged and the strangers' frames stay behind."""
    files = _files(tmp_path, bridge, broker, "street")
    want = []
    for life in range(2):
        daemon = start(files)
        for piv in range(1 + 15 * life, 16 + 15 * life):
            whole = _tagged(1 + piv % 4, piv, {3: piv})
            want.append(whole)
            for heard in (_forge(whole), whole, whole, _tagged(9, piv, {3: 1})):
                bridge.hears(heard)
        if life == 0:
            desk.until(lambda: len(bridge.waiting) < 40)
            daemon.kill()
            assert desk.balance(files, "frames", True).accepted > 0
    desk.until(lambda: not bridge.waiting)
    desk.until(lambda: {entry[1] for entry in _frames(listener, "street")} == set(want))
    bare = desk.frame(1, 100, {3: 1})
    bridge.hears(bare)
    desk.until(lambda: _frames(listener, "street")[-1][1] == bare)
    assert daemon.stop() == 0
    came = _frames(listener, "street")
    assert [entry[2:] for entry in came] == [[-101, 22, "bridge"]] * len(came)
    assert desk.balance(files, "frames", True)[:4] == (31, 31, 0, 0)
    counts, counters = desk.counts(files)
    assert counters["hop"] == counters["kid"] == 30
    assert {kid: c.stored for kid, c in counts.items()} == {"": 1, "0001": 7, "0002": 8, "0003": 8, "0004": 7}
    assert sum(c.duplicates for c in counts.values()) == 30


def test_a_relay_needs_no_keys_and_judges_the_form_alone(tmp_path, bridge, broker, listener, start):
    files = _files(tmp_path, bridge, broker, "relay", "unproven_per_min = 5")
    daemon = start(files)
    want = [_tagged(1, 1, {3: 5}), desk.frame(9, 7, {3: 6}), _tagged(1, 1, {3: 5}), _forge(desk.frame(2, 1, {3: 1}))]
    for heard in (*want[:2], b"", b"AT+OK\r\n", b"\x80" + bytes(20), *want[2:]):
        bridge.hears(heard)
    desk.until(lambda: [entry[1] for entry in _frames(listener, "relay")] == want)
    rng = random.Random(1)
    strangers = [b"\x8a" + rng.randbytes(4) + b"\x01" + rng.randbytes(20) for _ in range(30)]
    for heard in strangers:
        bridge.hears(heard)
    desk.until(lambda: not bridge.waiting)
    assert daemon.stop() == 0
    assert desk.balance(files, "frames", True)[:4] == (5, 5, 0, 0)
    counts, counters = desk.counts(files)
    assert {kid: c.stored for kid, c in counts.items()} == {"": 5}, "no key id that somebody invents is kept"
    assert counters["short"] == 1
    assert counters["version"] + counters["format"] == 2
    assert counters["rate"] == 29


@pytest.mark.parametrize("role", ["street", "reader", "controller"])
def test_what_a_thief_finds(tmp_path, bridge, broker, start, role):
    """All bytes that a gateway of a role leaves on its disk, while a frame waits there: only its own role's keys."""
    files = _files(tmp_path, bridge, "mqtt://127.0.0.1:1", role)
    if role in ("reader", "controller"):
        files.config.write_text(files.config.read_text().replace('format = "frames"', 'format = "senml"'))
    daemon = start(files)
    payload = cbor.dumps({3: 5, 17: 4_000_000_000})
    bridge.hears(seal.seal(desk.keys(1), 1, payload, hop=True))
    desk.until(lambda: not bridge.waiting)
    daemon.kill()
    found = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.is_file())
    whole = desk.keys(1)
    for name in ("k_up", "iv", "k_hop", "k_dn"):
        key = getattr(whole, name)
        assert (key.hex().encode() in found) == (name in MAY_HOLD[role]), name
        assert key not in found
    assert desk.secret(1).hex().encode() not in found
    assert desk.secret(1) not in found
    assert (payload in found) == (role in ("reader", "controller"))


class Time:
    """The daemon's clock in a file."""

    def __init__(self, folder):
        self.path = folder / "clock"
        self.path.write_bytes(bytes(16))
        with self.path.open("r+b") as file:
            self._buffer = mmap.mmap(file.fileno(), 16)
        self.now_s = NOW_S
        self.to(NOW_S)

    def to(self, now_s):
        clock.write_pair(self._buffer, now_s, 1000 + now_s - NOW_S)


def _asked(files, query):
    """Rows of a query of the store, as another process reads them."""
    db = sqlite3.connect(f"file:{files.store}?mode=ro", uri=True)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def _alarms(files, *words):
    line = ["alarms", "--config", str(files.config), "--json", *words]
    done = CliRunner().invoke(command.gateway, line, catch_exceptions=False)
    return [(a["name"], a["kid"], a["state"]) for a in json.loads(done.stdout)["alarms"]]


@pytest.mark.produces("retired")
def test_rotation(tmp_path, bridge, broker, listener, start):
    """Both key ids are good; the old one is retired some days after the new one was heard, and not before that."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, gateway="old_key_days = 30").rotate().write()
    time_ = Time(tmp_path)
    daemon = start(files, "--clock", str(time_.path))

    def hears(n, piv):
        bridge.hears(desk.frame(n, piv, {3: piv}))
        desk.until(lambda: not bridge.waiting)

    hears(1, 1)
    time_.to(NOW_S + 400 * DAY_S)
    hears(1, 2)
    hears(17, 1)  # the board was visited
    hears(1, 3)
    hears(2, 1)
    desk.until(lambda: daemon.said("stored", kid="0011"))
    desk.until(lambda: _asked(files, "SELECT value FROM meta WHERE name = 'first:0011'"), what="the day is on disk")
    daemon.kill()
    time_.to(NOW_S + 429 * DAY_S)
    daemon = start(files, "--clock", str(time_.path))
    hears(1, 4)
    desk.until(lambda: daemon.said("stored", kid="0001"))
    daemon.kill()
    time_.to(NOW_S + 430.1 * DAY_S)
    bridge.hears(desk.frame(1, 5, {3: 5}))  # the first thing that it hears
    daemon = start(files, "--clock", str(time_.path))
    hears(17, 2)
    hears(2, 2)  # its new key id was never heard
    desk.until(lambda: daemon.said("stored", kid="0002"))
    assert not daemon.said("stored", kid="0001")
    assert daemon.said("alarm") == [
        {"t": daemon.said("alarm")[0]["t"], "ev": "alarm", "name": "retired", "kid": "0001", "board": "bin-1", "state": "raised"}
    ]
    assert _alarms(files) == [("retired", "0001", "raised")]
    time_.to(NOW_S + 432 * DAY_S)
    desk.until(lambda: daemon.said("alarm", state="cleared"))
    assert daemon.stop() == 0
    assert _alarms(files) == [("retired", "0001", "cleared")]
    counts, counters = desk.counts(files)
    assert (counts["0001"].stored, counters["retired"]) == (4, 1)
    assert counts["0011"].stored == 2


def test_alarms_are_raised_once_seen_to_and_raised_again(tmp_path, bridge, broker, start):
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker).write()
    daemon = start(files)
    bridge.hears(desk.frame(1, 100, {3: 1}))
    for _ in range(5):
        bridge.hears(desk.frame(1, 100, {3: 2}))
        bridge.hears(_forge(desk.frame(2, 1, {3: 1})))
        bridge.hears(desk.frame(1, 36, {3: 2}))
        bridge.hears(desk.frame(9, 1, {3: 2}))
    desk.until(lambda: len(daemon.said("alarm")) == 3)
    desk.until(lambda: not bridge.waiting)
    daemon.kill()
    want = [("auth", "0002", "raised"), ("old", "0001", "raised"), ("reuse", "0001", "raised")]
    assert _alarms(files) == want
    daemon = start(files)
    desk.until(lambda: daemon.said("started"))
    assert _alarms(files, "--clear", "reuse") == [*want[:2], ("reuse", "0001", "cleared")]
    desk.until(lambda: daemon.said("alarm", name="reuse", state="cleared"))
    bridge.hears(desk.frame(1, 100, {3: 3}))
    desk.until(lambda: daemon.said("alarm", name="reuse", state="raised"))
    assert daemon.stop() == 0
    assert _alarms(files) == want


def test_a_flood_of_forged_frames_fills_nothing(tmp_path, bridge, broker, start):
    """Neither disk nor log nor alarms grow with it, and the boards are heard meanwhile."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker).write()
    daemon = start(files)
    rng = random.Random(2)
    bridge.hears(desk.frame(1, 1, {3: 1}))
    desk.until(lambda: daemon.said("stored"))

    def flood(n):
        for i in range(n):
            kid = rng.choice((b"\0\1", b"\0\2", rng.randbytes(2), rng.randbytes(4)))
            bridge.hears(bytes((0x81 | (len(kid) - 2) << 2,)) + kid + bytes((1 + i % 255,)) + rng.randbytes(24))
            desk.until(lambda: len(bridge.waiting) < 50)
        desk.until(lambda: not bridge.waiting)
        return len(daemon.stderr), files.store.stat().st_size, len(_alarms(files))

    flood(200)
    before = flood(100)
    after = flood(1500)
    assert (after[0], after[2]) == (before[0], before[2]) == (before[0], 2)
    assert after[1] <= before[1] + 8192
    bridge.hears(desk.frame(1, 2, {3: 1}))
    desk.until(lambda: len(daemon.said("stored")) == 2)
    assert daemon.stop() == 0
    assert set(desk.counts(files)[0]) == {"0001"}


def _behind(folder, broker):
    """Files of a reader that hears what the street gateway of its site heard."""
    folder.mkdir()
    files = desk.Files(folder, {}, broker)
    files.text += f'[[frames]]\nurl = "{broker}"\ngateways = ["poste-street"]\n'
    files.write()
    boards = folder / "boards.yaml"
    street = "  poste-street: {site: plage, position: [48.6, -2.8], role: street}\nboards:\n"
    boards.write_text(boards.read_text().replace("boards:\n", street, 1).replace("gateway: poste,", "gateway: poste-street,"))
    return files


@pytest.fixture
def apart(tmp_path):
    """A broker of its own, and who listens there: frames of other tests' gateways would be taken too."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Embedded(folder)
    listener = desk.Listener(broker.url)
    yield broker.url, listener
    listener.close()
    broker.close()


def test_a_reader_behind_a_street_gateway(tmp_path, bridge, apart, start):
    """Both are killed on the way; what the boards said comes out once, and what was forged never came so far."""
    broker, listener = apart
    (tmp_path / "street").mkdir()
    street, reader = _files(tmp_path / "street", bridge, broker, "street"), _behind(tmp_path / "reader", broker)
    want = {desk.name(n, piv) for n in range(1, 5) for piv in range(1, 11)}
    for life in range(2):
        near = start(reader)
        # Before the first frame: a broker keeps nothing for who never subscribed.
        desk.until(lambda near=near: near.said("broker", frames="frames", state="connected"))
        far = start(street)
        for piv in range(1 + 5 * life, 6 + 5 * life):
            for n in range(1, 5):
                whole = _tagged(n, piv, {3: piv})
                for heard in (_forge(whole), whole, whole)[n % 2 :]:
                    bridge.hears(heard)
        if life == 0:
            desk.until(lambda: len(bridge.waiting) < 25)
            far.kill()
            near.kill()
    desk.until(lambda: not bridge.waiting)
    desk.until(lambda: set(listener.frames()) >= want)
    assert far.stop() == near.stop() == 0
    assert set(listener.frames()) == want
    counts, counters = desk.counts(reader)
    assert {kid: (c.stored, c.direct) for kid, c in counts.items()} == {f"{n:04x}": (10, 10) for n in range(1, 5)}
    assert not {"hop", "auth", "reuse", "old"} & set(counters)
    assert desk.balance(street, "frames", True)[:4] == (40, 40, 0, 0)
    assert desk.balance(reader)[:4] == (40, 40, 0, 0)
