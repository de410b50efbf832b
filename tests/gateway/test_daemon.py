"""The real daemon as a process, with a board on a pseudo terminal and a real broker."""

import mmap
import os
import random
import signal
import time

import cbor2
import gatedesk as desk
import pytest

from firmware.wire import hdlc, link
from gateway import clock

BIN = {1: 3712, 2: 214, 3: 73, 4: 412}


@pytest.fixture
def files(tmp_path, bridge, broker):
    return desk.Files(tmp_path, {"bridge": bridge.path}, broker).write()


@pytest.fixture
def running(files, bridge, start):
    """The daemon, ready to hear."""
    daemon = start(files)
    desk.until(lambda: bridge.hellos)
    return daemon


def test_a_reading_goes_from_the_line_to_the_broker(running, files, bridge, listener):
    bridge.hears(desk.frame(1, 1, BIN))
    desk.until(lambda: bridge.handled == [1])
    desk.until(lambda: listener.messages)
    message = listener.messages[0]
    assert str(message.topic) == "jourdain/plage/poste/senml"
    assert message.properties.ContentType == "application/senml+cbor"
    assert message.qos == 1
    records = cbor2.loads(message.payload)
    assert records[0][-2] == "urn:dev:org:32473-plage-bin-1_"
    assert abs(records[0][-3] - time.time()) < 5
    assert {r[0]: r.get(2) for r in records} == {
        "battery": 3.712, "temperature": 21.4, "fill": 0.73, "distance": 0.412, "rssi": -131, "snr": 5.5, "frame": None
    }  # fmt: skip
    assert records[-1][8] == bytes.fromhex("000100000001")
    assert running.stop() == 0
    (stored,) = running.said("stored")
    assert stored["values"] == {"battery": 3.712, "temperature": 21.4, "fill": 0.73, "distance": 0.412}
    assert (stored["board"], stored["kid"], stored["piv"], stored["how"]) == ("bin-1", "0001", 1, "direct")
    (published,) = running.said("published")
    assert published["kids"] == {"0001": 1}
    found, counters = desk.counts(files)
    assert counters == {}
    assert found["0001"] == (1, 0, 1, 1, 0, 1, 1, 0, 0)


@pytest.mark.produces("auth", "kid", "version", "format", "short")
def test_hostile_bytes_and_the_next_good_frame(running, files, bridge):
    """Garbage, frames cut anywhere, wrong keys, LoRaWAN, unknown messages: each in its counter, and then a good one."""
    rng = random.Random(8)
    good = 0

    def still_hears():
        nonlocal good
        good += 1
        seq = bridge.hears(desk.frame(1, good, {3: good}))
        desk.until(lambda: bridge.handled and bridge.handled[-1] == seq, what=f"good frame {good} is handled")

    still_hears()
    for _ in range(6):
        bridge.says(rng.randbytes(rng.randrange(1, 3000)))
        bridge.says(b"\x7e")
        still_hears()
    whole = link.heard(1000, desk.frame(2, 1, {3: 1}), -100, 20, 5)
    for cut in range(2, len(whole) - 1, 5):
        bridge.says(whole[:cut] + b"\x7e")
    still_hears()
    bridge.says(b"Traceback (most recent call last):\r\n  boom\r\n\x04\x04>>> ")
    bridge.says(hdlc.encode(hdlc.PROTO_LOG, b"boot 3"))
    bridge.says(hdlc.encode(hdlc.PROTO_MESSAGE, cbor2.dumps([77, "of a newer firmware"])))
    bridge.says(hdlc.encode(hdlc.PROTO_MESSAGE, b"\x00"))
    still_hears()
    for bad in (
        desk.seal.seal(desk.seal.derive(desk.secret(99), b"\0\1"), 9, b"\xa0"),  # wrong key
        desk.seal.seal(desk.seal.derive(desk.secret(99), b"\x99\x99"), 9, b"\xa0"),  # nobody's key id
        bytes.fromhex("4001020304000100") + bytes(12),  # a LoRaWAN uplink
        bytes.fromhex("8001020304000100") + bytes(12),  # a confirmed one
        b"",
        desk.frame(2, 1, {3: 1})[:11],
    ):
        bridge.hears(bad)
    still_hears()
    for n in range(3000):
        bridge.hears(rng.randbytes(n % 50))
    still_hears()
    assert running.stop() == 0
    found, counters = desk.counts(files)
    assert found["0001"].stored == good
    foreign = sum(counters.get(name, 0) for name in ("auth", "kid", "version", "format", "short", "dir"))
    assert foreign == 3006
    assert counters["auth"] >= 1
    assert counters["line_crc"] >= 3
    assert (counters["line_unknown"], counters["line_message"]) == (1, 1)


