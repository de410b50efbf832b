"""Frames of other gateways: hostile messages, one real broker, and a daemon that dies between the disk and the PUBACK."""

import asyncio
import time

import brokers
import cbor2
import gatedesk as desk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.books import Books
from gateway.config import Frames
from gateway.ingress import frames
from gateway.upstream.connection import Message
from gateway.upstream.session import Inbound, Session

TOPIC = "jourdain/plage/digue/frames"
OTHERS = """\
  digue: {site: plage, position: [48.6, -2.8], role: relay}
boards:
  mast: {type: pico, role: bridge, gateway: digue, position: [48.6, -2.8], uid: "e6614c311b7e5a23",
         radio: {module: waveshare-pico-sx1262}}
"""
THEN_MS = 1_750_000_000_000


def entry(n, piv, unix_ms=THEN_MS, channel="mast", payload=None):
    """A frame of board n as another gateway tells it."""
    return [unix_ms, desk.frame(n, piv, payload or {1: 3000 + piv}), -101, 22, channel]


def message(entries, gateway="digue", version=1):
    return cbor2.dumps([version, gateway, 7, entries])


class Bench:
    """A door with what it put, what it counted and what it acknowledged."""

    def __init__(self, gateways=()):
        self.batches, self.counts, self.acked, self.states = [], {}, [], []
        config = Frames(url="mqtt://127.0.0.1:1", gateways=gateways)
        known = {name: {"mast": lambda n: 10 * n} for name in ("poste", "digue", "phare")}
        how = {"put": self.batches.append, "count": self._count, "on_state": lambda *said: self.states.append(said)}
        self.door = frames.Door(config, "plage", "poste", known, **how)

    def _count(self, name, n):
        self.counts[name] = self.counts.get(name, 0) + n

    def hears(self, payload, topic=TOPIC, qos=1):
        self.door.take(Message(topic, payload, "application/cbor", qos, lambda: self.acked.append(payload)))


def test_a_message_becomes_a_batch_and_waits_for_the_disk():
    bench = Bench()
    bench.hears(message([entry(1, 1), entry(2, 5, channel="elsewhere")]))
    (batch,) = bench.batches
    near, far = batch.frames
    assert (near.source.board, near.frame, near.unix_ms, near.rssi_dbm, near.snr_x4) == (
        "digue",
        entry(1, 1)[1],
        THEN_MS,
        -101,
        22,
    )
    assert [h.source.airtime_ms(20) for h in (near, far)] == [200, 0], "only a bridge of boards.yaml has a radio plan"
    assert bench.acked == []
    batch.done()
    assert len(bench.acked) == 1


GOOD = entry(1, 1)


@pytest.mark.parametrize(
    ("payload", "name", "taken"),
    [
        (b"", "frames_malformed", None),
        (b"\xff", "frames_malformed", None),
        (b"\x81" * 100_000, "frames_malformed", None),
        (b"\x9b\x7f" + b"\xff" * 7, "frames_malformed", None),
        (cbor2.dumps({}), "frames_malformed", None),
        (cbor2.dumps([1, "digue", 7]), "frames_malformed", None),
        (cbor2.dumps([1, "digue", 7, {}]), "frames_malformed", None),
        (cbor2.dumps([1, "digue", 7, [GOOD] * (frames.FRAMES_MAX + 1)]), "frames_malformed", None),
        (message([GOOD], version=2), "frames_version", None),
        (message([GOOD], version=True), "frames_version", None),
        (message([GOOD[:4], GOOD]), "frames_malformed", 1),
        (message([["now", *GOOD[1:]], GOOD]), "frames_malformed", 1),
        (message([[-1, *GOOD[1:]], [1 << 60, *GOOD[1:]], GOOD]), "frames_malformed", 1),
        (message([[THEN_MS, "frame", *GOOD[2:]], [THEN_MS, b"", 1 << 40, 22, "mast"]]), "frames_malformed", 0),
        (message([[*GOOD[:2], True, 22, "mast"], [*GOOD[:3], 1.5, "mast"], [*GOOD[:4], 5]]), "frames_malformed", 0),
    ],
)
def test_what_is_no_message_is_counted_and_acknowledged(payload, name, taken):
    bench = Bench()
    bench.hears(payload)
    assert list(bench.counts) == [name]
    assert [len(batch.frames) for batch in bench.batches] == ([] if taken is None else [taken])
    assert len(bench.acked) == (taken is None), "else it would come for ever"


@pytest.mark.parametrize("topic", ["jourdain/plage/autre/frames", "", "jourdain/plage/digue", "a/b/c/d/e"])
def test_whom_boards_yaml_does_not_know_is_not_heard(topic):
    bench = Bench()
    bench.hears(message([GOOD]), topic=topic)
    assert (bench.counts, bench.batches, len(bench.acked)) == ({"frames_stranger": 1}, [], 1)


