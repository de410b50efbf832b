"""What breaks on a board in the field, one row each: the others keep reporting, the code goes up, the board recovers.

A row breaks one thing, where copper would be, for forty minutes of a bin that reports each ten, and mends it. `during` and
`after` are asserted over the frames of those times, (ms, payload, piv) each; `code` is what the frames during the fault say.
"""

import pytest

BREAK_MS, MEND_MS, END_S = 2_400_000, 4_800_000, 9000

RUN = """
from faults_desk import *
import time
{setup}
d = new()
begun = port.now // 1000
def broken():
{fault}
def mended():
{repair}
d.after({break_ms} // 1000, broken)
d.after({mend_ms} // 1000, mended)
d.run({end_s})
rows = d.sent()
before = [p for at, p, piv in rows if at - begun < {break_ms}]
during = [p for at, p, piv in rows if {break_ms} <= at - begun < {mend_ms}]
after = [p for at, p, piv in rows if at - begun >= {mend_ms} + 60000]
codes = set([p[-7] for p in during if -7 in p])
late = [p[-7] for p in after if -7 in p]
assert len(before) == 4 and all(3 in p and 2 in p for p in before[1:]), before
assert len(after) >= 6, len(after)
# recovered: the last frames are whole and without a code
assert all(3 in p and 2 in p and 1 in p and -7 not in p for p in after[-3:]), after
pivs = [piv for _, _, piv in rows]
assert pivs == sorted(set(pivs)), pivs
assert d.crashes == [], d.crashes
{check}
print("ok", sorted(codes))
"""
ROWS = {
    "a distance sensor that raises": (
        "UART.any = raises", "UART.any = GOOD['any']",
        "assert len(during) == 4 and all(2 in p and 3 not in p for p in during[1:])", [40]),
    "a distance sensor that is silent": (
        "machine.state['uart'] = False", "machine.state['uart'] = True",
        "assert len(during) == 4 and all(2 in p and 3 not in p for p in during[1:])", [1]),
    "a distance sensor that sends rubbish": (
        "UART.readinto = rubbish", "UART.readinto = GOOD['readinto']",
        "assert len(during) == 4 and all(2 in p for p in during[1:])", [2]),
    "a distance sensor whose driver never comes back": (
        "machine.state['uart'] = False; hanging('a02yyuw')", "machine.state['uart'] = True; hanging('a02yyuw')",
        "assert len(during) == 4 and all(2 in p and 3 not in p for p in during[1:])", [1]),
    "a thermometer that never comes back": (
        "hanging('ds18b20')", "hanging('ds18b20')",
        "assert len(during) == 4 and all(3 in p and 2 not in p for p in during[1:])", [1]),
    "a thermometer that is gone": (
        "WIRE.reset = lambda self: False", "WIRE.reset = GOOD['reset']",
        "assert len(during) == 4 and all(3 in p and 2 not in p for p in during[1:])", [1]),
    "a thermometer that sends rubbish": (
        "WIRE.readbyte = lambda self: 0x5A", "WIRE.readbyte = GOOD['readbyte']",
        "assert len(during) == 4 and all(3 in p and 2 not in p for p in during[1:])", [2]),
    "a battery that cannot be read": (
        "machine.state['adc'] = None", "machine.state['adc'] = 40000",
        "assert len(during) == 4 and all(3 in p and 2 in p and 1 not in p for p in during[1:])", [40]),
    "a service that raises": (
        "d.app.schedule.service._measure = raises", "del d.app.schedule.service._measure",
        "assert len(during) == 4 and all(1 in p for p in during)", [40]),
    "a radio whose BUSY stays high": (
        "machine.Pin.levels[BUSY] = 1", "machine.Pin.levels[BUSY] = 0",
        # nothing can be sent meanwhile; all of it goes afterwards, with its age, and the first frames say why
        "assert len(during) <= 1 and 11 in late and max(p.get(14, 0) for p in after) > 1200\n"
        "assert sum(3 in p for p in after) == len(after) >= 9", []),
    "a radio that never says that it has sent": (
        "d.deaf = True", "d.deaf = False",
        # a frame is tried three times and given up; the next one that goes repeats the reading before it
        "assert not during and 12 in late and all(p.get(-9) == 1 for p in after[1:])", []),
    "a flash that is full": (
        "d.disk.full = True", "d.disk.full = False",
        "assert len(during) == 4 and all(3 in p and 2 in p for p in during)", [20]),
    "ticks that wrap": (
        "assert time.ticks_ms() > 1000000000", "assert time.ticks_ms() < 3000000",
        "assert len(during) == 4 and all(3 in p and p.get(14, 0) == 0 for p in during)", []),
    "a date that jumps": (
        "virtual.time.date_offset = 900000000", "virtual.time.date_offset = -400000000",
        "assert len(during) == 4 and all(3 in p and p.get(14, 0) == 0 for p in during)", []),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ROWS))
def test_the_others_keep_reporting(desk, name):
    fault, repair, check, codes = ROWS[name]
    wraps_s = 3600  # from the start
    setup = f"port.start = -((1 << 30) - {wraps_s * 1000}) * 1000" if name == "ticks that wrap" else ""
    code = RUN.format(
        setup=setup, fault="    " + fault, repair="    " + repair, check=check, break_ms=BREAK_MS, mend_ms=MEND_MS, end_s=END_S
    )
    out = desk(code)
    assert out.split("ok ")[1].strip() == str(codes)


def test_a_gateway_that_is_silent_for_a_month_by_radio(desk):
    out = desk(
        """
Service.script = lambda now: {3: 50, 2: 215}
d = Desk(radio_config(report_s=3600))
d.run(31 * 86400)
rows = [opened(frame)[0] for _, frame, _ in d.radio.sent]
assert len(rows) >= 743 and not d.app.queue.ids, len(rows)
# it asks once a day, however long nobody answers, and says nothing of it
print(sum(-5 in p for p in rows), sum(-7 in p for p in rows), sum(14 in p for p in rows))
""",
        heap_kb=6000,
        timeout_s=60,
    )
    asked, codes, late = map(int, out.split())
    assert asked in (31, 32)
    assert (codes, late) == (0, 0)


def test_a_daemon_that_is_silent_for_a_month_on_a_cable(desk):
    out = desk(
        """
n = [0]
def script(now):
    n[0] += 1
    return {3: 50, 4: n[0]}
Service.script = script
d = Desk(config(report_s=3600))
def back():
    assert len(d.app.queue.ids) == 64 and len(d.host.of(1)) == 8
    d.host.heard.clear()
    d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
    d.host.say(link.ask_hello())
d.after(31 * 86400, back)
d.run(31 * 86400 + 4 * 3600)
rows = {opened(m[2])[1]: opened(m[2])[0] for m in d.host.of(1)}
pivs = sorted(rows)
assert pivs == list(range(1, len(pivs) + 1)), pivs
# what had been sealed, what the queue could hold, what is new; the codes say what gave way
newest = [p[4] for p in rows.values()]
print(len(pivs), max(newest), n[0], set(p[-7] for p in rows.values() if -7 in p), len(d.app.queue.ids))
print(-7 in rows[pivs[-1]])
""",
        timeout_s=60,
    )
    first, last = out.splitlines()
    assert first.split()[0] == "76"  # eight on their way, 64 in the queue, four since
    assert "21" in first
    assert last == "False"
