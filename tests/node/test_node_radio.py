"""A node with a radio: what it sends, when, and what it does when something fails."""

import pytest

COUNT = """
made = []
def script(now):
    made.append({3: len(made) % 100, 4: 1000 - len(made), 2: 215})
    return dict(made[-1])
Service.script = script
def sends(d):
    return [(at, opened(frame)[1], opened(frame)[0]) for at, frame, _ in d.radio.sent]
"""


def test_each_frame_repeats_the_reading_before(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config())
d.run(9100)
from firmware.wire.host.payload import entries
taken = d.host.taken()
seen = {}
for at, piv, payload in sends(d):
    for p, kind, offset_s, values in entries(payload, piv):
        seen.setdefault(p, {})[kind] = values
        if kind == "repeat":
            assert offset_s == 900
assert sorted(taken) == sorted(seen) == list(range(1, 11)), taken
for piv, reading in taken.items():
    assert seen[piv]["direct"] == reading, seen
    assert reading.pop(1) == 4028 and reading == made[piv - 1]
    if piv < 10:
        assert seen[piv]["repeat"] == made[piv - 1]
first, second = sends(d)[0][2], sends(d)[1][2]
assert first[-4] == 1 and first[-6] == "0.1.0" and first[-5] is True
assert set(second) & {-4, -5, -6, -7, 14} == set()
print("ok", d.radio.asleep, len(d.app.queue.ids), d.radio.settings["power_dbm"])
"""
    )
    assert out.split() == ["ok", "True", "0", "14"]


def test_the_first_report_comes_at_a_random_moment_of_the_period(desk):
    out = desk(
        COUNT
        + """
for seed in range(12):
    os._pool["seed"] = bytes((seed,))
    d = Desk(radio_config(report_s=600))
    start = now_ms()
    d.run(1210)
    at = [t - start for t, _, _ in d.radio.sent]
    assert at[0] < 600500 and 600000 - 700 < at[1] - at[0] < 600700, at
    print(at[0] // 1000)
"""
    )
    firsts = sorted(map(int, out.split()))
    assert firsts[0] < 200
    assert firsts[-1] > 400
    assert len(set(firsts)) > 8


def test_after_a_reboot_nothing_is_repeated_and_the_counter_goes_on(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config())
d.run(2000)
last = sends(d)[-1][1]
d.reboot()
d.run(2000)
(_, piv, payload), second = sends(d)[0], sends(d)[1]
assert piv > last and -9 not in payload, payload
assert second[1] == piv + 1 and second[2][-9] == 1
print("ok")
"""
    )
    assert out.split() == ["ok"]


def test_a_counter_that_was_spent_on_nothing_ends_the_repeats(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config(report_s=600))
d.after(2000, lambda: d.app.uplink.counter.next())
d.run(3600)
print([(piv, -9 in p) for _, piv, p in sends(d)])
"""
    )
    assert eval(out) == [(1, False), (2, True), (3, True), (5, False), (6, True), (7, True)]


def test_fifty_bytes_in_the_low_rate_profile(desk):
    out = desk(
        COUNT
        + """
for sf in (9, 10, 12):
    d = Desk(radio_config(sf=sf, report_s=3600))
    Service.script = lambda now: {9: 1683, 10: 87 + now % 7, 11: 64, 12: 5138472, 13: 312765}
    d.run(6 * 3600)
    print(sf, max(len(f) for _, f, _ in d.radio.sent), sum(-9 in p for _, _, p in sends(d)), len(sends(d)))
"""
    )
    rows = {int(r[0]): list(map(int, r[1:])) for r in map(str.split, out.splitlines())}
    assert rows[9][0] > 50
    assert rows[9][1] == rows[9][2] - 1
    for sf in (10, 12):
        assert rows[sf][0] <= 50
        assert rows[sf][1] == 0  # position leaves no room for a repeat


def test_what_the_ledger_holds_back_goes_later_with_its_age(desk):
    out = desk(
        """
from firmware.radio.ledger import Ledger
Service.sample_s = 1
occupied = [False]
def polled(now):
    if now >= 100 and now < 106:
        occupied[0] = not occupied[0]
        return {6: occupied[0], 7: 0}