def test_only_those_that_gateway_toml_names_are_heard():
    bench = Bench(["phare"])
    bench.hears(message([GOOD]))
    bench.hears(message([GOOD]), topic="jourdain/plage/phare/frames")
    assert (bench.counts, len(bench.batches)) == ({"frames_stranger": 1}, 1)


def test_what_nobody_would_send_again_is_not_taken():
    bench = Bench()
    bench.hears(message([GOOD]), qos=0)
    assert (bench.counts, bench.batches) == ({"frames_qos": 1}, [])


def test_our_own_frames_are_none_of_its_business():
    bench = Bench()
    bench.hears(message([GOOD]), topic="jourdain/plage/poste/frames")
    assert (bench.counts, bench.batches, len(bench.acked)) == ({}, [], 1)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.binary(max_size=40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 9), inner, max_size=3),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.binary(max_size=200) | ANY.map(cbor2.dumps) | st.lists(ANY, max_size=6).map(message))
def test_nothing_that_comes_hurts(payload):
    bench = Bench()
    bench.hears(payload)
    assert len(bench.acked) + len(bench.batches) == 1
    for batch in bench.batches:
        assert all(type(heard.frame) is bytes and heard.unix_ms > 0 for heard in batch.frames)


# With a real broker


def test_more_than_was_agreed_waits_outside(mosquitto):
    """Debian's Mosquitto forgets our receive maximum when it sends again what we did not acknowledge."""
    config = Frames(url=mosquitto.plain_url, reconnect_max_s=0.5)
    held, seen = [], []

    def hear(message):
        held.append(message)
        seen.append(message.payload)

    def session():
        return Session(config, "poste", None, lambda *_: None, inbound=Inbound((TOPIC,), hear, 16))

    async def first(publish):
        for n in range(200):
            publish(TOPIC, b"%d" % n, "")
        while len(held) < 16:
            await asyncio.sleep(0.01)

    async def second(publish):
        while len(set(seen)) < 200:
            await asyncio.sleep(0.01)
            assert len(held) <= 18, "one more than agreed, and it listens no more"
            while held:
                held.pop(0).done()

    asyncio.run(asyncio.wait_for(session().run(first), 20))
    assert {message.stale() for message in held} == {True}
    held.clear()
    asyncio.run(asyncio.wait_for(session().run(second), 20))
    assert list(dict.fromkeys(seen)) == [b"%d" % n for n in range(200)]


class Town:
    """The daemon's files, another gateway's client, and who reads what goes upstream."""

    def __init__(self, folder, broker, start, extra=""):
        self.broker = broker
        settings = f"{broker.settings}batch_age_s = 0.1"
        self.files = desk.Files(folder, {}, broker.url, settings)
        self.files.text += f'[[frames]]\nurl = "{broker.url}"\n{broker.settings}{extra}'
        self.files.write()
        fleet = folder / "boards.yaml"
        fleet.write_text(fleet.read_text().replace("boards:\n", OTHERS, 1))
        self._start = start
        self.reader = brokers.Subscriber(broker, ("jourdain/plage/poste/senml",))
        self.sender = brokers.Sender(broker)

    def start(self, **more):
        """The daemon, once it is subscribed."""
        daemon = self._start(self.files, **more)
        desk.until(lambda: daemon.said("broker", frames="frames", state="connected"), what=daemon.stderr)
        return daemon

    def names(self):
        """kid || PIV of every reading upstream."""
        return [record[8] for m in self.reader.messages for record in cbor2.loads(m.payload) if record.get(0) == "frame"]

    def counts(self):
        books = Books(self.files.store)
        try:
            return books.counts(), books.counters()
        finally:
            books.close()

    def close(self):
        self.sender.close()
        self.reader.close()


@pytest.fixture
def town(tmp_path, mosquitto, start):
    found = Town(tmp_path, mosquitto, start)
    yield found
    found.close()


def test_a_frame_of_another_gateway_goes_upstream_with_its_date(town):
    daemon = town.start()
    took_ms = 2000
    town.sender.send(TOPIC, message([entry(1, piv, THEN_MS + 1000 * piv) for piv in range(1, 31)]))
    town.sender.send(TOPIC, message([entry(1, piv) for piv in (7, 9)]))  # heard by two bridges
    desk.until(lambda: len(town.names()) == 30)
    assert town.names() == [desk.name(1, piv) for piv in range(1, 31)]
    pack = cbor2.loads(town.reader.messages[0].payload)
    assert THEN_MS + 1000 - took_ms < pack[0][-3] * 1000 < THEN_MS + 1000, "when it was sent, not when its reception ended"
    desk.until(lambda: town.counts()[0]["0001"].duplicates == 2)
    assert daemon.stop() == 0
    assert town.counts()[0]["0001"].stored == 30


