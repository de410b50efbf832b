"""The receive path without a process: what is judged, dated, counted and stored, and what is undone when the store fails."""

import itertools
import random
import time

import cbor2
import gatedesk as desk
import pytest

from firmware.radio.airtime import airtime_us
from firmware.wire import cbor, hdlc, link, seal
from gateway import fold
from gateway.books import Books
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.ingress.source import EARLY_S, Source
from gateway.receive import COUNT, OPENED, Receiver
from gateway.store import Store
from gateway.uplink import FILLS, OPAQUE, PLAIN, REPEAT

UNIX_S = 1_800_000_000.0
MONO_S = 5000.0


class Bench:
    """A receiver with two boards on one bridge."""

    def __init__(self, folder, events=False):
        self.path = folder / "store.db"
        self.events = events
        self.seq = 0
        self.store = None
        self.open()

    KIDS = (1, 2)

    def open(self, board="bridge"):
        """A new life over the same store."""
        if self.store:
            self.store.close()
        self.store = Store(self.path)
        self.source = Source(board, lambda n: round(airtime_us(n, 9, 125_000) / 1000))
        kids = [Kid(desk.keys(n), f"bin-{n}") for n in self.KIDS]
        self.receiver = Receiver(self.store, kids, [self.source], "boot-1", self.events)
        return self

    def take(self, *frames, unix_s=UNIX_S, at_s=MONO_S, t_ms=None):
        """Frames as the bridge heard them, in one group."""
        items = []
        for frame in frames:
            self.seq += 1
            data = link.heard(self.seq, frame, -101, 22, int(at_s * 1000) if t_ms is None else t_ms)
            items += [(self.source, at_s, proto, body) for proto, body in self.source.feed(data)]
        return self.group(items, unix_s, at_s)

    def group(self, items, unix_s=UNIX_S, at_s=MONO_S):
        """One group; `again` commits it once more when it failed."""
        self.receiver.judge(items, unix_s, at_s)
        self.gathered = self.receiver.seal()
        return self.again(unix_s, at_s)

    def again(self, unix_s=UNIX_S, at_s=MONO_S):
        return self.receiver.commit(self.gathered, unix_s, at_s)

    def line(self, data, at_s=MONO_S):
        """Bytes of the line."""
        items = [(self.source, at_s, proto, body) for proto, body in self.source.feed(data)]
        return self.group(items, UNIX_S, at_s)

    def hello(self, heard=0, t_ms=int(MONO_S * 1000)):
        return self.line(link.hello("1.0", "e66", [], t_ms, heard, 0))

    def rows(self):
        return self.store.rows(0, 2**63 - 1, 10_000)

    def entries(self):
        return [entry for row in self.rows() for entry in fold.entries(row)]

    def values(self):
        return [(entry.piv, entry.kind, entry.values) for entry in self.entries()]

    @property
    def books(self):
        found = Books(self.path)
        try:
            return found.counts(), found.counters()
        finally:
            found.close()


@pytest.fixture
def bench(tmp_path):
    found = Bench(tmp_path)
    found.hello()
    return found


