"""When a date is believed, and that in the end every reading has the right one: clocks that jump, by hours and by years."""

import ctypes
import json
import os
import sqlite3
import sys
import time
from functools import partial
from pathlib import Path

import cbor2
import gatedesk as desk
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway import clock, dating
from gateway.clock import ANYTHING, KEPT, SYNCED
from gateway.dating import Dating, State

until = partial(desk.until, timeout_s=40)  # a busy machine is no fault of theirs

NOW_S = 1_795_000_000.0
YEAR_S = 31_557_600
FIRST = State("boot", 0)


def look(found, unix_s, mono_s, standing):
    """One look, its change settled without a store."""
    change = found.look(unix_s, mono_s, standing)
    if change:
        found.settle(change)
    return change


@pytest.mark.parametrize("standing", [SYNCED, KEPT])
def test_a_clock_that_was_set_or_has_a_battery_is_believed_at_once(standing):
    found = Dating(FIRST)
    assert not found.known
    assert found.unix(5) == 0
    look(found, NOW_S, 5, standing)
    assert found.unix(6) == NOW_S + 1
    assert found.state.sure == (standing == SYNCED)
    assert look(found, NOW_S + 1, 6, standing) is None


@pytest.mark.parametrize(
    ("newest_s", "unix_s", "mono_s", "known"),
    [
        (None, NOW_S, 599, False),
        (None, NOW_S, 600, True),
        (NOW_S - 1, NOW_S, 600, True),
        (NOW_S, NOW_S, 600, False),  # the hour of the last shutdown: time does not stand still
        (None, clock.EARLIEST_UNIX_S - 1, 9000, False),
    ],
)
def test_any_other_only_after_ten_minutes_and_if_it_is_later_than_the_store(newest_s, unix_s, mono_s, known):
    found = Dating(FIRST, newest_s)
    look(found, unix_s, mono_s, ANYTHING)
    assert found.known == known
    assert not found.state.sure


@pytest.mark.parametrize("standing", [SYNCED, KEPT, ANYTHING])
def test_before_2025_is_no_date(standing):
    found = Dating(FIRST)
    assert look(found, 1000.0, 700, standing) is None
    assert not found.known
    look(found, NOW_S, 701, SYNCED)
    change = look(found, 1000.0, 702, standing)  # and back into 1970: rather the date that was
    assert change.step_ms < 0
    assert found.unix(703) == NOW_S + 2


def test_who_trusts_his_clock_waits_for_nothing():
    found = Dating(FIRST, trust=True)
    look(found, 1000.0, 1, ANYTHING)
    assert not found.known
    look(found, NOW_S, 2, ANYTHING)
    assert found.known
    assert found.state.sure


def test_a_step_is_named_and_later_rows_use_it():
    found = Dating(FIRST)
    look(found, NOW_S, 5, SYNCED)
    assert look(found, NOW_S + 1.9, 5, SYNCED) is None
    change = look(found, NOW_S + 4, 5, SYNCED)
    assert change.step_ms == 2100
    assert change.move_ms == 0, "what a time server dated stays"
    assert found.unix(6) == NOW_S + 5
    change = look(found, NOW_S - 3600, 5, ANYTHING)
    assert change.fresh
    assert found.unix(6) == NOW_S - 3599


def test_a_process_of_the_same_boot_goes_on():
    found = Dating(FIRST)
    look(found, NOW_S, 5, SYNCED)
    found = Dating(found.state)
    assert found.known, "what was sure stays so, without a time server"
    assert look(found, NOW_S + 60, 65, ANYTHING) is None
    found = Dating(State("boot", 3, round((NOW_S - 3600) * 1000)))
    change = look(found, NOW_S, 0, SYNCED)
    assert (change.move_ms, change.step_ms) == (3_600_000, 3_600_000)