def test_one_that_dates_from_the_future_is_dated_now(town):
    town.start()
    town.sender.send(TOPIC, message([entry(1, 1, THEN_MS * 2)]))
    desk.until(town.names)
    assert cbor2.loads(town.reader.messages[0].payload)[0][-3] <= time.time()


@pytest.mark.parametrize("moment", ["heard", "heard-done"])
def test_it_dies_between_the_disk_and_the_puback(town, moment):
    """The broker sends it again; what is on disk is a duplicate, and nothing is there twice."""
    first = town.start(die_at=f"{moment}:1")
    town.sender.send(TOPIC, message([entry(1, piv) for piv in range(1, 21)]))
    assert first.wait() == -9
    town.start()
    desk.until(lambda: len(town.names()) == 20)
    known = 20 if moment == "heard-done" else 0
    desk.until(lambda: town.counts()[0]["0001"].duplicates == known)
    assert town.counts()[0]["0001"].stored == 20
    town.sender.send(TOPIC, message([entry(1, 21)]))
    desk.until(lambda: len(town.names()) == 21)
    assert town.names() == [desk.name(1, piv) for piv in range(1, 22)]


def test_killed_at_any_moment_it_loses_nothing(town):
    sent = 0
    for enough in (1, 300):
        daemon = town.start()
        for _ in range(30):
            town.sender.send(TOPIC, message([entry(1, sent + n) for n in range(1, 11)]), wait=False)
            sent += 10
        desk.until(lambda enough=enough: len(town.names()) > enough)
        daemon.kill()
    town.start()
    desk.until(lambda: len(set(town.names())) == sent)
    assert sorted(set(town.names())) == [desk.name(1, piv) for piv in range(1, sent + 1)]
    assert town.counts()[0]["0001"].stored == sent


def test_late_frames_of_a_store_far_behind_are_taken(town):
    """Its gateway was cut off; meanwhile other ways brought the newer ones."""
    town.start()
    town.sender.send(TOPIC, message([entry(1, piv) for piv in range(1001, 1011)]))
    town.sender.send(TOPIC, message([entry(1, piv) for piv in range(1, 1001)]))
    desk.until(lambda: len(town.names()) == 1010)
    books, counters = town.counts()
    assert (books["0001"].stored, counters.get("old", 0), counters.get("reuse", 0)) == (1010, 0, 0)


def test_hostile_messages_among_good_ones_are_counted(town):
    daemon = town.start()
    town.sender.send(TOPIC, b"\xff\xff")
    town.sender.send(TOPIC, message([GOOD], version=9))
    town.sender.send("jourdain/plage/intrus/frames", message([GOOD]))
    town.sender.send(TOPIC, message([[THEN_MS, b"\x81\x00\x01\x01" + bytes(20), -100, 20, "mast"], [1], entry(1, 1)]))
    town.sender.send(TOPIC, message([entry(1, 2)]), qos=0)
    desk.until(lambda: town.names() == [desk.name(1, 1)])
    assert daemon.stop() == 0
    found = town.counts()[1]
    names = ("frames_malformed", "frames_version", "frames_stranger", "frames_qos", "auth")
    assert {name: found.get(name) for name in names} == dict(zip(names, (2, 1, 1, 1, 1), strict=True))


FULL = 'store_max_mb = 0.25\n[store]\nwhen_full = "refuse"\n'


def test_a_full_disk_makes_the_broker_wait(tmp_path, mosquitto, start):
    """Back-pressure: what is not on disk is not acknowledged, and no more than a few messages are held."""
    town = Town(tmp_path, mosquitto, start)
    town.files.text = town.files.text.replace("[[upstream]]", f"{FULL}[[upstream]]", 1)
    away = town.files.text.replace(mosquitto.url, "mqtts://localhost:1", 1)
    town.files.config.write_text(away)
    daemon = town.start()
    n = 6000
    for first in range(1, n, 100):
        town.sender.send(
            TOPIC, message([entry(1, piv, payload={1: piv % 60000}) for piv in range(first, first + 100)]), wait=False
        )
    desk.until(lambda: daemon.said("error", name="disk_full", over=False), 30)
    daemon.kill()
    town.files.config.write_text(town.files.text.replace(FULL, ""))
    town.start()
    desk.until(lambda: len(set(town.names())) == n, 30)
    assert town.counts()[0]["0001"].stored == n
    town.close()