@pytest.mark.produces("short", "long", "version", "format", "kid", "dir", "duplicate")
@pytest.mark.produces("auth", "hop", "reuse", "old", "cbor", "value")
def test_every_frame_that_is_not_accepted_is_counted_by_its_name(bench):
    good = [desk.frame(1, piv, {3: piv % 100}) for piv in (1, 100)]
    taken = bench.take(*good)
    hop_keys = desk.keys(2)
    bad = {
        "short": [b"", b"\x81\x00\x01", good[0][:12]],
        "long": [good[0] + bytes(255)],
        "version": [bytes.fromhex("4001020304000100") + bytes(12), bytes.fromhex("00") + bytes(22)],  # LoRaWAN data, join
        "format": [bytes.fromhex("8001020304000100") + bytes(12), bytes((0x85,)) + good[0][1:]],  # a LoRaWAN uplink too
        "kid": [seal.seal(seal.derive(desk.secret(9), b"\x77\x01"), 1, b"\xa0")],
        "dir": [seal.seal(desk.keys(1), 101, b"\xa0", down=True)],
        "auth": [seal.seal(seal.derive(desk.secret(9), b"\x00\x01"), 101, cbor.dumps({3: 5})), good[1][:-1] + b"?"],
        "hop": [seal.seal(hop_keys, 1, b"\xa1\x03\x05", hop=True)[:-1] + b"?"],
        "reuse": [desk.frame(1, 100, {3: 99})],
        "old": [desk.frame(1, 36, {3: 36})],
        "cbor": [desk.frame(1, 101, b"\xa1\x03\xf9\x3c\x00"), desk.frame(1, 102, b"")],
        "value": [desk.frame(1, 103, {3: 101}), desk.frame(1, 104, {3: [1, 2]})],
    }  # fmt: skip
    bad["cbor"][1] = desk.frame(1, 102, b"\x00")
    for name, frames in bad.items():
        taken = bench.take(*frames)
        assert taken.handled == {bench.source: bench.seq}, name
    bench.take(good[1], good[1])
    bench.take(desk.frame(1, 105, {3: 7}), desk.frame(2, 1, {3: 8}))
    counts, counters = bench.books
    assert counters == {name: len(frames) for name, frames in bad.items()}
    assert counts["0001"][:5] == (9, 2, 7, 3, 0)
    assert counts["0002"][:5] == (1, 0, 1, 1, 0)
    assert [(row.piv, row.kind) for row in bench.rows() if row.kind == OPAQUE] == [(n, OPAQUE) for n in (101, 102, 103, 104)]


def test_a_hop_tag_of_keys_that_are_not_held_is_not_judged(bench):
    bare = desk.keys(1)
    bench.receiver.kids[b"\0\1"].keys = seal.Keys(bare.kid, k_up=bare.k_up, iv=bare.iv)
    bench.take(seal.seal(bare, 1, cbor.dumps({3: 5}), hop=True))
    assert bench.values() == [(1, PLAIN, {3: 5})]


def test_a_repeat_fills_the_gap_and_the_frame_itself_fills_the_repeat(bench):
    """PROTOCOL, section 2, Repeats: stored once, without touching the window; the frame that comes later is accepted."""
    two = {1: 3700, 3: [40, 1], -8: 900, -9: 1}
    late = desk.frame(1, 2, {1: 3690, 3: 40, -8: 900})
    bench.take(desk.frame(1, 1, {3: 39}), desk.frame(1, 3, two))
    assert bench.values()[1:] == [(2, REPEAT, {3: 40}), (3, PLAIN, {1: 3700, 3: 41})]
    assert bench.books[0]["0001"][:5] == (2, 0, 2, 2, 1)
    bench.take(desk.frame(1, 4, {3: [40, 1, 1], -8: 900, -9: 2}))
    assert bench.values()[3:] == [(4, PLAIN, {3: 42})], "the repeat came again"
    bench.open()
    bench.hello(bench.seq)
    bench.take(late)
    assert bench.values()[4:] == [(2, FILLS, {1: 3690, 3: 40})]
    assert bench.books[0]["0001"][:5] == (4, 0, 4, 4, 0)
    bench.take(late)
    assert bench.books[0]["0001"][:5] == (5, 1, 4, 4, 0)
    repeat, newest = fold.entries(bench.rows()[1])
    assert newest.unix_ms - repeat.unix_ms == 900_000
    assert fold.frame(bench.rows()[1], desk.keys(1)) == desk.frame(1, 3, two)


def test_a_repeat_below_the_window_is_dropped(bench):
    """What the window no longer remembers may have been received: better lost in a count than twice in a table."""
    bench.take(desk.frame(1, 100, {3: 1}))
    bench.take(desk.frame(1, 38, {3: [1, 1, 1], -8: 60, -9: 2}))
    assert [entry.piv for entry in bench.entries()] == [100, 37, 38]


def test_a_batch_becomes_readings_with_their_own_dates(bench):
    bench.take(desk.frame(1, 7, {1: 3700, 3: [10, 5, 5], -8: 600, 14: 30}))
    assert [(entry.place, entry.kind) for entry in bench.entries()] == [(2, PLAIN), (1, PLAIN), (0, PLAIN)]
    assert [entry.values for entry in bench.entries()] == [{3: 10}, {3: 15}, {1: 3700, 3: 20}]
    dates = [entry.unix_ms for entry in bench.entries()]
    assert [b - a for a, b in itertools.pairwise(dates)] == [600_000, 600_000]
    assert bench.books[0]["0001"][:5] == (1, 0, 1, 3, 0)


