"""From the store upstream, with a broker made of futures: order, window, what is counted when, what a failure repeats."""

import asyncio
import contextlib

import cbor2
import pytest

from firmware.wire.quantities import ALARM
from firmware.wire.seal import Keys
from gateway.books import Books
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.fold import Kid
from gateway.store import Group, Store
from gateway.uplink import OPAQUE, PLAIN
from gateway.upstream.pump import Names, Pump

UNIX_MS = 1_800_000_000_000


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

    def __init__(self, path, **settings):
        self.path = path
        self.store = Store(path)
        self.clock = Clock()
        self.events = []
        self.sent = []
        config = Upstream(url="mqtt://x", **{"batch_readings": 2, "batch_age_s": 5, "in_flight": 3, **settings})
        names = Names("poste", "plage", {b"\0\1": "bin-1"})
        self.pump = Pump(config, names, self.store, self._run, self.clock, on_event=self._event)

    def _event(self, kind, **more):
        self.events.append((kind, more))

    async def _run(self, work, *args):
        await asyncio.sleep(0)
        return work(*args)

    async def publish(self, topic, payload, content_type):
        answer = asyncio.get_running_loop().create_future()
        self.sent.append((topic, payload, content_type, answer))
        await answer

    def hear(self, *pivs, payload=b"\xa1\x03\x05", kind=PLAIN):
        alarm = ALARM in cbor2.loads(payload)
        rows = [
            (b"\0\1", piv, kind, kind == PLAIN, alarm, UNIX_MS, 0, None, -100, 20, "bridge", piv, payload, bytes(8), b"f")
            for piv in pivs
        ]
        kid = Kid(Keys(b"\0\1"), "bin-1")
        kid.stored = len(rows)
        self.store.write(Group(rows=rows, contexts=[kid.row], folded=True))
        self.pump.news()

    def pivs(self, batch):
        return [r[8][-1] for r in cbor2.loads(self.sent[batch][1]) if r[0] == "frame"]

    def answer(self, batch, error=None):
        future = self.sent[batch][3]
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)

    def counts(self):
        books = Books(self.path)
        try:
            return books.counts()["0001"]
        finally:
            books.close()


async def turns(n=60):
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
        bench = Bench(tmp_path / "store.db")
        async with connected(bench):
            bench.hear(*range(1, 10))
            await turns()
            assert [bench.pivs(n) for n in range(3)] == [[1, 2], [3, 4], [5, 6]]
            assert len(bench.sent) == 3, "no more than the window"
            assert bench.store.cursor("senml") == (6, 0), "handed over before they left"
            bench.answer(1)
            await turns()
            assert len(bench.sent) == 3
            assert bench.store.cursor("senml") == (6, 0), "the first one is still missing"
            bench.answer(0)
            await turns()
            assert bench.store.cursor("senml") == (8, 4)
            assert bench.pivs(3) == [7, 8]
            assert len(bench.sent) == 4, "the last one waits for company"
            bench.clock.now_s += 5
            await turns()
            assert bench.pivs(4) == [9]
            for n in (2, 3, 4):
                bench.answer(n)
            await turns()
            assert bench.store.cursor("senml") == (9, 9)
        assert bench.sent[0][0] == "jourdain/plage/poste/senml"
        assert bench.sent[0][2] == "application/senml+cbor"
        assert [more["readings"] for kind, more in bench.events if kind == "published"] == [4, 5]
        assert bench.counts()[5:] == (9, 9, 0, 0)

    run(work())


def test_a_lost_connection_repeats_what_was_not_acknowledged_and_counts_it(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db")
        async with connected(bench) as task:
            bench.hear(1, 2, 3, 4)
            await turns()
            bench.answer(1)
            bench.answer(0, ConnectionError("gone"))
            await turns()
            assert isinstance(task.exception(), ConnectionError)
        bench.hear(5, 6)
        async with connected(bench):
            assert [bench.pivs(n) for n in (2, 3, 4)] == [[1, 2], [3, 4], [5, 6]]
            assert bench.counts()[5:] == (0, 0, 4, 4)
            for n in (2, 3, 4):
                bench.answer(n)
            await turns()
        assert bench.counts()[5:] == (6, 6, 4, 4)
        # A new life of the daemon has nothing left to send.
        again = Bench(tmp_path / "store.db")
        async with connected(again):
            assert again.sent == []

    run(work())


def test_an_alarm_leaves_at_once(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db", batch_readings=50)
        async with connected(bench):
            bench.hear(1)
            await turns()
            assert bench.sent == []
            bench.hear(2, payload=cbor2.dumps({1: 19}))  # 19, but as a value
            await turns()
            assert bench.sent == []
            bench.hear(3, payload=cbor2.dumps({19: 1}))
            await turns()
            assert bench.pivs(0) == [1, 2, 3]

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
        assert bench.store.cursor("senml") == (1, 1)

    run(work())


@pytest.mark.produces("disk_full")
def test_a_store_that_takes_no_mark_holds_the_batches_back(tmp_path, monkeypatch):
    async def work():
        bench = Bench(tmp_path / "store.db")
        monkeypatch.setattr("gateway.upstream.pump.RETRY_S", 0.01)
        hand, bench.store.hand = bench.store.hand, None
        tries = []

        def full(*args):
            tries.append(args)
            if len(tries) < 4:
                raise HostError("disk_full", "no room")
            return hand(*args)

        bench.store.hand = full
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
            bench.answer(0)
            bench.answer(1)
            await turns()
        books = Books(bench.path)
        assert books.counts("frames")["0001"][5:] == (4, 2, 0, 0)
        books.close()

    run(work())


def test_a_batch_that_says_nothing_is_not_sent(tmp_path):
    async def work():
        bench = Bench(tmp_path / "store.db")
        async with connected(bench):
            bench.hear(1, 2, kind=OPAQUE)
            await turns()
            assert bench.sent == []
            assert bench.store.cursor("senml") == (2, 2)
            assert bench.counts()[5:] == (0, 0, 0, 0)

    run(work())
