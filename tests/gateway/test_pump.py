"""From the store upstream, with a broker made of futures: lanes, window, what is counted when, what a failure repeats."""

import asyncio
import contextlib
import random
import zlib

import cbor2
import pytest

from firmware.wire.quantities import ALARM
from firmware.wire.seal import derive, seal
from gateway import quick
from gateway.books import Books
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.store import Group, Store
from gateway.uplink import OPAQUE, PLAIN, Row
from gateway.upstream import cursor
from gateway.upstream.ledger import Ledger
from gateway.upstream.packs import Names
from gateway.upstream.pump import Pump

UNIX_MS = 1_800_000_000_000
KEYS = derive(bytes(16), b"\0\1")


class Clock:
    """Moves when it is told."""

    def __init__(self):
        self.now_s = 0.0

    def unix(self):
        return self.now_s

    def monotonic(self):
        return self.now_s

    async def sleep(self, seconds):
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            await asyncio.sleep(0)


class Bench:
    """A pump over a store; `sent` holds a future a batch, which the test answers."""

    def __init__(self, path, keys=None, **settings):
        self.path = path
        self.store = Store(path)
        self.clock = Clock()
        self.events = []
        self.sent = []
        config = Upstream(url="mqtt://x", **{"batch_readings": 2, "batch_age_s": 5, "in_flight": 5, **settings})
        names = Names("poste", "plage", {b"\0\1": "bin-1"}, {b"\0\1": KEYS} if keys is None else keys)
        self.ledger = Ledger(self.store, [cursor.Upstream(config.name, config.format == "frames")])
        self.pump = Pump(config, names, self.store, self.run, self.clock, self.ledger, on_event=self._event)
        self.pump._session = type("Session", (), {"packet_max_bytes": 0, "window": 0})
        self.account = self.pump.account
        self.kid = Kid(KEYS, "bin-1")

    def _event(self, kind, **more):
        self.events.append((kind, more))

    async def run(self, work, *args):
        await asyncio.sleep(0)
        return work(*args)

    def publish(self, topic, payload, content_type, properties):
        answer = asyncio.get_running_loop().create_future()
        self.sent.append((topic, payload, content_type, answer, properties))
        return answer

    def write(self, *pivs, payload=b"\xa1\x03\x05", kind=PLAIN, boot=None):
        """Rows of key id 0001, the group's ids for PIVs."""
        alarm = ALARM in cbor2.loads(payload)
        tags = [seal(KEYS, piv, payload)[-8:] for piv in pivs]
        rows = [
            (b"\0\1", piv, kind, kind == PLAIN, alarm, UNIX_MS, 0, boot, -100, 20, "bridge", piv, payload, tag, None)
            for piv, tag in zip(pivs, tags, strict=True)
        ]
        kid = self.kid
        kid.stored += len(rows)
        kid.direct += len(rows) * (kind == PLAIN)
        ids = self.store.write(Group(boot="boot" if boot else None, rows=rows, contexts=[kid.row], folded=True))
        return [Row(number, *row) for number, row in zip(ids, rows, strict=True)]

    def hear(self, *pivs, **more):
        rows = self.write(*pivs, **more)
        self.take([row for row in rows if not row.boot])

    def take(self, rows):
        self.pump.take(rows, [quick.parse(row.payload, row.piv)[1] if row.kind == PLAIN else [] for row in rows])

    def records(self, batch):
        _, payload, _, _, properties = self.sent[batch]
        return cbor2.loads(zlib.decompress(payload) if properties.get("encoding") == "deflate" else payload)

    def pivs(self, batch):
        return [r[8][-1] for r in self.records(batch) if r[0] == "frame"]

    def lane(self, batch):
        return self.sent[batch][4]["lane"]

    def answer(self, *batches, error=None):
        for batch in batches:
            future = self.sent[batch][3]
            if error:
                future.set_exception(error)
            else:
                future.set_result(None)

    def done(self):
        return list(self.account.done)

    def counts(self, name="senml"):
        books = Books(self.path)
        try:
            balance = books.balance(name, frames=name == "frames")
            assert balance.accepted == balance.forwarded + balance.queued + balance.dropped
            return books.counts(name)["0001"][5:]
        finally:
            books.close()