@pytest.mark.produces("no_port", "port_busy")
def test_unplugged_and_back_while_another_port_works(tmp_path, bridge, broker, start):
    spare = desk.Board(tmp_path, "spare")
    daemon = start(desk.Files(tmp_path, {"bridge": bridge.path, "spare": spare.path}, broker).write())
    desk.until(lambda: bridge.hellos and spare.hellos)
    bridge.unplug()
    bridge.hears(desk.frame(1, 1, {3: 1}))  # kept by the board
    desk.until(lambda: daemon.said("port", board="bridge", state="no_port"))
    spare.hears(desk.frame(2, 1, {3: 2}))
    desk.until(lambda: spare.handled == [1])
    start_s = time.monotonic()
    bridge.plug()
    desk.until(lambda: bridge.handled == [1])
    assert time.monotonic() - start_s < 2
    assert daemon.stop() == 0
    assert desk.counts(daemon.files)[1] == {"port_lost": 1, "no_port": 1}
    # Two daemons do not share a port.
    first = start(daemon.files)
    desk.until(lambda: bridge.hellos >= 3 and spare.hellos >= 2)
    (tmp_path / "b").mkdir()
    second = start(desk.Files(tmp_path / "b", {"bridge": bridge.path, "spare": tmp_path / "none"}).write())
    desk.until(lambda: second.said("port", board="bridge", state="port_busy"))
    desk.until(lambda: "another program holds the port" in second.stderr)
    desk.until(lambda: second.said("port", board="spare", state="no_port"))
    first.kill()
    desk.until(lambda: second.said("port", board="bridge", state="open"))


def test_the_broker_is_cut_off_and_nothing_is_lost(tmp_path, bridge, proxy, listener, start):
    files = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url, "batch_age_s = 0.05\nbatch_readings = 3").write()
    daemon = start(files)
    desk.until(lambda: bridge.hellos)
    for piv in range(1, 61):
        bridge.hears(desk.frame(1, piv, {3: piv}))
        if piv in (20, 40):
            proxy.cut()
        if piv in (30, 50):
            time.sleep(0.3)
            proxy.mend()
    desk.until(lambda: bridge.handled and bridge.handled[-1] == 60)
    want = [desk.name(1, piv) for piv in range(1, 61)]
    desk.until(lambda: set(listener.frames()) == set(want), 15)
    assert daemon.stop() == 0
    (counts,) = desk.counts(files)[0].values()
    assert (counts.stored, counts.frames_published, counts.readings_published) == (60, 60, 60)
    extra = len(listener.frames()) - 60
    assert extra <= counts.readings_again, "whatever came twice was counted as handed over again"
    firsts = list(dict.fromkeys(listener.frames()))
    assert firsts == want, "in the order of the board"


@pytest.mark.produces("disk_full")
def test_a_full_store_waits_for_the_broker_and_goes_on(tmp_path, bridge, proxy, listener, start):
    """With the broker away the store fills up to its limit; nothing more is acknowledged until there is room again."""
    proxy.cut()
    files = desk.Files(tmp_path, {"bridge": bridge.path}, proxy.url, "batch_readings = 500", "store_max_mb = 0.25")
    files.text += '[store]\nwhen_full = "refuse"\n'
    daemon = start(files.write())
    desk.until(lambda: bridge.hellos)
    sent = 0
    while not daemon.said("error", name="disk_full", over=False):
        if len(bridge.waiting) < 60:
            sent += 1
            bridge.hears(desk.frame(1, sent, {3: sent % 100, 1: 3700}))
        else:
            time.sleep(0.005)
    time.sleep(0.3)  # an acknowledgement may still be on the line
    assert "disk_full: no room" in daemon.stderr
    handled, stored = bridge.handled[-1], desk.counts(files)[0]["0001"].stored
    assert handled <= stored < sent
    time.sleep(1.5)
    assert bridge.handled[-1] == handled, "nothing more is acknowledged"
    proxy.mend()
    desk.until(lambda: bridge.handled[-1] == sent, 20)
    desk.until(lambda: daemon.said("error", name="disk_full", over=True))
    desk.until(lambda: len(set(listener.frames())) == sent, 20)
    assert daemon.stop() == 0
    counts, counters = desk.counts(files)
    assert (counts["0001"].stored, counts["0001"].readings_published) == (sent, sent)
    assert counters["disk_full"] == 1
    assert files.store.stat().st_size < 0.6e6


