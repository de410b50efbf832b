"""The note of who is being asked: it stands while a sensor works, and no longer, however that ends. Real MicroPython."""

import mp
import pytest

CODE = """
import asyncio
from firmware.node.watched import Watched

class Driver:
    def poll(self):
        {body}
    async def read(self):
        {body}

notes = []
sensor = Watched(Driver(), "distance", lambda name="": notes.append(name))
for ask in (lambda: sensor.poll(), lambda: asyncio.run(sensor.read())):
    try:
        print(ask(), notes)
    except Exception as error:
        print(type(error).__name__, notes)
    notes.clear()
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [("return 7", ["7", "7"]), ("raise OSError(5)", ["OSError", "DeviceError"])],
    ids=["answers", "raises"],
)
def test_the_note_is_taken_back(body, said):
    out = mp.run(CODE.format(body=body)).splitlines()
    assert [line for line in out if "['" in line] == [f"{one} ['distance', '']" for one in said]
