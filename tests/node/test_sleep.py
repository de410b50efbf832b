"""Boards that sleep: light, deep with what the RTC's memory keeps, and gated, on real MicroPython through many wakes."""

import pytest

START = """
from sleep_desk import *
made = []
def script(now):
    made.append({3: len(made) % 100, 4: 1000 - len(made) % 900, 2: 215})
    return dict(made[-1])
Service.script = script

def sent(d):
    return [(at,) + opened(frame) for at, frame, _ in d.air]

def lawful(d, sf=9):
    # an independent ledger of the whole life: no hour carries more than its duty, however often the board was off
    hour = []
    for at, frame, settings in d.air:
        air = airtime_us(len(frame), settings["sf"], settings["bw_hz"])
        hour = [(t, a) for t, a in hour if t > at - 3600000] + [(at, air)]
        assert sum(a for _, a in hour) <= 36000000, (at, hour)

def no_piv_twice(d):
    by_piv = {}
    for at, frame, _ in d.air:
        piv = opened(frame)[1]
        assert by_piv.setdefault(piv, frame) == frame, piv
    return sorted(by_piv)
"""


def test_deep_sleep_goes_on_where_it_was(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=900), "deep")
d.wakes(130)
pivs = no_piv_twice(d)
lawful(d)
rows = sent(d)
assert pivs == list(range(1, len(rows) + 1)) and len(rows) >= 128, pivs[-3:]
# on the grid, one frame a wake, each repeating the reading before over the sleep
gaps = [b[0] - a[0] for a, b in zip(rows, rows[1:])]
assert min(gaps) > 898000 and max(gaps) < 902000, (min(gaps), max(gaps))
assert all(p.get(-9) == 1 for _, p, _ in rows[1:]), [p for _, p, _ in rows if -9 not in p]
# it says who it is once, and asks once a day
assert [piv for _, p, piv in rows if -4 in p] == [1]
assert [piv for _, p, piv in rows if -5 in p] == [1, 97]
# flash: one write of the counter in sixteen wakes, nothing else
quiet = [w for w in d.writes[2:] if w == 0]
print(len(rows), len(d.writes), len(quiet), max(d.awake[2:]), d.ladder.settled_n, len(machine.state["memory"]))
""",
        timeout_s=60,
    )
    _rows, wakes, quiet, awake_ms, _, memory = map(int, out.split())
    assert quiet >= wakes * 14 // 16 - 2
    assert awake_ms < 2000
    assert memory <= 1016


def test_a_start_that_nobody_planned_listens_a_minute_and_waits_its_turn(desk):
    out = desk(
        START
        + """
for seed in range(6):
    os._pool["seed"] = bytes((seed,))
    d = Sleeper(radio_config(report_s=900), "deep")
    begun = now_ms()
    d.wakes(2)
    print(d.awake[0], d.slept[0], d.air[0][0] - begun)
"""
    )
    rows = [list(map(int, line.split())) for line in out.splitlines()]
    for awake, slept, first in rows:
        assert 60000 <= awake < 62000
        assert first < 901000
        # Who draws less than that minute sends in it, and sleeps for a whole period.
        assert first == 60000 or abs(awake + slept - first) < 2000
    assert len({first for _, _, first in rows}) == 6


@pytest.mark.parametrize(
    "harm",
    [
        "machine.state['memory'] = b''",
        "machine.state['memory'] = machine.state['memory'][:40] + b'x' + machine.state['memory'][41:]",
        "machine.state['memory'] = machine.state['memory'][:-9]",
        "machine.state['memory'] = bytes(len(machine.state['memory']))",
        "machine.state['memory'] = os.urandom(700)",
        "if len(kept) == 17: machine.state['memory'] = kept[0]",  # of an earlier reservation of the counter
        "cause = 3",  # the watchdog bit in the middle of a wake
        "cause = 1",
    ],
)
def test_memory_that_is_lost_old_or_damaged_is_safe(desk, harm):
    out = desk(
        START
        + f"""
d = Sleeper(radio_config(report_s=60), "deep")
kept = []
for turn in range(60):
    found = d.live(3600)
    cause, ms = found
    kept.append(machine.state["memory"])
    kept = kept[-17:]
    if turn % 3 == 2:
        {harm}
    d.next(cause, ms)