class Jumps(RuleBasedStateMachine):
    """A host with a clock that anybody may set to anything, a store, and the truth."""

    def __init__(self):
        super().__init__()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value)")
        self.db.execute("CREATE TABLE uplink (id INTEGER PRIMARY KEY, unix_ms INTEGER, boot INTEGER)")
        self.truth = {}  # id -> when it was taken
        self.true_s = NOW_S
        self.boots = 0
        self.reboot(0.0, ANYTHING)

    def begin(self):
        newest = self.db.execute("SELECT max(unix_ms) FROM uplink WHERE boot IS NULL").fetchone()[0]
        self.dating = Dating(dating.load(self.db, f"boot-{self.boots}"), newest and newest / 1000)

    @rule(off_s=st.sampled_from([0.0, -1.6e9, -YEAR_S, -7200.0, 3600.0, 5 * YEAR_S]), standing=st.sampled_from([KEPT, ANYTHING]))
    def reboot(self, off_s, standing):
        """The monotonic clock begins anew; the other is anything."""
        self.boots += 1
        self.mono_s = 0.0
        self.off_s = off_s
        self.standing = self.unset = standing
        self.begin()
        assert not self.dating.known
        self.look()

    @rule()
    def restart(self):
        """The daemon alone."""
        self.begin()
        self.look()

    @rule(seconds=st.sampled_from([1.0, 30.0, 700.0, 86_400.0]))
    def time_passes(self, seconds):
        self.true_s += seconds
        self.mono_s += seconds
        self.look()

    @rule(off_s=st.sampled_from([0.0, 1.5, -30.0, 3600.0, -86_400.0, YEAR_S, -2 * YEAR_S, 1e9]))
    def somebody_sets_the_clock(self, off_s):
        self.off_s = off_s
        self.standing = self.unset  # the kernel forgets that it was set

    @rule()
    def a_time_server_sets_the_clock(self):
        self.off_s = 0.0
        self.standing = SYNCED

    @rule()
    def look(self):
        change = self.dating.look(self.true_s + self.off_s, self.mono_s, self.standing)
        if change:
            self.dating.settle(dating.store(self.db, change))
        if self.dating.known:  # as Store.date does
            ahead = self.dating.state.ahead_ms
            self.db.execute("UPDATE uplink SET unix_ms = unix_ms + ?, boot = NULL WHERE boot = ?", (ahead, self.boots))

    @rule(age_s=st.integers(0, 3600))
    def a_row_comes(self, age_s):
        unix_s = self.dating.unix(self.mono_s)
        assert unix_s == 0 or self.dating.known
        taken_ms = round(((unix_s or self.mono_s) - age_s) * 1000)
        row = self.db.execute("INSERT INTO uplink VALUES (NULL,?,?)", (taken_ms, None if unix_s else self.boots)).lastrowid
        self.truth[row] = (self.boots, self.true_s - age_s)

    @invariant()
    def nothing_is_dated_that_is_not_known(self):
        if not self.dating.known:
            dated = self.db.execute("SELECT id FROM uplink WHERE boot IS NULL").fetchall()
            assert all(self.truth[row][0] != self.boots for (row,) in dated)

    @precondition(lambda self: self.standing == SYNCED)
    @rule()
    def every_date_of_this_boot_is_right(self):
        self.look()
        rows = self.db.execute("SELECT id, unix_ms, boot FROM uplink").fetchall()
        for row, unix_ms, boot in rows:
            of, taken_s = self.truth[row]
            if of == self.boots:
                assert boot is None
                assert abs(unix_ms / 1000 - taken_s) <= 2.2, row


Jumps.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestJumps = Jumps.TestCase


@pytest.mark.skipif(sys.platform != "linux" or sys.maxsize < 2**32, reason="the kernel is asked on 64-bit Linux alone")
def test_the_kernel_is_understood():
    """A tick of 10 ms and the time itself stand where we read them."""
    found = clock._Timex()
    assert ctypes.sizeof(found) == 208
    assert ctypes.CDLL(None).adjtimex(ctypes.byref(found)) >= 0
    assert 9000 <= found.tick <= 11_000
    before = clock.SystemClock().unix()
    ctypes.CDLL(None).adjtimex(ctypes.byref(found))
    assert abs(found.sec - before) < 5
    assert clock._kernel_says() == (not found.status & 0x40)


@pytest.mark.parametrize(("status", "answer", "synced"), [(0, 0, True), (0x2000, 0, True), (0x40, 5, False), (0, -1, False)])
def test_what_the_kernel_says_is_what_is_believed(monkeypatch, tmp_path, status, answer, synced):
    def adjtimex(found):
        found._obj.status = status
        return answer

    library = type("Library", (), {"adjtimex": staticmethod(adjtimex)})
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(clock, "_TIMESYNCD", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "_RTC", tmp_path / "rtc0")
    assert clock.synchronised() == synced
    assert clock.SystemClock().standing() == (SYNCED if synced else ANYTHING)
    (tmp_path / "rtc0").touch()
    assert clock.SystemClock().standing() == (SYNCED if synced else KEPT)
    (tmp_path / "synchronized").touch()
    assert clock.synchronised()
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda _: object())  # no such call
    (tmp_path / "synchronized").unlink()
    assert not clock.synchronised()


# In the daemon


@pytest.fixture
def host(tmp_path, monkeypatch):
    """`host(off_s, standing)`: sets the clock of the daemons to come and of those that run."""
    path = tmp_path / "odd"
    monkeypatch.setenv("ODD_CLOCK", str(path))

    def put(off_s, standing):
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps([off_s, standing]))
        os.replace(fresh, path)

    return put


