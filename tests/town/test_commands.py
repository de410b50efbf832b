"""Commands end to end: queued beside the running daemon, over the simulated air at their exact time, done, told, shown."""

import contextlib
import sqlite3

from test_town import balanced, living, only

from firmware.wire import cbor
from firmware.wire.frame import parse
from gateway.commands import Queue
from tools.twin.circuit import EPOCH_UNIX_S


@contextlib.contextmanager
def queue(town):
    """The commands of a town's daemon, on the town's clock."""
    found = Queue(town.folder / "store.db", lambda: EPOCH_UNIX_S + town.clock.now_us / 1e6)
    try:
        yield found
    finally:
        found.close()


def downlinks(folder):
    """The log: (kid, piv) -> (frame, command, status)."""
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as db:
        return {(kid.hex(), piv): rest for kid, piv, *rest in db.execute("SELECT kid, piv, frame, command, status FROM downlink")}


def test_a_command_goes_by_radio_at_its_exact_time_and_its_result_comes_back(tmp_path):
    air = []
    with living(tmp_path, inventory=only(tmp_path, "bridge-1", "bin-quai"), seconds=60) as town:
        transmit = town.ether.transmit

        def watch(chip, emission):
            air.append((emission.start_us, emission.end_us, bytes(emission.payload)))
            transmit(chip, emission)

        town.ether.transmit = watch
        with queue(town) as commands:
            asked = commands.add("bin-quai", "interval 600", cbor.dumps({-2: 600}), 86400)
            town.live()
            town.drain()
            done = commands.get(asked.id)
        books = town.books()
    balanced(books)
    assert (done.state, done.result, done.sent) == ("done", 0, 1)
    down = [(start, end, frame) for start, end, frame in air if parse(frame).down]
    assert down
    log = downlinks(tmp_path)
    for start, _end, frame in down:
        head = parse(frame)
        (asked_us,) = [end for _, end, up in air if not parse(up).down and parse(up).piv == head.piv]
        assert 999_000 <= start - asked_us <= 1_005_000
        assert log["0002", head.piv][0] == frame
    assert [status for _, _, status in log.values()] == ["ok"] * len(down)
    assert books["daemon"]["counters"].get("answer_late", 0) == 0
