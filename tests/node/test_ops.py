"""Each op of the service console, on a running application."""

PARTS = """
from asker import *

class Part:
    def __init__(self, value):
        self.value = value
        self.reads = 0
    async def read(self):
        self.reads += 1
        if isinstance(self.value, str):
            raise DeviceError(self.value)
        return self.value

def equip(d, service=None, **parts):
    d.app.schedule.service.sensors = {name: Part(value) for name, value in parts.items()}
"""
SENSORS = {"distance": {"driver": "a02yyuw"}, "field": {"driver": "rm3100"}, "temperature": {"driver": "ds18b20"}}


def test_readings_of_a_service_that_measures_when_it_is_asked(desk):
    desk(
        PARTS
        + """
d = Desk(config(report_s=3600))
sent = len(d.host.of(1))
(status, found), = asked(d, ("readings",))
assert status == 0 and found["reading"] == {3: 50, 4: 700} and found["battery"] > 1000, found
assert "sensors" not in found
assert list(d.host.taken()) == [1]                        # the report of the boot, and nothing of this look
"""
    )


def test_readings_of_a_service_that_watches(desk):
    desk(
        PARTS
        + """
Service.sample_s = 5
Service.polled = lambda now: None
d = Desk(config(report_s=3600))
equip(d, field=(1000, -2000, 45000), temperature="sensor_bus", position=(4864905, -282402))
class Bay:
    def reading(self, now_s):
        return {6: True, 7: now_s}
d.app.schedule.service.bay = Bay()
(status, found), = asked(d, ("readings",))
assert status == 0, found
assert found["sensors"] == {"field": [1000, -2000, 45000], "position": [4864905, -282402]}, found
assert found["errors"] == {"temperature": 5}
assert found["reading"] == {6: True, 7: 2}, found
"""
    )


def test_a_look_at_a_buoy_spoils_no_record(desk):
    desk(
        PARTS
        + """
Service.sample_s = 20
Service.polled = lambda now: None
d = Desk(config(report_s=3600))
equip(d, motion=(1, 2, 8197))
class Record:
    resets = 0
    def reset(self):
        self.resets += 1
record = d.app.schedule.service.record = Record()
(status, found), = asked(d, ("readings",))
assert status == 0 and found["sensors"]["motion"] == [1, 2, 8197] and record.resets == 1, found
"""
    )


def test_selftest_asks_every_part(desk):
    desk(
        PARTS
        + f"""
CONFIG = {SENSORS}
"""
        + """
d = Desk(radio_config(report_s=3600))
flash(radio_config(report_s=3600, sensors=CONFIG))        # the drivers' names; the desk's parts stand for them
equip(d, distance=[700, 701], temperature="sensor_silent")
begun = d.radio.begun
(status, found), (status2, broken) = asked(d, ("selftest",), ("selftest",))
assert status == 0, found
assert found["radio"] == 0 and found["sensors"] == {"distance": [700, 701]} and found["errors"] == {"temperature": 1}, found
assert found["drivers"]["distance"] == "a02yyuw" and found["battery"] > 1000 and found["piv"] == 1, found
assert 10000 < found["flash_free"] < 24 * 4096
assert d.radio.begun > begun and d.radio.asleep
d.radio.absent = True
(status, found), = asked(d, ("selftest",))
assert status == 0 and found["radio"] == 10, found
d.radio.absent = False
d.run(3700)
assert len(d.radio.sent) >= 1                             # whatever the test did to the radio, reports go
"""
    )


def test_selftest_leaves_a_radio_alone_that_listens(desk):
    desk(
        PARTS
        + """
d = Desk(radio_config(role="bridge", kid=None, service=None), "bridge", secret=False)
d.after(1, lambda: ask(d, "challenge"))
d.after(2, lambda: d.host.say(hdlc.encode(0x24, dumps_link([7, "selftest"]))))
d.after(3, lambda: d.host.say(hdlc.encode(0x24, dumps_link([8, "readings"]))))
d.after(4, lambda: d.host.say(hdlc.encode(0x24, dumps_link([9, "set", "x", 1]))))
d.after(5, lambda: d.host.say(hdlc.encode(0x24, dumps_link([10, "production", True]))))
d.run(6)
_, (_, ok, found), (_, none, said), (_, none2, said2), (_, none3, said3) = d.host.answers
assert ok == 0 and found["radio"] == 0 and d.radio.begun == 1 and "sensors" not in found, found
assert none == none2 == none3 == 65, d.host.answers
"""
    )


def test_a_service_that_could_not_be_made(desk):
    desk(
        PARTS
        + """
d = Desk(config(service="no_such"))
(a, test), (b, live) = asked(d, ("selftest",), ("readings",))
assert a == 0 and test["service"] == 30 and "sensors" not in test, test
assert b == 65, live
"""
    )


def test_settings_are_judged_kept_and_in_force_after_the_restart(desk):
    desk(
        """
from orders_desk import *
from asker import *
t = Town(wired=True, service="desk", report_s=900)
wrong, unknown, odd, good = asked(
    t.desk, ("set", "empty_mm", 7), ("set", "nothing", 1), ("set", "empty_mm"), ("set", "empty_mm", 2000))
assert wrong == (61, "the log says why") == unknown == odd, (wrong, unknown, odd)
assert any("order refused: order_value empty_mm" in line for line in t.desk.host.lines)
assert good == (0, {"empty_mm": 2000, "full_mm": 250}), good
assert t.ladder.reboots == 1
t.restart()
assert t.reports == 900
(bad, (ok, nothing)) = asked(t.desk, ("interval", 5), ("interval", 60))
assert bad == (61, "the log says why") and (ok, nothing) == (0, None) and t.ladder.reboots == 1
t.restart()
assert t.reports == 60
(ok, nothing), = asked(t.desk, ("reboot",))
assert ok == 0 and t.ladder.reboots == 1
assert not [p for p in t.got if -12 in p or -13 in p]      # nobody but the person who asked is told
"""
    )


def test_calibrate_takes_what_the_sensor_sees(desk):
    desk(
        """
from orders_desk import *
from asker import *
t = Town(wired=True)
Service.KEYS = (4,)
Service.script = lambda now: {4: 1234}
(ok, found), = asked(t.desk, ("calibrate",))
assert (ok, found) == (0, {"empty_mm": 1234, "full_mm": 250}), found
t.restart()
Service.script = lambda now: {-7: 1}
(code, said), = asked(t.desk, ("calibrate",))
assert code == 62 and any("order refused: order_failed calibrate: sensor_silent" in line for line in t.desk.host.lines), said
"""
    )


def test_production_that_cannot_be_kept_is_refused(desk):
    desk(
        PARTS
        + """
d = Desk(config())                                        # without a ladder there is no record to keep it in
found = asked(d, ("production", True), ("production", 1), ("production", False))
assert found == [(20, "production"), (65, "true or false"), (0, False)], found
"""
    )