def times(listener):
    """When each reading was taken, by its name."""
    found = {}
    for message in listener.messages:
        at = None
        for record in cbor2.loads(message.payload):
            at = record.get(-3, at)
            if record.get(0) == "frame":
                found[record[8]] = at
    return found


def dates(files):
    db = sqlite3.connect(f"file:{files.store}?mode=ro", uri=True)
    try:
        return [row[0] for row in db.execute("SELECT unix_ms / 1000.0 FROM uplink WHERE boot IS NULL ORDER BY id")]
    finally:
        db.close()


ODD = Path(__file__).with_name("odd_clock.py")


@pytest.mark.parametrize("wrong_s", [-1.6e9, 7200.0])
def test_readings_wait_for_a_clock_that_is_wrong_and_leave_with_the_right_date(  # noqa: PLR0917 - fixtures
    host, tmp_path, bridge, broker, listener, start, wrong_s
):
    """It believes nothing in the first ten minutes; here, nothing before the latest reading of another day."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, gateway='clock = "auto"').write()
    host(0.0, SYNCED)
    daemon = start(files, script=ODD)
    until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 1, {3: 1}))
    until(lambda: bridge.handled == [1])
    assert daemon.stop() == 0
    db = sqlite3.connect(files.store)
    db.execute("UPDATE meta SET value = json_set(value, '$.boot', 'the one before') WHERE name = 'clock'")
    db.execute("UPDATE uplink SET unix_ms = unix_ms + ?", (10 * YEAR_S * 1000,))  # none is later
    db.commit()
    db.close()
    host(wrong_s, ANYTHING)
    start(files, script=ODD)
    seq = bridge.hears(desk.frame(1, 2, {3: 2}))
    until(lambda: bridge.handled[-1:] == [seq])
    seen = len(listener.frames())
    host(0.0, SYNCED)
    until(lambda: len(listener.frames()) > seen)
    assert abs(times(listener)[desk.name(1, 2)] - time.time()) < 10
    until(lambda: desk.counts(files)[1].get("clock_stepped") == 1)


def test_what_an_unsure_clock_dated_is_moved_when_it_is_set(host, tmp_path, bridge, start):
    files = desk.Files(tmp_path, {"bridge": bridge.path}, None, gateway='clock = "auto"').write()
    host(-86_400.0, KEPT)  # a battery clock that runs
    daemon = start(files, script=ODD)
    until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 1, {3: 1}))
    until(lambda: len(dates(files)) == 1)
    assert abs(dates(files)[0] - time.time() + 86_400) < 10
    daemon.kill()
    daemon = start(files, script=ODD)
    seq = bridge.hears(desk.frame(1, 2, {3: 2}))
    until(lambda: bridge.handled[-1:] == [seq])
    host(0.0, SYNCED)
    until(lambda: all(abs(date - time.time()) < 10 for date in dates(files)))
    until(lambda: daemon.said("error", name="clock_stepped"))
    host(3600.0, ANYTHING)  # and from now on somebody sets it by hand
    until(lambda: len(daemon.said("error", name="clock_stepped")) == 2)
    seq = bridge.hears(desk.frame(1, 3, {3: 3}))
    until(lambda: bridge.handled[-1:] == [seq])
    until(lambda: len(dates(files)) == 3)
    assert [round((date - time.time()) / 3600) for date in dates(files)] == [0, 0, 1]
    daemon.kill()
    host(0.0, SYNCED)
    start(files, script=ODD)
    until(lambda: all(abs(date - time.time()) < 10 for date in dates(files)))


def test_a_reading_that_waits_for_company_leaves_with_the_new_date(host, tmp_path, bridge, broker, listener, start):  # noqa: PLR0917
    """What a pump holds in memory is as wrong as what lies on disk."""
    files = desk.Files(tmp_path, {"bridge": bridge.path}, broker, "batch_age_s = 4", gateway='clock = "auto"').write()
    host(-86_400.0, KEPT)
    daemon = start(files, script=ODD)
    until(lambda: bridge.hellos and daemon.said("broker", state="connected"))
    seq = bridge.hears(desk.frame(3, 1, {3: 1}))
    until(lambda: bridge.handled[-1:] == [seq])
    host(0.0, SYNCED)
    until(lambda: desk.name(3, 1) in times(listener))
    assert abs(times(listener)[desk.name(3, 1)] - time.time()) < 60
    assert daemon.stop() == 0
    assert len(daemon.said("broker", state="connected")) == 1, "for a date no connection is lost"
    assert listener.frames().count(desk.name(3, 1)) == 1
