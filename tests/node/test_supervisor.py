"""The watchdog is fed while every task keeps its time, and a task that does not is named."""

import pytest

LADDER = """
class Ladder:
    fed = 0
    gap_ms = last_ms = 0
    told = []

    def feed(self):
        now = now_ms()
        if self.fed:
            self.gap_ms = max(self.gap_ms, now - self.last_ms)
        self.fed, self.last_ms = self.fed + 1, now

    def crash(self, code, text):
        self.told = self.told + [(code, text)]

    def settled(self, hours):
        self.hours = hours

ladder = Ladder()
"""

SUPERVISOR = (
    LADDER
    + """
from firmware.node.clock import Uptime
from firmware.node.supervisor import Supervisor
uptime = Uptime()
supervisor = Supervisor(ladder, uptime)
start_ms = uptime.ms()

def supervise(seconds, *work):
    async def main():
        for one in work:
            asyncio.create_task(one())
        await asyncio.wait_for(supervisor.run(), seconds)
    try:
        asyncio.run(main())
    except DeviceError as error:
        return error.name, error.detail, (now_ms() - start_ms) // 1000
    except asyncio.TimeoutError:
        return None
    finally:
        asyncio.new_event_loop()
"""
)


@pytest.mark.produces("task_late")
def test_one_late_task_is_enough(desk):
    out = desk(
        SUPERVISOR
        + """
async def good():
    beat = supervisor.watch("good", 1000)
    while True:
        beat(10000)
        await asyncio.sleep(10)

async def hangs():
    beat = supervisor.watch("hangs", 30000)
    for _ in range(10):
        await asyncio.sleep(20)
        beat()
    await asyncio.Event().wait()

name, detail, after_s = supervise(3600, good, hangs)
assert (name, detail) == ("task_late", "hangs") and 230 <= after_s <= 234, after_s
print(ladder.told, 50 < ladder.fed < 70, ladder.gap_ms < 4000)
"""
    )
    assert out.split("\n")[0] == "[(36, 'hangs')] True True"


def test_who_rests_is_not_missed_and_who_waits_for_ever_neither(desk):
    out = desk(
        SUPERVISOR
        + """
async def daily():
    beat = supervisor.watch("daily", 1000)
    while True:
        beat(86400000)
        await asyncio.sleep(86400)

async def idle():
    supervisor.watch("idle", 1000)(None)

print(supervise(3 * 86400, daily, idle), ladder.told, ladder.gap_ms < 4000)
""",
        timeout_s=60,
    )
    assert out.split() == ["None", "[]", "True"]


def test_ticks_that_wrap_make_nobody_late(desk):
    out = desk(
        """
port.start = -((1 << 30) - 20000) * 1000   # the ticks wrap after 20 s
"""
        + SUPERVISOR
        + """
import time
async def good():
    beat = supervisor.watch("good", 5000)
    while True:
        beat(5000)
        await asyncio.sleep(5)

async def hangs():
    supervisor.watch("hangs", 60000)

before = time.ticks_ms()
late = supervise(3600, good, hangs)
assert time.ticks_ms() < before
print(late)
"""
    )
    assert eval(out)[:2] == ("task_late", "hangs")
    assert 60 <= eval(out)[2] <= 64


HANGS = """
hung = [0]
async def hang():
    hung[0] += 1
    await asyncio.Event().wait()
"""


@pytest.mark.parametrize(
    ("fault", "name"),
    [("Service.script = lambda now: {3: 1}\nd.radio.send = lambda frame=None: hang()", "uplink")],
)
def test_a_task_of_the_node_that_hangs_ends_the_run(desk, fault, name):
    out = desk(
        LADDER
        + HANGS
        + f"""
d = Desk(radio_config())
d.app.board.supervisor._ladder = ladder
{fault}
try:
    asyncio.run(d.app.run())
except DeviceError as error:
    print(error.name, error.detail, hung[0], ladder.told)
"""
    )
    assert out.split() == ["task_late", name, "1", "[(36,", f"'{name}')]"]


def test_a_bridge_whose_radio_never_ends_a_frame(desk):
    out = desk(
        LADDER
        + HANGS
        + """
d = Desk(config(role="bridge", radio=RADIO, plan=PLAN, service=None, kid=None), role="bridge", secret=False)
d.app.board.supervisor._ladder = ladder
d.radio.send = lambda frame=None: hang()
d.after(3600, lambda: d.host.say(link.send(1, b"answer", 0, [("iq", "inverted")])))
start = now_ms()
try:
    asyncio.run(d.app.run())
except DeviceError as error:
    print(error.name, error.detail, (now_ms() - start) // 60000, ladder.told)
"""
    )
    assert out.split() == ["task_late", "send", "62", "[(36,", "'send')]"]
