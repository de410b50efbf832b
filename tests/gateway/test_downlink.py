"""The controller without a process: what is answered, once, and what never is."""

import json
import sqlite3
from pathlib import Path

import gatedesk as desk
import pytest
from controldesk import Desk, back_up, restore
from test_receive import MONO_S, UNIX_S

from firmware.wire import link
from firmware.wire.frame import parse
from gateway import bundle
from gateway.commands import Queue
from gateway.errors import HostError
from gateway.migrate import SCHEMA
from gateway.releases import Releases
from gateway.store import Store


@pytest.fixture
def controller(tmp_path):
    return Desk(tmp_path)


def test_a_question_is_answered_with_the_time_at_its_exact_moment(controller):
    ((number, frame, at_ms),) = controller.up(1, 7)
    assert at_ms == int(MONO_S * 1000) + 1000
    assert controller.opened(1, 7, frame) == {-1: int(UNIX_S) + 1}
    assert controller.up(1, 8, {}) == []  # no question
    assert controller.up(2, 1, {-5: False}) == []
    controller.says(number, "ok")
    db = controller.store._db
    assert db.execute("SELECT kid, piv, frame, number, status FROM downlink").fetchall() == [(b"\0\1", 7, frame, number, "ok")]
    assert json.loads((controller.folder / "store.db.answers").read_text()) == {"generation": 1, "kids": ["0001"]}
    assert [e["ev"] for e in controller.events_said if e["ev"] == "answer"] == ["answer"]


def test_without_a_date_an_answer_is_an_empty_map(controller):
    ((_, frame, _),) = controller.up(1, 1, unix_s=5.0)
    assert controller.opened(1, 1, frame) == {}
    ident = controller.add(1, {}, "time")
    ((_, frame, _),) = controller.up(1, 2, unix_s=5.0)
    assert controller.opened(1, 2, frame) == {}
    assert controller.state(ident)[0] == "waiting"
    ((_, frame, _),) = controller.up(1, 3)
    assert controller.opened(1, 3, frame) == {-1: int(UNIX_S) + 1, -12: ident}


def test_a_zero_of_the_bridges_clock_is_not_now(controller):
    controller.source.opened()
    controller.hello(t_ms=(1 << 32) - 1000)
    frame = desk.frame(1, 1, {3: 5, -5: True})
    data = link.heard(1, frame, -101, 22, (1 << 32) - 1000)
    items = [(controller.source, MONO_S, proto, body) for proto, body in controller.source.feed(data)]
    ((_, _, at_ms),) = controller.took(controller.group(items))
    assert at_ms == 1


def test_late_uplinks_and_copies_are_not_answered(controller):
    assert controller.up(1, 1, late_s=0.97) == []
    assert len(controller.up(1, 2, late_s=0.9)) == 1
    assert controller.up(1, 2) == []  # a copy
    assert controller.books[1]["answer_late"] == 1
    assert controller.books[0]["0001"].duplicates == 1


def test_commands_go_one_by_one_and_their_results_are_kept(controller):
    first, second = controller.add(1, {-2: 600}), controller.add(1, {-14: [3, "empty_mm", 1400]})
    ((_, frame, _),) = controller.up(1, 1)
    assert controller.opened(1, 1, frame) == {-1: int(UNIX_S) + 1, -2: 600, -3: True, -12: first}
    assert controller.state(first) == ("sent", "")
    ((_, frame, _),) = controller.up(1, 2)  # the answer was lost: the same again, under another PIV
    assert controller.opened(1, 2, frame)[-12] == first
    ((_, frame, _),) = controller.up(1, 3, {-5: True, -12: first, -13: 0})
    assert controller.opened(1, 3, frame) == {-1: int(UNIX_S) + 1, -12: second, -14: [3, "empty_mm", 1400]}
    assert controller.state(first) == ("done", "")
    assert controller.up(1, 4, {-12: second, -13: 61}) == []  # told, and nothing asked
    assert controller.state(second) == ("refused", "order_value")
    ((_, frame, _),) = controller.up(1, 5)
    assert -12 not in controller.opened(1, 5, frame)
    assert controller.up(2, 1, {-12: first, -13: 61}) == []  # another board says so
    assert controller.state(first) == ("done", "")