Service.polled = polled
Service.script = lambda now: {6: occupied[0], 7: now}
d = Desk(radio_config(sf=12, report_s=86400))
start = now_ms()
d.run(4000)
law = Ledger(start)
total = 0
for at, frame, _ in d.radio.sent:
    payload, piv = opened(frame)
    air = airtime_us(len(frame), 12, 125000)
    assert law.wait_ms(868100000, air, at) == 0, (piv, at)
    law.spend(868100000, air, at)
    total += air
    at_s = (at - start) / 1000
    if piv <= 6:
        # the change was at 99 + piv seconds
        assert abs(at_s - payload.get(14, 0) - (99 + piv)) < 1.1, (piv, at_s, payload)
        assert piv == 1 or payload[14] > 60
        assert piv == 1 or payload[6] == [bool((piv - 1) % 2), bool(piv % 2)] and payload[-8] == 1
assert total < 0.01 * 3600e6 + 2.5e6
print(len(d.radio.sent))
""",
        timeout_s=60,
    )
    assert int(out) >= 6


@pytest.mark.produces("radio_duty")
def test_a_plan_that_cannot_carry_the_readings_says_so(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config(sf=12, report_s=60, freq_hz=868900000))
d.run(7200)
errors = [l for l in d.host.lines if l.startswith("error radio_duty")]
codes = [p[-7] for _, _, p in sends(d) if -7 in p]
print(len(errors) > 0, set(codes), len(d.app.queue.ids) > 10)
"""
    )
    assert out.split() == ["True", "{13}", "True"]


def test_a_transmission_that_fails_repeats_the_identical_bytes(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config())
d.app.uplink.asked_ms = 0
d.radio.failing = ["radio_tx", None, None, "radio_tx", "radio_tx", "radio_tx"]
d.run(4500)
frames = [f for _, f, _ in d.radio.sent]
times = [t for t, _, _ in d.radio.sent]
assert frames[0] == frames[1] != frames[2] and frames[3] == frames[4] == frames[5] != frames[6]
assert times[1] - times[0] >= 2000 and times[4] - times[3] >= 2000
# the third try is the last: the next frame carries the reading
payload, piv = opened(frames[6])
assert payload[-9] == 1 and payload[3] == [2, 1] and payload[-7] == 12
assert len(d.radio.sent) == 8, len(d.radio.sent)
print(d.app.link.failed, d.app.link.sent, d.radio.begun)
"""
    )
    failed, sent, begun = map(int, out.split())
    assert (failed, sent) == (4, 4)
    assert begun == 5


def test_a_frame_that_asks_for_an_answer_is_never_sent_again(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config())
d.radio.failing = ["radio_tx"]
d.run(2700)
rows = sends(d)
assert rows[0][2][-5] is True and rows[1][1] == 2, rows
assert rows[1][2][-5] is True and rows[1][2][-7] == 12   # it asks again, for the fault, with a new counter
assert len(set(frame for _, frame, _ in d.radio.sent)) == len(rows)
print("ok")
"""
    )
    assert out.split() == ["ok"]


def test_while_the_radio_is_dead_no_counter_is_spent(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config(report_s=600))
d.radio.absent = True
d.run(6600)
assert not d.radio.sent and d.app.uplink.counter.upcoming == 1 and len(d.app.queue.ids) >= 10
d.radio.absent = False
run(d.app, 1300)
rows = sends(d)
assert [piv for _, piv, _ in rows] == list(range(1, len(rows) + 1))
assert rows[0][2][14] > 5000 and rows[0][2][-7] == 10
assert any(l.startswith("error radio_absent") for l in d.host.lines)
print(len(d.app.queue.ids))
"""
    )
    assert out.split() == ["0"]


def test_the_answer_window(desk):
    out = desk(
        COUNT
        + """