async def turns(n=80):
    for _ in range(n):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(bench):
    """One connection of the pump."""
    task = asyncio.create_task(bench.pump._pump(bench.publish))
    await turns()
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def run(work):
    asyncio.run(asyncio.wait_for(work, 20))


def test_a_window_of_batches_in_order(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", in_flight=3)
        async with connected(bench):
            bench.hear(*range(1, 10))
            await turns()
            assert [bench.pivs(n) for n in range(3)] == [[1, 2], [3, 4], [5, 6]]
            assert len(bench.sent) == 3, "no more than the window"
            assert list(bench.account.handed) == [(1, 6)], "marked before they left"
            assert bench.done() == []
            bench.answer(1)
            await turns()
            assert bench.done() == [(3, 4)]
            assert bench.pivs(3) == [7, 8]
            bench.answer(0)
            await turns()
            assert bench.done() == [(1, 4)]
            assert len(bench.sent) == 4, "the last one waits for company"
            bench.clock.now_s += 5
            await turns()
            assert bench.pivs(4) == [9]
            bench.answer(2, 3, 4)
            await turns()
            assert bench.done() == [(1, 9)]
        assert bench.sent[0][0] == "jourdain/plage/poste/senml"
        assert bench.sent[0][2] == "application/senml+cbor"
        assert [more["readings"] for kind, more in bench.events if kind == "published"] == [2, 2, 5]
        assert all(more["bytes"] > 0 for kind, more in bench.events if kind == "published")
        assert bench.counts() == (9, 9, 0, 0)
        assert {bench.lane(n) for n in range(5)} == {"live"}

    run(work())


def test_a_lost_connection_repeats_what_was_not_acknowledged_and_counts_it(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db")
        async with connected(bench) as task:
            bench.hear(1, 2, 3, 4, 5, 6)
            await turns()
            bench.answer(1)
            bench.answer(0, error=ConnectionError("gone"))
            await turns()
            assert isinstance(task.exception(), ConnectionError)
        assert bench.done() == [(3, 4)]
        bench.hear(7, 8)
        async with connected(bench):
            assert [bench.pivs(n) for n in (3, 4, 5)] == [[1, 2], [5, 6], [7, 8]]
            assert [bench.lane(n) for n in (3, 4, 5)] == ["backlog"] * 3
            assert bench.counts() == (2, 2, 4, 4)
            bench.answer(2)  # of the connection before: too late, its rows are under way again
            await turns()
            assert bench.done() == [(3, 4)]
            bench.answer(3, 4, 5)
            await turns()
        assert bench.counts() == (8, 8, 4, 4)
        # A new life of the daemon has nothing left to send.
        again = Bench(tmp_path / "store.db")
        async with connected(again):
            assert again.sent == []
            assert again.counts() == (8, 8, 4, 4)

    run(work())


def test_an_alarm_overtakes_backlog_and_live_readings(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50, in_flight=20)
        bench.write(*range(1, 101))
        bench.write(101, payload=cbor2.dumps({19: 1}))
        bench.write(*range(102, 121))
        async with connected(bench):
            assert [bench.lane(n) for n in range(4)] == ["alarm", "backlog", "backlog", "backlog"]
            assert bench.pivs(0) == [101]
            bench.hear(121)
            await turns()
            bench.hear(122, payload=cbor2.dumps({1: 19}))  # 19, but as a value
            await turns()
            assert len(bench.sent) == 4
            bench.hear(123, payload=cbor2.dumps({19: 1}))
            await turns()
            assert (bench.pivs(4), bench.lane(4)) == ([123], "alarm")
            bench.clock.now_s += 5
            await turns()
            assert (bench.pivs(5), bench.lane(5)) == ([121, 122], "live")
            bench.answer(*range(6))
            await turns()
            assert bench.done() == [(1, 123)]

    run(work())


def test_strict_order_is_one_lane(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", order="strict")
        bench.write(1, 2, 3)
        async with connected(bench):
            bench.hear(4, 5, 6)
            await turns()
            assert [bench.pivs(n) for n in range(3)] == [[1, 2], [3, 4], [5, 6]]
            assert [bench.lane(n) for n in range(3)] == ["strict"] * 3

    run(work())


def test_stopping_sends_what_there_is_and_waits_for_the_answers(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50)
        async with connected(bench) as task:
            bench.hear(1)
            await turns()
            bench.pump.stop()
            await turns()
            assert bench.pivs(0) == [1]
            assert not task.done()
            bench.answer(0)
            await turns()
            assert task.done()
        assert bench.done() == [(1, 1)]

    run(work())


@pytest.mark.produces("disk_full")
def test_a_disk_that_takes_no_mark_holds_the_batches_back(tmp_path, monkeypatch):
    async def work():
        bench = Bench(tmp_path / "store.db")
        monkeypatch.setattr("gateway.upstream.pump.RETRY_S", 0.01)
        write, tries = bench.ledger._write, []

        def full(marks):
            tries.append(marks)
            if len(tries) < 4:
                raise HostError("disk_full", "no room")
            write(marks)

        bench.ledger._write = full
        async with connected(bench):
            bench.hear(1, 2)
            await turns()
            assert bench.sent == [], "not noted, so not sent"
            await asyncio.sleep(0.2)
            assert bench.pivs(0) == [1, 2]
        assert [more for kind, more in bench.events if kind == "error"] == [{"name": "disk_full"}] * 3

    run(work())


def test_frames_as_they_came(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", format="frames")
        async with connected(bench):
            bench.hear(1, 2, kind=OPAQUE)
            bench.hear(3, 4)
            await turns()
            assert bench.sent[0][0] == "jourdain/plage/poste/frames"
            assert [cbor2.loads(sent[1])[:3] for sent in bench.sent] == [[1, "poste", 1], [1, "poste", 2]]
            assert cbor2.loads(bench.sent[1][1])[3][0] == [UNIX_MS, seal(KEYS, 3, b"\xa1\x03\x05"), -100, 20, "bridge"]
            bench.answer(0, 1)
            await turns()
        assert bench.counts("frames") == (4, 2, 0, 0)

    run(work())


def test_a_frame_whose_key_is_gone_is_dropped_by_name(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", format="frames", keys={})
        async with connected(bench):
            bench.hear(1, 2)
            await turns()
            assert bench.sent == []
            assert bench.done() == [(1, 2)]
        assert bench.counts("frames") == (0, 0, 0, 0)
        books = Books(bench.path)
        assert books.balance("frames", frames=True) == (2, 0, 0, 2, {"key": 2})
        books.close()

    run(work())


def test_what_says_nothing_is_not_sent(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db")
        async with connected(bench):
            bench.hear(1, 2, kind=OPAQUE)
            await turns()
            assert bench.sent == []
            assert bench.done() == [(1, 2)]
            assert bench.counts()[:2] == (0, 0)

    run(work())


def test_rows_leave_when_they_have_a_date(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db")
        bench.write(1, 2, boot=1)
        bench.write(3, 4)
        async with connected(bench):
            bench.hear(5, 6, boot=1)
            bench.hear(7, 8)
            await turns()
            assert sorted(bench.pivs(n) for n in range(len(bench.sent))) == [[3, 4], [7, 8]]
            bench.answer(0, 1)
            await turns()
            assert bench.done() == [(3, 4), (7, 8)]
            bench.store.date("boot", 5)
            bench.pump.again()
            await turns()
            assert [bench.pivs(n) for n in (2, 3)] == [[1, 2], [5, 6]]
            bench.answer(2, 3)
            await turns()
            assert bench.done() == [(1, 8)]

    run(work())


def test_holes_in_the_ids_are_closed(tmp_path):
    """Rows that were deleted never come: they must not stay pieces for ever."""

    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50)
        bench.write(*range(1, 31))
        bench.store.within(lambda db: db.execute("DELETE FROM uplink WHERE id % 3 = 0 AND id < 30"), "test")
        async with connected(bench):
            bench.answer(0)
            await turns()
            assert bench.done() == [(1, 30)]
            assert len(bench.pivs(0)) == 21

    run(work())


@pytest.mark.parametrize("guess", [500, 30])
def test_a_packet_no_longer_than_the_broker_takes(tmp_path, monkeypatch, guess):
    """Whether the length of a reading was guessed well or not."""
    monkeypatch.setattr("gateway.upstream.pump._READING_BYTES", guess)

    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50, batch_age_s=0)
        bench.pump._session = type("Session", (), {"packet_max_bytes": 2000, "window": 2})
        async with connected(bench):
            bench.hear(*range(1, 51))
            answered = 0
            while bench.done() != [(1, 50)]:
                await turns(20)
                assert len(bench.sent) - answered <= (2 if guess == 500 else 50)
                bench.answer(*range(answered, answered := len(bench.sent)))
            assert len(bench.sent) == (17 if guess == 500 else 4)
            assert all(len(sent[1]) <= 1700 for sent in bench.sent)
            assert [piv for n in range(len(bench.sent)) for piv in bench.pivs(n)] == list(range(1, 51))
            assert bench.counts() == (50, 50, 0, 0)

    run(work())


@pytest.mark.produces("disk_error")
def test_a_disk_that_cannot_be_read_now_is_read_later(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.upstream.pump.RETRY_S", 0.001)

    async def work():
        bench = Bench(tmp_path / "store.db")
        bench.write(1, 2)
        rows, tries = bench.store.rows, []

        def broken(*args):
            tries.append(args)
            if len(tries) < 3:
                raise HostError("disk_error", "cannot be read")
            return rows(*args)

        bench.store.rows = broken
        async with connected(bench):
            while not bench.sent:
                await asyncio.sleep(0.001)
            assert bench.pivs(0) == [1, 2]
        assert ("error", {"name": "disk_error"}) in bench.events

    run(work())


def bins(n, seed=1):
    """Payloads of (kid, piv) as a hundred bins send them, values on their way."""
    rng = random.Random(seed)
    state = {kid: [3700 + rng.randrange(300), 200, rng.randrange(100), 0] for kid in range(100)}
    for _ in range(n):
        kid = rng.randrange(100)
        now = state[kid]
        now[0] -= rng.random() < 0.1
        now[1] += rng.randrange(-3, 4)
        now[2] = min(100, max(0, now[2] + rng.randrange(-1, 3)))
        now[3] += 1
        yield kid.to_bytes(2, "big"), now[3], cbor2.dumps({1: now[0], 2: now[1], 3: now[2], 4: 1150 - 9 * now[2]})


def test_a_metered_link_carries_a_fraction_of_the_bytes(tmp_path):
    async def work():
        sizes = {}
        for metered in (False, True):
            config = Upstream(url="mqtt://x", metered=metered)
            assert (config.batch_readings, config.batch_age_s) == ((500, 300) if metered else (50, 5))
            settings = {"batch_readings": config.batch_readings, "batch_age_s": config.batch_age_s, "in_flight": 20}
            bench = Bench(tmp_path / f"{metered}.db", metered=metered, **settings)
            async with connected(bench):
                rows = [
                    (kid, piv, PLAIN, 1, 0, UNIX_MS + n, 9, None, -n % 50, n % 40, "bridge", n, payload, bytes(8), None)
                    for n, (kid, piv, payload) in enumerate(bins(1000))
                ]
                ids = bench.store.write(Group(rows=rows))
                bench.take([Row(number, *row) for number, row in zip(ids, rows, strict=True)])
                await turns(500)
                assert len(bench.sent) == (2 if metered else 20)
                assert ("encoding" in bench.sent[0][4]) == metered
                assert bench.sent[0][2] == "application/senml+cbor"
                assert len(bench.pivs(0)) == config.batch_readings
                bench.answer(*range(len(bench.sent)))
                await turns()
            assert bench.done() == [(1, 1000)]
            await bench.ledger.fold(bench.run)
            books = Books(bench.path)
            sizes[metered] = books.sent_bytes() / 1000
            books.close()
        assert sizes[False] < 190
        assert sizes[True] < 30, "bytes a reading of four quantities"

    run(work())


def test_memory_does_not_grow_with_the_backlog(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50, in_flight=20)
        for n in range(10):
            bench.write(*range(1000 * n + 1, 1000 * n + 1001))
        most = 0
        async with connected(bench):
            answered = 0
            while bench.done() != [(1, 10_000)]:
                most = max(most, bench.pump._lanes.held)
                fresh = range(answered, len(bench.sent))
                answered = len(bench.sent)
                bench.answer(*fresh)
                await turns(3)
            assert most <= 2000
        assert [piv for n in range(len(bench.sent)) for piv in bench.pivs(n)] == [n % 256 for n in range(1, 10_001)]

    run(work())