def test_a_command_on_trial_is_not_sent_again(controller):
    ident = controller.add(1, {-14: [4, 868_300_000, 9, 125_000, 5, 14]})
    controller.up(1, 1)
    ((_, frame, _),) = controller.up(1, 2, {-5: True, -12: ident})
    assert controller.opened(1, 2, frame) == {-1: int(UNIX_S) + 1}
    assert controller.state(ident) == ("sent", "on trial")
    controller.up(1, 3, {-5: True, -12: ident, -13: 62})
    assert controller.state(ident) == ("refused", "order_failed")


def test_what_the_bridge_does_not_send_waits_for_the_next_uplink(controller):
    ident = controller.add(1, {-2: 600})
    for piv, status in enumerate(("late", "busy", "duty", "radio_tx"), 1):
        ((number, frame, _),) = controller.up(1, piv)
        assert controller.opened(1, piv, frame)[-12] == ident
        controller.says(number, status)
        assert controller.state(ident) == ("waiting", f"not sent: {status}")
        controller.says(number, "ok")  # said twice: the first word counts
        assert controller.state(ident)[0] == "waiting"
    controller.says(99, "late")
    assert {name: n for name, n in controller.books[1].items() if name.startswith("answer_")} == {
        "answer_late": 1, "answer_busy": 1, "answer_duty": 1, "answer_radio_tx": 1
    }  # fmt: skip


def test_expired_and_cancelled_commands_are_not_sent(controller):
    short, gone, good = controller.add(1, {-2: 60}, expires_s=10), controller.add(1, {-2: 61}), controller.add(1, {-2: 62})
    queue = controller.queue()
    assert queue.cancel(gone).state == "cancelled"
    assert [c.id for c in queue.newest("bin-1")] == [short, gone, good]
    assert [c.id for c in queue.newest(limit=2)] == [gone, good]
    with pytest.raises(HostError, match="unknown_command"):
        queue.get(99)
    queue.close()
    ((_, frame, _),) = controller.up(1, 1, unix_s=UNIX_S + 11)
    assert controller.opened(1, 1, frame)[-2] == 62
    assert controller.state(short) == ("expired", "the board never asked")
    assert ("expired", short) in [(e["state"], e["command"]) for e in controller.events_said if e["ev"] == "command"]


def test_a_board_on_a_cable_is_answered_over_it_and_needs_not_ask(controller):
    assert controller.up(3, 1, {}) == []
    ident = controller.add(3, {-14: [1]})
    ((_, frame, at_ms),) = controller.up(3, 2, {})
    assert at_ms == 0
    assert controller.opened(3, 2, frame) == {-1: int(UNIX_S), -12: ident, -14: [1]}


def test_a_low_rate_answer_has_at_most_fifty_bytes(controller):
    controller.source.answer_max = 50
    long = controller.add(1, {-14: [3, "a_long_name_indeed", 1, "another_name_too", 2]})
    fits = controller.add(1, {-14: [3, "leave_nt", 1500, "enter_nt", 2500]})
    ((_, frame, _),) = controller.up(1, 1)
    assert len(frame) <= 50
    assert controller.opened(1, 1, frame)[-12] == fits
    assert controller.state(long) == ("refused", "does not fit into 50 bytes")


def test_a_release_goes_a_block_with_each_answer(controller):
    path = controller.folder / "bin.zip"
    files = {"firmware/node/app.mpy": b"M\6" + bytes(150), "modules": b">firmware.node.app\n"}
    bundle.write(path, bundle.compose("pico node bin radio sx126x -", 2, "0.2.0", files), bytes(384), files)
    found = Releases(controller.folder / "releases").add(path)
    ((_, frame, _),) = controller.up(1, 1, {-5: True, -11: [2, 0]})
    assert -11 not in controller.opened(1, 1, frame)  # nobody has told this board to fetch one
    ident = controller.add(1, {-14: [5, found.digest]}, "update bin.zip")
    ((_, frame, _),) = controller.up(1, 2)
    assert controller.opened(1, 2, frame)[-14] == [5, found.digest]
    got, piv = b"", 3
    told = {-12: ident, -13: 0}
    while len(got) < 152:
        ((_, frame, _),) = controller.up(1, piv, {-5: True, -11: [2, len(got)], **told})
        part, offset, block = controller.opened(1, piv, frame)[-11]
        assert (part, offset) == (2, len(got))
        got, piv, told = got + block, piv + 1, {}
    assert got == files["firmware/node/app.mpy"]
    assert piv == 6
    ((_, frame, _),) = controller.up(1, piv, {-5: True, -11: "nonsense"})
    assert -11 not in controller.opened(1, piv, frame)