@pytest.mark.parametrize("die_at", ["heard:4", "heard-done:4", "handed-done:2", "sent:3", "sent-done:2"])
def test_death_at_a_moment_of_the_store(tmp_path, bridge, broker, listener, start, die_at):  # noqa: PLR0917
    """kill -9 inside a transaction, after it, before a batch leaves, between PUBACK and mark: nothing lost, all counted."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 0.02").write()
    daemon = start(files, die_at=die_at)
    piv = 0
    while daemon.alive:
        assert piv < 500, "it should be dead"
        if len(bridge.waiting) < 50:
            piv += 1
            bridge.hears(desk.frame(1, piv, {3: piv % 100}))
        time.sleep(0.01)
    assert daemon.wait() == -signal.SIGKILL
    desk.balance(files)
    life = start(files)
    bridge.hears(desk.frame(1, piv + 1, {3: 1}))
    desk.until(lambda: bridge.handled and bridge.handled[-1] == piv + 1)
    desk.until(lambda: set(listener.frames()) == {desk.name(1, n) for n in range(1, piv + 2)})
    assert life.stop() == 0
    (counts,) = desk.counts(files)[0].values()
    assert (counts.received, counts.duplicates, counts.stored, counts.direct) == (piv + 1, 0, piv + 1, piv + 1)
    assert (counts.frames_published, counts.readings_published) == (piv + 1, piv + 1)
    assert len(listener.frames()) - (piv + 1) <= counts.readings_again
    if die_at in ("handed-done:2", "sent:3"):
        assert counts.readings_again > 0


def test_killed_at_any_moment(tmp_path, bridge, broker, listener, start):
    """Eight deaths by chance while frames come, some of them twice on air; the board's list of unhandled ones is the judge."""
    rng = random.Random(12)
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 0.02\nbatch_readings = 7").write()
    piv = dict.fromkeys(range(1, 5), 0)
    duplicates = sent = 0
    for _ in range(8):
        daemon = start(files)
        hellos = bridge.hellos
        desk.until(lambda seen=hellos: bridge.hellos > seen)
        end = time.monotonic() + rng.uniform(0.05, 0.5)
        while time.monotonic() < end:
            if len(bridge.waiting) >= 55:
                time.sleep(0.002)
                continue
            n = rng.randrange(1, 5)
            piv[n] += 1
            frame = desk.frame(n, piv[n], {3: piv[n] % 100})
            bridge.hears(frame)
            sent += 1
            if rng.random() < 0.1 and len(bridge.waiting) < 55:
                bridge.hears(frame)
                duplicates += 1
            time.sleep(rng.choice((0, 0.001, 0.004)))
        daemon.kill()
        desk.balance(files)
    last = start(files)
    desk.until(lambda: not bridge.waiting)
    want = {desk.name(n, p) for n in piv for p in range(1, piv[n] + 1)}
    desk.until(lambda: set(listener.frames()) == want)
    desk.until(lambda: last.said("started"))  # before that, SIGTERM ends it as it ends any process
    assert last.stop() == 0
    counts, counters = desk.counts(files)
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    assert total[:5] == [sent + duplicates, duplicates, sent, sent, 0]
    assert total[5:7] == [sent, sent]
    assert len(listener.frames()) - sent <= total[8]
    assert set(counters) <= {"line_resent", "port_lost"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_sends_what_waits(tmp_path, bridge, broker, listener, start, how):  # noqa: PLR0917
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 3600").write()
    daemon = start(files)
    desk.until(lambda: bridge.hellos and daemon.said("broker", state="connected"))  # what came before would not wait
    bridge.hears(desk.frame(1, 1, BIN))
    desk.until(lambda: bridge.handled == [1])
    assert listener.messages == []
    daemon._process.send_signal(how)
    assert daemon.wait() == 0
    desk.until(lambda: listener.frames() == [desk.name(1, 1)])
    assert not (tmp_path / "store.db-wal").exists(), "closed in order"
    assert desk.counts(files)[0]["0001"].readings_published == 1
    assert "Traceback" not in daemon.stderr


def test_a_stop_without_a_broker_is_bounded(tmp_path, bridge, start):
    daemon = start(desk.Files(tmp_path, {"bridge": bridge.path}, "mqtt://127.0.0.1:1", "batch_age_s = 3600").write())
    desk.until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 1, BIN))
    desk.until(lambda: bridge.handled == [1])
    start_s = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - start_s < 6
    assert desk.counts(daemon.files)[0]["0001"].readings_published == 0


def test_the_town_keeps_the_clock(tmp_path, bridge, broker, listener, start):
    """Dates and batches go by the file, not by the wall."""
    path = tmp_path / "clock"
    path.write_bytes(bytes(16))
    with path.open("r+b") as file:
        town = mmap.mmap(file.fileno(), 16)
    clock.write_pair(town, 1_900_000_000.0, 50.0)
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 600").write()
    daemon = start(files, "--clock", str(path))
    desk.until(lambda: bridge.hellos and daemon.said("broker", state="connected"))  # what came before would not wait
    bridge.hears(desk.frame(1, 1, BIN))
    desk.until(lambda: bridge.handled == [1])
    time.sleep(0.3)
    assert listener.messages == []
    clock.write_pair(town, 1_900_000_700.0, 750.0)
    desk.until(lambda: listener.messages)
    assert 1_899_999_990 < cbor2.loads(listener.messages[0].payload)[0][-3] <= 1_900_000_000


def test_a_reader_of_events_that_sleeps_stops_nothing(tmp_path, bridge, start):
    files = desk.Files(tmp_path, {"bridge": bridge.path}).write()
    read, write = os.pipe()
    daemon = start(files, stdout=write)
    os.close(write)
    desk.until(lambda: bridge.hellos)
    for piv in range(1, 1200):
        bridge.hears(desk.frame(1, piv, BIN))
    desk.until(lambda: bridge.handled and bridge.handled[-1] == 1199)
    assert daemon.stop() == 0
    os.close(read)
