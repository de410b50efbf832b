"""What a pump costs: bytes on a metered link, memory with a long backlog."""

import random

import cbor2
from pumpdesk import UNIX_MS, Bench, connected, run, turns

from gateway.books import Books
from gateway.config import Upstream
from gateway.store import Group
from gateway.uplink import PLAIN, Row


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