def test_a_failed_transaction_hands_nothing_over(controller):
    ident = controller.add(1, {-2: 600})
    full = sqlite3.OperationalError("full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def point(name):
        raise full

    frame = desk.frame(1, 1, {3: 5, -5: True})
    data = link.heard(1, frame, -101, 22, int(MONO_S * 1000))
    items = [(controller.source, MONO_S, proto, body) for proto, body in controller.source.feed(data)]
    controller.store._point = point
    with pytest.raises(HostError, match="disk_full"):
        controller.group(items)
    assert controller.state(ident) == ("waiting", "")
    assert controller.store._db.execute("SELECT count(*) FROM downlink").fetchone() == (0,)
    controller.store._point = lambda name: None
    ((_, frame, _),) = controller.took(controller.again(UNIX_S + 1))
    assert controller.opened(1, 1, frame)[-12] == ident


def test_a_count_that_cannot_be_written_keeps_the_answer_back_for_ever(controller, monkeypatch):
    ident = controller.add(1, {-2: 600})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, other: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert controller.up(1, 1) == []
        controller.open().hello()  # and the gateway starts all the same
    assert controller.up(1, 1) == []
    ((_, frame, _),) = controller.up(1, 2)
    assert controller.opened(1, 2, frame)[-12] == ident
    assert controller.open().controller.restored == ""


@pytest.mark.produces("restored")
@pytest.mark.parametrize("beside", ["kept", "missing", "damaged"])
def test_a_restored_store_answers_nobody_until_the_keys_are_changed(controller, beside):
    file = controller.folder / "store.db.answers"
    controller.up(1, 1)
    backup = back_up(controller, "backup.db")
    controller.up(1, 2)
    controller.up(2, 5)
    restore(controller, backup)
    if beside == "missing":
        file.unlink()
    elif beside == "damaged":
        file.write_text("{")
    controller.kids = (1, 3)  # an older keys.json: the file knows that 0002 was answered too
    controller.open().hello()
    assert controller.controller.restored
    assert controller.up(1, 2) == [] == controller.up(1, 3)
    assert controller.books[1]["answer_withheld"] == 2
    controller.kids = (1, 2, 3, 17)
    controller.open().hello()
    assert controller.controller.restored == ""
    assert controller.up(1, 9) == [] == controller.up(3, 9)
    if beside == "kept":
        assert controller.up(2, 9) == []
    ((_, frame, _),) = controller.up(17, 1)
    assert controller.opened(17, 1, frame) == {-1: int(UNIX_S) + 1}


def test_the_count_beside_the_store_is_what_finds_the_backup_out(controller):
    """Put back with the store, it knows no better: the same (kid, PIV) is sealed again. This is what it guards against."""
    file = controller.folder / "store.db.answers"
    backup, count = back_up(controller, "backup.db"), file.read_bytes()
    ((_, first, _),) = controller.up(1, 1)
    restore(controller, backup)
    file.write_bytes(count)
    controller.open().hello()
    ((_, second, _),) = controller.up(1, 1, unix_s=UNIX_S + 60)
    assert parse(first).piv == parse(second).piv
    assert first != second


def test_a_store_of_the_first_version_is_moved_on(tmp_path):
    path = tmp_path / "store.db"
    db = sqlite3.connect(path)
    db.executescript((SCHEMA / "001.sql").read_text())
    db.execute("INSERT INTO context VALUES (x'0001', x'00', x'', 1, 2, 3, 4)")
    db.execute("INSERT INTO reading VALUES (NULL, x'0001', 7, 0, 0, 1, 1, NULL, NULL, 'bridge', x'a0', x'00')")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with pytest.raises(HostError, match="no_store"):
        Queue(path)
    store = Store(path)
    assert store._db.execute("PRAGMA user_version").fetchone() == (len(list(SCHEMA.glob("*.sql"))),)
    assert [row.piv for row in store.rows(0, 99, 10)] == [7]
    assert store._db.execute("SELECT generation FROM controller").fetchone() == (0,)
    Queue(path).close()
