"""From the store upstream, with a broker made of futures: lanes, window, what is counted when, what a failure repeats."""

import asyncio

import cbor2
import pytest
from pumpdesk import KEYS, UNIX_MS, Bench, connected, run, turns

from firmware.wire.seal import seal
from gateway.books import Books
from gateway.errors import HostError
from gateway.uplink import OPAQUE


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