def test_dates(bench):
    """The clock at RX_DONE, minus the time on air, minus the age."""
    frame = desk.frame(1, 1, {3: 1, 14: 40})
    bench.hello(0, t_ms=1000)
    bench.take(frame, at_s=MONO_S + 60, t_ms=11_000, unix_s=UNIX_S + 60)
    (row,) = bench.rows()
    assert abs(row.heard_ms - (UNIX_S + 10) * 1000) < 10, "more than a quartz may drift in a minute"
    assert row.unix_ms == row.heard_ms - round(airtime_us(len(frame), 9, 125_000) / 1000) - 40_000
    assert (row.rssi_dbm, row.snr_x4, row.channel) == (-101, 22, "bridge")
    wired = desk.frame(2, 1, {3: 1})
    bench.line(link.heard(2, wired, None, None, 12_000), at_s=MONO_S + 70)
    bench.line(hdlc.encode(hdlc.PROTO_FRAME, desk.frame(2, 2, {3: 2})), at_s=MONO_S + 80)
    wired, bare = bench.rows()[1:]
    assert wired.unix_ms == wired.heard_ms
    assert (bare.rssi_dbm, bare.unix_ms) == (None, UNIX_S * 1000)


def test_readings_without_a_clock_wait_for_it(bench):
    bench.take(desk.frame(1, 1, {3: 1}), unix_s=1000.0)
    assert bench.rows() == []
    assert bench.books[0]["0001"].stored == 1
    assert bench.store.undated("boot-1") == 1
    assert bench.store.undated("boot-0") == 0
    bench.open()
    bench.hello(bench.seq)
    assert bench.store.date("boot-1", round((UNIX_S - MONO_S) * 1000)) == 1
    (row,) = bench.rows()
    assert row.heard_ms == UNIX_S * 1000
    assert fold.frame(row, desk.keys(1)) == desk.frame(1, 1, {3: 1})
    assert bench.store.undated("boot-1") == 0


def test_what_a_board_says_of_itself_is_counted(tmp_path):
    bench = Bench(tmp_path, events=True)
    bench.hello()
    taken = bench.take(desk.frame(1, 1, {1: 3700, -7: 1}), desk.frame(1, 2, {-7: 99}))
    assert bench.books[1] == {"sensor_silent": 1, "device_99": 1}
    assert [e["name"] for e in taken.events if e["ev"] == "error"] == ["sensor_silent", "device_99"]


def test_events_say_what_was_stored_after_it_was(tmp_path):
    bench = Bench(tmp_path, events=True)
    hello = bench.hello().events
    assert hello == [{"ev": "hello", "board": "bridge", "uid": "e66", "firmware": "1.0", "heard": 0, "overflow": 0}]
    frame = desk.frame(1, 1, {1: 3712, 6: True, 21: b"\1\2\3\4"})
    one, two = bench.take(frame, frame).events
    air_s = round(airtime_us(len(frame), 9, 125_000) / 1000) / 1000
    assert one == {
        "ev": "stored", "board": "bin-1", "kid": "0001", "piv": 1, "how": "direct", "rssi_dbm": -101, "snr_db": 5.5,
        "values": {"battery": 3.712, "occupied": True, "token": "01020304"}, "time": pytest.approx(UNIX_S - air_s),
    }  # fmt: skip
    assert two == {"ev": "duplicate", "board": "bin-1", "kid": "0001"}


def test_nothing_is_acknowledged_before_the_hello(tmp_path):
    bench = Bench(tmp_path)
    assert bench.take(desk.frame(1, 1, {3: 1})).handled == {}
    assert bench.books[0]["0001"].stored == 1
    bench.hello(1)
    assert bench.line(link.heard(1, desk.frame(1, 1, {3: 1}), -101, 22, 0)).handled == {bench.source: 1}
    assert bench.books == ({"0001": (1, 0, 1, 1, 0, 0, 0, 0, 0)}, {"line_resent": 1})


