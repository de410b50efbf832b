"""Commands end to end: queued beside the running daemon, over the simulated air at their exact time, done, told, shown."""

import contextlib
import itertools
import sqlite3

import pytest
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


def _periods_s(town, name):
    """Seconds between two readings that a board took."""
    times = sorted(town.ledger.pages[name].taken_us.values())
    return [round((b - a) / 1e6) for a, b in itertools.pairwise(times)]


def test_what_was_asked_is_in_force_after_the_restart(tmp_path):
    with living(tmp_path, inventory=only(tmp_path, "bridge-1", "bin-quai", "bin-capitainerie"), seconds=150) as town:
        with queue(town) as commands:
            asked = [
                commands.add("bin-quai", "interval 600", cbor.dumps({-2: 600}), 86400),
                commands.add("bin-quai", "set", cbor.dumps({-14: [3, "empty_mm", 1400]}), 86400),
                commands.add("bin-capitainerie", "interval 300", cbor.dumps({-2: 300}), 86400),
                commands.add("bin-capitainerie", "no such order", cbor.dumps({-14: [77]}), 86400),
                commands.add("bin-capitainerie", "calibrate", cbor.dumps({-14: [2]}), 86400),
            ]
            town.live()
            town.drain()
            ended = [commands.get(one.id) for one in asked]
        books = town.books()
        boots = {member.name: member.process.boots for member in town.members}
    balanced(books)
    assert [(one.state, one.result) for one in ended] == [
        ("done", 0), ("done", 0), ("done", 0), ("refused", 60), ("done", 0)
    ]  # fmt: skip
    assert ended[3].note == "order_unknown"
    assert boots["bridge-1"] == 1
    assert 2 <= boots["bin-quai"] <= 3
    assert 2 <= boots["bin-capitainerie"] <= 3
    assert _periods_s(town, "bin-quai")[-5:] == pytest.approx([600] * 5, abs=3)
    assert _periods_s(town, "bin-capitainerie")[-5:] == pytest.approx([300] * 5, abs=3)
    taken = town.ledger.pages["bin-quai"].taken
    last = taken[max(taken)]
    assert last[3] == max(0, min(100, round((1400 - last[4]) * 100 / (1400 - 250))))
    # Calibrated: what it measures now is empty.
    taken = town.ledger.pages["bin-capitainerie"].taken
    assert taken[max(taken)][3] < 40


def test_a_plan_on_which_nobody_listens_is_left_again(tmp_path):
    with living(tmp_path, inventory=only(tmp_path, "bridge-1", "bin-quai"), seconds=150) as town:
        with queue(town) as commands:
            plan = [4, 868_300_000, 10, 125_000, 5, 14]
            asked = commands.add("bin-quai", "plan elsewhere", cbor.dumps({-14: plan}), 86400)
            town.live()
            town.drain()
            ended = commands.get(asked.id)
        books = town.books()
    balanced(books)
    assert (ended.state, ended.note) == ("refused", "order_failed")
    assert books["boards"]["bin-quai"]["lost_on_air"]["deaf"] >= 3  # the questions on the new channel
    assert books["boards"]["bin-quai"]["received"] >= 3


def test_commands_and_answers_survive_the_deaths_of_the_daemon(tmp_path):
    with living(tmp_path, seconds=60, kill=6) as town:
        with queue(town) as commands:
            names = [name for name, page in town.ledger.pages.items() if not page.wired]
            asked = [commands.add(name, "time", cbor.dumps({}), 86400) for name in names]
            town.live()
            town.drain()
            ended = [commands.get(one.id) for one in asked]
        books = town.books()
    balanced(books)
    assert len(books["daemon"]["killed"]) == 6
    done = [one for one in ended if one.state == "done"]
    assert len(done) >= len(names) // 2  # who asked while nobody was there asks again in a day
    log = downlinks(tmp_path)
    assert len({frame for frame, _, _ in log.values()}) == len(log)
