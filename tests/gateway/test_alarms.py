"""Alarms and retired key ids as pure state: against a list that forgets nothing, over restarts, floods and clocks."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import alarms
from gateway.alarms import CLEARED, DAY_MS, HOUR_MS, RAISED, RULES, Alarms
from gateway.rotation import Rotation

NOW_MS = 1_800_000_000_000
BOARDS = {b"\0\1": "bin-1", b"\0\2": "bin-2"}


def _states(found):
    return [(e["name"], e["kid"], e["state"]) for e in found.drain()[1]]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_and_the_quiet_day(name):
    rule = RULES[name]
    found = Alarms(BOARDS)
    for i in range(rule.above):
        found.note(name, b"\0\1", NOW_MS + i)
    assert _states(found) == []
    found.note(name, b"\0\1", NOW_MS + rule.within_ms - 1)
    assert found.drain()[1] == [{"ev": "alarm", "name": name, "kid": "0001", "board": "bin-1", "state": "raised"}]
    (row,) = found.raised()
    assert row == (name, b"\0\1", NOW_MS if rule.above else row.last_ms, row.last_ms, rule.above + 1, RAISED)
    found.tick(row.last_ms + DAY_MS - 1)
    found.note(name, b"\0\1", row.last_ms + DAY_MS - 1)
    found.tick(row.last_ms + 2 * DAY_MS - 2)
    assert _states(found) == [], "it goes on: said once"
    found.tick(row.last_ms + 2 * DAY_MS - 1)
    assert _states(found) == [(name, "0001", CLEARED)]
    assert found.raised() == []


@pytest.mark.parametrize(("name", "above", "within_ms"), [("old", 3, DAY_MS), ("auth", 3, HOUR_MS)])
def test_what_is_spread_out_is_no_alarm(name, above, within_ms):
    found = Alarms(BOARDS)
    for i in range(50):
        found.note(name, b"\0\1", NOW_MS + i * (within_ms // above))
    assert found.raised() == []
    found.note(name, b"\0\2", NOW_MS)
    found.note(name, b"\0\1", NOW_MS + 49 * (within_ms // above) + 1)
    assert [row.kid for row in found.raised()] == [b"\0\1"]


def test_strangers_are_never_kept():
    found = Alarms(BOARDS)
    for n in range(1000):
        found.note("auth", n.to_bytes(4, "big"), NOW_MS)
    assert found.drain() == ([], [])
    for n in range(10_000):
        for name, kid in itertools.product(RULES, BOARDS):
            found.note(name, kid, NOW_MS + n)
    rows, events = found.drain()
    assert len(rows) == len(events) == len(RULES) * len(BOARDS)
    assert max(len(alarm.recent) for alarm in found._alarms.values()) == 0


def test_before_the_clock_is_set_alarms_are_raised_and_wait_for_their_date():
    found = Alarms(BOARDS)
    found.note("reuse", b"\0\1")
    for _ in range(4):
        found.note("old", b"\0\2")
    assert [state for *_, state in _states(found)] == [RAISED, RAISED]
    found.tick(NOW_MS)
    assert [row[2:4] for row in found.raised()] == [(NOW_MS, NOW_MS)] * 2
    found.tick(NOW_MS + DAY_MS)
    assert found.raised() == []


def test_a_clock_that_was_years_ahead_keeps_no_alarm_for_years():
    found = Alarms(BOARDS)
    found.note("reuse", b"\0\1", NOW_MS + 3650 * DAY_MS)
    for _ in range(3):
        found.note("old", b"\0\1", NOW_MS + 3650 * DAY_MS)
    found.tick(NOW_MS)
    found.note("old", b"\0\1", NOW_MS)
    found.tick(NOW_MS + DAY_MS)
    assert found.raised() == []


def test_an_alarm_that_somebody_cleared():
    found = Alarms(BOARDS)
    found.note("reuse", b"\0\1", NOW_MS)
    rows, _ = found.drain()
    cleared = [row._replace(state=CLEARED) for row in rows]
    found.note("reuse", b"\0\1", NOW_MS + 1)
    found.adopt(cleared)
    assert [row.n for row in found.raised()] == [2], "it came again meanwhile"
    rows, _ = found.drain()
    found.adopt([row._replace(state=CLEARED) for row in rows])
    assert _states(found) == [("reuse", "0001", CLEARED)]
    found.note("reuse", b"\0\1", NOW_MS + 2)
    assert _states(found) == [("reuse", "0001", RAISED)]
    assert [row.n for row in found.raised()] == [1]


def test_what_comes_after_an_alarm_is_counted_anew_over_a_restart():
    found = Alarms(BOARDS)
    for n in range(4):
        found.note("old", b"\0\1", NOW_MS + n)
    found.tick(NOW_MS + 2 * DAY_MS)
    for n in range(3):
        found.note("old", b"\0\1", NOW_MS + 2 * DAY_MS + n)
        found = Alarms(BOARDS, found.drain()[0])
    assert found.raised() == []
    found.note("old", b"\0\1", NOW_MS + 2 * DAY_MS + 3)
    assert [row.n for row in found.raised()] == [4]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reuse", "old", "auth", "tick", "restart"]),
        st.sampled_from(sorted(BOARDS)),
        st.sampled_from([0, 1000, HOUR_MS // 3, HOUR_MS, DAY_MS // 3, DAY_MS]),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(STEPS)
def test_against_a_list_that_forgets_nothing(steps):
    """Raised exactly when more than `above` lie within the span; cleared exactly after a quiet day; said once each."""
    found, disk, now_ms = Alarms(BOARDS), {}, NOW_MS
    heard = {}  # key -> times since it was last cleared
    raised = set()
    want = []
    for what, kid, step_ms in steps:
        now_ms += step_ms
        key = (what, kid)
        if what == "restart":
            counting = any(row.state == "counting" for row in disk.values())
            found = found if counting else Alarms(BOARDS, disk.values())
        elif what == "tick":
            found.tick(now_ms)
            for over in [k for k in raised if now_ms - heard[k][-1] >= DAY_MS]:
                raised.discard(over)
                del heard[over]
                want.append((*over, CLEARED))
        else:
            found.note(what, kid, now_ms)
            times = heard.setdefault(key, [])
            times.append(now_ms)
            rule = RULES[what]
            if key not in raised and sum(t > now_ms - rule.within_ms for t in times) > rule.above:
                raised.add(key)
                want.append((*key, RAISED))
        rows, events = found.drain()
        disk.update({(row.name, row.kid): row for row in rows})
        said = [(e["name"], bytes.fromhex(e["kid"]), e["state"]) for e in events]
        assert sorted(said) == sorted(want)
        want = []
        assert {(row.name, row.kid) for row in found.raised()} == raised


@settings(max_examples=200)
@given(STEPS)
def test_a_restart_while_counting_never_raises_what_was_not_and_keeps_what_was(steps):
    here, there, disk, now_ms = Alarms(BOARDS), Alarms(BOARDS), {}, NOW_MS
    for what, kid, step_ms in steps:
        now_ms += step_ms
        if what in RULES:
            here.note(what, kid, now_ms)
            there.note(what, kid, now_ms)
        disk.update({(row.name, row.kid): row for row in there.drain()[0]})
        there = Alarms(BOARDS, disk.values())
        raised = {(row.name, row.kid) for row in there.raised()}
        assert raised <= {(row.name, row.kid) for row in here.raised()}
        assert {key for key, row in disk.items() if row.state == RAISED} == raised


def test_the_log_is_one_line_a_change(caplog):
    found = Alarms(BOARDS)
    with caplog.at_level("INFO"):
        for n in range(1000):
            found.note("auth", b"\0\1", NOW_MS + n)
            found.note("healed", now_ms=NOW_MS)
        found.tick(NOW_MS + 2 * DAY_MS)
        alarms.tell(found.drain()[1])
    assert sorted(caplog.messages) == sorted([
        f"alarm auth bin-1 (key id 0001): {RULES['auth'].text}", f"alarm healed: {RULES['healed'].text}",
        "alarm auth bin-1 (key id 0001) is over", "alarm healed is over",
    ])  # fmt: skip


# Rotation

OLD, MIDDLE, NEW = b"\0\1", b"\0\2", b"\0\3"


def test_an_old_key_id_is_retired_some_days_after_the_newer_one_was_heard():
    found = Rotation([[OLD, NEW], [b"\0\7"]], 30, {})
    assert found.tick({OLD}.__contains__, NOW_MS) == {}
    assert found.tick({OLD}.__contains__, NOW_MS + 1000 * DAY_MS) == {}
    assert found.retired == set(), "never before a frame of the newer one came"
    assert found.tick({OLD, NEW}.__contains__, NOW_MS) == {NEW: NOW_MS}
    assert found.tick({OLD, NEW}.__contains__, NOW_MS + 30 * DAY_MS - 1) == {}
    assert found.retired == set()
    found = Rotation([[OLD, NEW]], 30, {NEW: NOW_MS})
    found.tick({OLD, NEW}.__contains__, NOW_MS + 30 * DAY_MS)
    assert found.retired == {OLD}


def test_a_newest_key_id_retires_all_before_it_and_one_in_the_middle_those_before_that():
    found = Rotation([[OLD, MIDDLE, NEW]], 1, {MIDDLE: NOW_MS})
    found.tick({MIDDLE}.__contains__, NOW_MS + DAY_MS)
    assert found.retired == {OLD}
    found = Rotation([[OLD, MIDDLE, NEW]], 1, {NEW: NOW_MS})
    found.tick({NEW}.__contains__, NOW_MS + DAY_MS)
    assert found.retired == {OLD, MIDDLE}


def test_a_first_time_that_lies_ahead_counts_from_now():
    found = Rotation([[OLD, NEW]], 1, {NEW: NOW_MS + 3650 * DAY_MS})
    assert found.tick({NEW}.__contains__, NOW_MS) == {NEW: NOW_MS}
    found.tick({NEW}.__contains__, NOW_MS + DAY_MS)
    assert found.retired == {OLD}
