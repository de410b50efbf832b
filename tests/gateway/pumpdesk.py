"""A bench for one pump: a real store, a broker that answers when it is told to, and a clock by hand."""

import asyncio
import contextlib
import zlib

import cbor2

from firmware.wire.quantities import ALARM
from firmware.wire.seal import derive, seal
from gateway import quick
from gateway.books import Books
from gateway.config import Upstream
from gateway.fold import Kid
from gateway.store import Group, Store
from gateway.uplink import PLAIN, Row
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