from firmware.wire.seal import seal
from firmware.wire.cbor import dumps
def answer(when_ms, piv_off=0, payload={-2: 600}):
    d = Desk(radio_config(report_s=300))
    send = d.radio.send
    async def sending(frame=None):
        air = await send(frame)
        if len(d.radio.sent) == 1:
            piv = opened(frame)[1]
            d.radio.incoming.append((now_ms() + when_ms, seal(KEYS, piv + piv_off, dumps(payload), down=True), -90, 20))
        return air
    d.radio.send = sending
    d.run(900)
    (opened_at, timeout, settings), = d.radio.windows
    end = d.radio.sent[0][0] + airtime_us(len(d.radio.sent[0][1]), 9, 125000) // 1000
    assert 945 <= opened_at - end <= 955, (opened_at, end)
    assert timeout == 100 + 8 * 4096 // 1000
    assert settings["iq"] is True and d.radio.settings["iq"] is False and d.radio.asleep
    return [l for l in d.host.lines if l.startswith("answer")]
print(answer(1000))
print(answer(1000, piv_off=1))
print(answer(2000))
"""
    )
    assert out.splitlines() == ["['answer to 1']", "['answer refused: stale']", "[]"]


def test_it_asks_once_a_day(desk):
    out = desk(
        COUNT
        + """
d = Desk(radio_config(report_s=3600))
d.run(50 * 3600)
print([piv for _, piv, p in sends(d) if -5 in p])
""",
        timeout_s=60,
    )
    assert out.split() == ["[1,", "25,", "49]"]


def test_an_alarm_is_sent_twice_with_identical_bytes(desk):
    out = desk(
        """
Service.script = lambda now: {3: 99, 19: 1} if now > 1500 else {3: 98}
d = Desk(radio_config())
d.run(3400)
rows = [(t, f, opened(f)[0]) for t, f, _ in d.radio.sent]
alarms = [r for r in rows if 19 in r[2]]
for a, b in zip(alarms[::2], alarms[1::2]):
    assert a[1] == b[1] and 2000 <= b[0] - a[0] <= 10600, (a, b)
    assert -9 not in a[2]
print(len(alarms))
"""
    )
    assert int(out) == 4


def test_from_a_million_frames_on_it_asks_for_a_new_key_once_a_day(desk):
    out = desk(
        COUNT
        + """
from firmware.node import files
d = Desk(radio_config(report_s=3600))
for path in ("/f/state/counter-0001", "/f/counter-0001"):
    files.write(path, ((1 << 20) - 3).to_bytes(8, "big"))
d.reboot()
d.run(60 * 3600)
rows = sends(d)
alarms = [(at, piv) for at, piv, p in rows if 19 in p]
assert [p[19] for _, _, p in rows if 19 in p] == [1] * len(alarms)
assert all(-5 not in p and -9 not in p for _, _, p in rows if 19 in p)
print([piv - (1 << 20) for _, piv in alarms])
"""
    )
    assert eval(out)[:6] == [0, 0, 24, 24, 48, 48]


@pytest.mark.produces("exception")
def test_what_a_service_raises_silences_nothing_else(desk):
    out = desk(
        """
from firmware.wire.errors import DeviceError
calls = []
def script(now):
    calls.append(now)
    if len(calls) == 1:
        return {3: 1, -7: 1}
    if len(calls) == 2:
        raise ValueError("a driver's own mistake")
    if len(calls) == 3:
        raise DeviceError("sensor_bus", "no answer")
    if len(calls) == 4:
        raise MemoryError
    return {3: 5}
Service.script = script
Service.sample_s = 10
Service.polled = lambda now: 1 // 0 if len(calls) == 5 else None
d = Desk(radio_config())
d.run(6000)
codes = [opened(f)[0].get(-7) for _, f, _ in d.radio.sent]
assert [opened(f)[0][1] for _, f, _ in d.radio.sent] == [4028] * len(codes)
print(codes)
lines = d.host.lines
assert any("ZeroDivisionError" in l and l.startswith("error exception service") for l in lines)
assert any(l.startswith("Traceback") for l in lines)
assert any(l.startswith("error sensor_bus") for l in lines)
"""
    )
    assert eval(out) == [1, 40, 5, 40, None, 40, None][: len(eval(out))]
    assert len(eval(out)) >= 6


def test_a_battery_that_cannot_be_read_is_left_out(desk):
    out = desk(
        COUNT
        + """
import machine
d = Desk(radio_config())
machine.state["adc"] = None
d.run(1000)
print(sends(d)[0][2].get(1), [l for l in d.host.lines if l.startswith("error")])
"""
    )
    assert out.startswith("None ['error exception battery: OSError(5,)']")