def test_a_resend_after_a_restart_is_no_repetition_on_air(bench):
    frames = [desk.frame(1, 1, {3: 1}), desk.frame(1, 1, {3: 1}), desk.frame(1, 2, {3: 2})]
    bench.take(*frames)
    bench.open()
    bench.hello(3)
    bench.seq = 0
    taken = bench.take(*frames)
    assert taken.handled == {bench.source: 3}
    assert bench.books == ({"0001": (3, 1, 2, 2, 0, 0, 0, 0, 0)}, {"line_resent": 3})
    bench.take(frames[0])
    assert bench.books[0]["0001"].duplicates == 2


def test_a_line_lost_on_the_port_is_asked_for_again(bench):
    one, two, three = (desk.frame(1, piv, {3: piv}) for piv in (1, 2, 3))
    assert bench.take(one).handled == {bench.source: 1}
    bench.seq = 2
    taken = bench.take(three)
    assert (taken.handled, taken.asks) == ({}, [bench.source])
    assert bench.hello(3).handled == {}
    bench.seq = 1
    taken = bench.take(two, three)
    assert (taken.handled, taken.asks) == ({bench.source: 3}, [])
    assert [row.piv for row in bench.rows()] == [1, 2, 3], "in the order in which they were heard"
    for handled in (*[{}] * 7, {bench.source: 8}):  # a board that no longer has 4 to 7 is believed the eighth time
        bench.hello(9)
        bench.seq = 7
        assert bench.take(desk.frame(1, 8, {3: 8})).handled == handled
    assert bench.books[1] == {"line_lost": 4}


def test_messages_that_make_no_sense(bench):
    odd = [
        hdlc.encode(hdlc.PROTO_MESSAGE, body)
        for body in (b"", b"\xff", b"\xa0", b"\x80", b"\x81\x61a", cbor2.dumps([1, 2]), cbor2.dumps([6, "a", "b", [], "x", 1, 2]))
    ]
    odd.append(hdlc.encode(hdlc.PROTO_MESSAGE, cbor2.dumps([1, "7", b"", 1, 1, 1])))
    bench.line(b"".join(odd))
    bench.line(hdlc.encode(hdlc.PROTO_MESSAGE, cbor.dumps_link([99, None])) + link.sent(1, "ok", 5))
    more = cbor2.dumps([1, 1, desk.frame(1, 1, {3: 1}), None, None, 5, "new", {}])
    assert bench.line(hdlc.encode(hdlc.PROTO_MESSAGE, more)).handled == {bench.source: 1}
    assert bench.books[1] == {"line_message": len(odd), "line_unknown": 2}


def test_numbers_beyond_all_reason(bench):
    """What the protocol does not limit must not stop the daemon either."""
    bench.take(desk.frame(1, 1, {3: 1, 14: 2**64 - 1}), desk.frame(1, 2, {3: [1, 1], -8: 2**63}), t_ms=2**64 - 1)
    for odd in (2**70, 2**63, -(2**31) - 1):
        message = cbor2.dumps([1, 3, desk.frame(1, 3, {3: 3}), odd, 1, 1])
        bench.line(hdlc.encode(hdlc.PROTO_MESSAGE, message))
    bench.line(link.heard(2**64 - 1, desk.frame(1, 3, {3: 3, 30: [[b"x"], {1: "y"}]}), -1, 1, 1))
    bench.receiver.give_up_order()
    bench.group([])
    assert bench.books[1] == {"line_message": 3}
    assert bench.books[0]["0001"].stored == 3
    assert min(row.unix_ms for row in bench.rows()) == -(2**60)


def test_an_acknowledgement_that_was_lost_is_said_again(bench):
    frame = desk.frame(1, 1, {3: 1})
    assert bench.take(frame).handled == {bench.source: 1}
    bench.hello(1)
    bench.seq = 0
    assert bench.take(frame).handled == {bench.source: 1}