no_piv_twice(d)
lawful(d)
print(len(d.air), [l for l in d.lines if l.startswith("error")])
"""
    )
    count, errors = out.split(" ", 1)
    assert int(count) >= 35
    assert eval(errors) == []


def test_a_crash_between_waking_and_sleeping_never_repeats_a_counter(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=60), "deep")
d.wakes(3)
early = 0
for turn in range(30):
    # some wakes end before they sleep, at any moment: before the frame, in the middle of it, behind it
    found = d.live(0.02 * turn)
    early += found is None
    d.next(*(found or (3, 0)))
    d.next(*d.live())
pivs = no_piv_twice(d)
lawful(d)
print(early, len(d.air), pivs[-1])
"""
    )
    early, frames, last = map(int, out.split())
    assert early > 10
    assert frames > 40
    assert last > 16 * early / 2  # each costs the rest of a reservation


def test_what_the_law_holds_back_goes_in_a_later_wake_with_its_age(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=120, sf=12), "deep")
d.wakes(150)
no_piv_twice(d)
lawful(d)
ages = [p.get(14, 0) for _, p, _ in sent(d)]
print(len(d.air), max(ages), sum(a > 100 for a in ages), any(l.startswith("error radio_duty") for l in d.lines))
""",
        timeout_s=60,
    )
    frames, oldest, late, _ = out.split()
    assert int(frames) > 50
    assert int(oldest) > 600
    assert int(late) > 20


def test_a_gated_board_reports_at_once_and_asks_for_the_end_of_its_power(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=900), "gated", done=13)
for wake in range(110):
    begun = now_ms()
    machine.Pin.levels[13] = 0
    found = d.live()
    assert machine.Pin.levels[13] == 1 and d.awake[-1] < 2500, (found, d.awake[-1])
    assert found == (4, 899000) or 898000 < found[1] < 900000, found   # a gate that is broken: it sleeps by itself
    d.next(1, 900000)
rows = sent(d)
pivs = no_piv_twice(d)
lawful(d)
assert pivs == list(range(1, 111)), pivs
assert [piv for _, p, piv in rows if -5 in p] == [1, 97], [piv for _, p, piv in rows if -5 in p]
assert [piv for _, p, piv in rows if -4 in p] == [1, 97]
assert not any(-9 in p or 14 in p for _, p, _ in rows)
print(len(rows), max(d.awake[1:95]), set(d.writes[1:]))
"""
    )
    print(out)
    assert out.startswith("110 ")


def test_a_gated_boards_duty_is_that_of_its_period(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=60, sf=12), "gated", done=13)
for wake in range(20):
    d.live()
    d.next(1, 60000)
print(len(d.air), sum(l.startswith("error radio_duty") for l in d.lines), len(d.app.queue.ids))
# 1482 ms of SF12 fit into a per cent of 150 s; the two readings of a failed wake go in the next ones
d = Sleeper(radio_config(report_s=200, sf=12), "gated", done=13)
d.radio.absent = True
d.live()
d.next(1, 200000)
for wake in range(4):
    d.live()
    d.next(1, 200000)
lawful(d)
print(len(d.air), [p.get(4) for _, p, _ in sent(d)], len(d.app.queue.ids))
"""
    )
    first, second = out.splitlines()
    assert first == "0 20 0"
    assert eval(second.split(" ", 1)[1].rsplit(" ", 1)[0])
    print(out)


def test_a_gated_board_with_a_computer_on_its_port_stays_awake(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=600, sf=12), "gated", done=13)
machine.hosted = True
assert d.live(6000) is None
lawful(d)
machine.hosted = False
begun = now_ms()
cause, ms = d.live()
print(len(d.radio.sent), cause, now_ms() - begun < 3000, machine.Pin.levels[13])
"""
    )
    assert out.split() == ["11", "4", "True", "1"]


