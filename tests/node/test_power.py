"""A whole node whose power is cut at every write of its flash: no counter twice, no reading twice, none lost for nothing."""

import pytest

CODE = """
from firmware.wire.errors import DeviceError
taken = [0]
def script(now):
    taken[0] += d.disk.power is not None
    return {{4: taken[0]}}
Service.script = script
d = Desk({settings})
frames = {{}}        # piv -> bytes
numbers = {{}}       # number of a reading -> piv
cuts = 0
answered = [True]

def sort_out():
    sent = [m[2] for m in d.host.of(1)] if d.radio is None else [f for _, f, _ in d.radio.sent]
    for frame in sent:
        payload, piv = opened(frame)
        # The same counter carries the same bytes for ever, and a reading has one counter for ever.
        assert frames.setdefault(piv, frame) == frame, piv
        number = payload[4][0] + payload[4][1] if type(payload[4]) is list else payload[4]
        assert numbers.setdefault(number, piv) == piv, (number, piv)
        if -9 in payload:
            assert numbers.get(payload[4][0], piv - 1) == piv - 1

for boot in range({boots}):
    d.disk.cut_after = boot % 43
    answered[0] = boot % 3 > 0
    try:
        mount(d.disk)
        d.on()
        if answered[0] and d.radio is None:
            d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
        d.run({seconds})
    except (PowerCut, DeviceError, OSError):
        assert d.disk.power is None
    cuts += d.disk.power is None
    sort_out()
d.disk.cut_after = None
for _ in range(2):
    d.reboot()
    if d.radio is None:
        d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
    d.run(1800)
    sort_out()
print(cuts, taken[0], len(numbers), len(d.app.queue.ids))
"""


@pytest.mark.parametrize(("settings", "most_lost"), [("config(report_s=60)", 1), ("radio_config(report_s=60)", 2)])
def test_power_cuts_at_every_write(desk, settings, most_lost):
    boots = 116
    out = desk(CODE.format(settings=settings, boots=boots, seconds=900), timeout_s=60)
    cuts, taken, delivered, left = map(int, out.splitlines()[-1].split())
    assert cuts > 100
    assert left == 0
    assert taken > 200
    # In a boot that is cut, the reading under way may be lost: by radio also the one that had just left the queue.
    assert taken - delivered <= most_lost * cuts
    print(f"{cuts} cuts, {taken} readings, {taken - delivered} lost")