def test_garbage_between_frames_is_counted_and_the_next_frame_is_heard(bench):
    rng = random.Random(4)
    for n in range(60):
        whole = link.heard(n + 1, desk.frame(1, n + 1, {3: 5}), -100, 20, 5)
        cut = whole[: rng.randrange(1, len(whole) - 1)]
        bench.line(rng.randbytes(rng.randrange(200)) + b"\x7e" + cut + b"\x7e" + whole)
    bench.line(b"\x7e" + b"A" * 1500 + b"\x7e" + b"\x22ab\x7d\x7e")
    bench.gathered = bench.receiver.seal(dirt=True)
    bench.again()
    counts, counters = bench.books
    assert counts["0001"].stored == 60
    assert counters["line_crc"] > 30
    assert counters["line_overlong"] == 1
    assert counters["line_aborted"] >= 1


def test_port_events_are_counted_in_their_order(bench):
    bench.group([(bench.source, MONO_S, COUNT, b"port_lost"), (bench.source, MONO_S, OPENED, b"")])
    assert bench.books[1] == {"port_lost": 1}
    assert bench.take(desk.frame(1, 1, {3: 1})).handled == {}


@pytest.mark.produces("disk_full")
def test_a_store_without_room_changes_nothing_and_the_same_group_is_committed_again(bench):
    bench.take(desk.frame(1, 1, {3: 1}))
    before = bench.books
    bench.store._limit(bench.store._db.execute("PRAGMA page_count").fetchone()[0])
    group = [desk.frame(1, piv, {3: 1}) for piv in range(2, 400)] + [desk.frame(1, 399, {3: 1}), b"?"]
    with pytest.raises(HostError) as caught:
        bench.take(*group)
    assert caught.value.name == "disk_full"
    assert bench.books == before
    bench.store._limit(10_000)
    assert bench.again().handled == {bench.source: 401}
    assert bench.books == ({"0001": (400, 1, 399, 399, 0, 0, 0, 0, 0)}, {"short": 1})


def test_a_flood_of_foreign_frames_costs_little(bench):
    """Ten thousand frames that are not ours, then one that is."""
    rng = random.Random(5)
    flood = [rng.randbytes(rng.randrange(1, 60)) for _ in range(10_000)]
    start = time.perf_counter()
    bench.take(*flood)
    taken = bench.take(desk.frame(1, 1, {3: 1}))
    assert time.perf_counter() - start < 5
    assert taken.handled == {bench.source: 10_001}
    assert sum(bench.books[1].values()) == 10_000


def test_what_comes_before_its_turn_waits_for_it(bench):
    """At an opened port the board's hello decides; who says none, or no longer has the frame, is heard all the same."""
    frames = {piv: desk.frame(1, piv, {3: piv}) for piv in range(1, 8)}
    opened = [(bench.source, MONO_S, OPENED, b"")]

    def pivs():
        return [row.piv for row in bench.rows()]

    bench.take(frames[1])
    bench.group(opened)
    bench.seq = 2
    assert bench.take(frames[3]).handled == {}
    assert pivs() == [1], "it waits"
    bench.hello(3)
    bench.seq = 1
    assert bench.take(frames[2], frames[3]).handled == {bench.source: 3}
    assert pivs() == [1, 2, 3]
    # The board overflowed meanwhile: 5 came early and is not sent again.
    bench.group(opened)
    bench.seq = 4
    bench.take(frames[5])
    for _ in range(8):
        bench.hello(6)
        bench.seq = 5
        bench.take(frames[6])
    assert pivs() == [1, 2, 3, 5, 6]
    # Nobody says hello.
    bench.group(opened)
    bench.take(frames[7])
    assert pivs()[-1] == 6
    assert not bench.receiver.overdue(MONO_S + EARLY_S)
    assert bench.receiver.overdue(MONO_S + EARLY_S + 1)
    bench.group([], at_s=MONO_S + EARLY_S + 1)
    assert pivs()[-1] == 7


def test_more_early_frames_than_a_board_keeps_do_not_wait(bench):
    bench.group([(bench.source, MONO_S, OPENED, b"")])
    bench.seq = 10
    bench.take(*(desk.frame(1, piv, {3: piv}) for piv in range(1, 71)))
    assert [row.piv for row in bench.rows()] == [1, 2, 3, 4, 5, 6]
    bench.hello(2)  # it counts anew: they will not come again
    assert [row.piv for row in bench.rows()] == list(range(1, 71))