def test_a_gated_board_that_crashes_keeps_the_law(desk):
    out = desk(
        START
        + """
d = Sleeper(radio_config(report_s=900, sf=12), "gated", done=13)
d.live()
for crash in range(200):
    d.next(3, 5000)      # the watchdog, again and again: the gate has not cut the power
    d.live(10)
no_piv_twice(d)
print(len(d.air))
"""
    )
    # After each start one frame goes: that is what the ladder's strikes end.
    assert 0 < int(out) <= 201


@pytest.mark.parametrize("profile", ["deep", "gated"])
def test_planned_wakes_are_no_boots_of_the_real_ladder(desk, profile):
    out = desk(
        START
        + f"""
d = Climber(radio_config(report_s=900), {profile!r}, done=13)
d.wakes(4)
import rungs
before = d.record()
d.wakes(60)
after = d.record()
assert after == before, (before, after)       # not one write of its record
r = after[0]
assert not r[rungs.OPEN] and not r[rungs.STRIKES] and not r[rungs.SAFE] and not r[rungs.CRASHES], r
assert len(no_piv_twice(d)) >= 62
lawful(d)
# a wake that ends badly is a strike, and its memory is not trusted; the next good one forgives it
d.app.schedule.service.report = None
d.app.uplink.one = lambda ident: 1 // 0
for _ in range(2):
    d.live(1)
    d.next(3)
    assert d.ladder.strikes == _ + 1, d.ladder.strikes
    d.app.uplink.one = lambda ident: 1 // 0
d.next(3)
d.wakes(3)
print(d.ladder.strikes, d.ladder.cause, len(no_piv_twice(d)) >= 64)
"""
    )
    assert out.split()[0] == "0"
    assert out.split()[2] == "True"


LIGHT = """
import time
sleeps = []     # [begun, ms], those that follow each other as one
longest = [0]
def lightsleep(ms):
    at = now_ms()
    longest[0] = max(longest[0], ms)
    if sleeps and at - sum(sleeps[-1]) < 30:
        sleeps[-1][1] = at + ms - sleeps[-1][0]
    else:
        sleeps.append([at, ms])
    time.sleep_ms(ms)
machine.lightsleep = lightsleep
"""


def test_light_sleep_is_what_the_loop_waits(desk):
    out = desk(
        START
        + LIGHT
        + """
d = Sleeper(radio_config(report_s=900), "light")
begun = now_ms()
d.live(36000)
slept = sum(ms for _, ms in sleeps)
assert longest[0] <= 3900
assert min(at for at, _ in sleeps) - begun >= 60000       # a host may say something first
assert no_piv_twice(d) == list(range(1, 41))
# the watchdog was fed between all of them
print(slept * 1000 // (now_ms() - begun), d.ladder.fed)
""",
        timeout_s=60,
    )
    share, fed = map(int, out.split())
    assert share > 990
    assert fed > 36000 / 4


def test_no_sleep_while_a_sensor_is_read_a_host_talks_or_is_plugged_in(desk):
    out = desk(
        START
        + LIGHT
        + """
async def slow(now):
    mine.append(now_ms())
    await asyncio.sleep(5)
    mine.append(now_ms())
    return {3: 1}
mine = []
d = Sleeper(radio_config(report_s=900), "light")
d.app.schedule.service.report = d.app.board.power.held(lambda now: slow(now))
d.live(5000)
for i in range(0, len(mine), 2):
    assert not [at for at, ms in sleeps if mine[i] < at + ms and at < mine[i + 1]], mine[i]
n = len(sleeps)
d.after(1, lambda: d.host.say(link.ask_hello()))
d.after(5, sleeps.clear)
d.live(500)
assert not sleeps and len(d.host.of(6)) == 3, len(d.host.of(6))
d.live(300)
assert sleeps
sleeps.clear()
machine.hosted = True
d.live(1000)
assert not sleeps
print(n >= 5, len(mine) // 2)
""",
        timeout_s=60,
    )
    assert out.split()[0] == "True"


def test_a_board_on_a_cable_does_not_sleep(desk):
    out = desk(
        START
        + """
d = Desk(config(power={"profile": "deep", "done": None}))
d.run(2000)
print(d.app.board.power, len(d.host.of(1)))
"""
    )
    assert out.split() == ["None", "3"]
