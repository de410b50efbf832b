"""`ports/rp2.py` on the chip: what outlives a reset, a bite of the watchdog and a deep sleep, and that sleep takes its time."""

from pathlib import Path

import pytest

from gateway.inventory import load

FLEET = load(Path(__file__).resolve().parent.parent.parent / "boards.yaml")
MAIN = """
import machine, sys, time
sys.path.insert(0, "/a")
from firmware.ports import port
p = port()
state = p.retained()
log = open("/log", "a")
def say(*words):
    log.write(" ".join(map(str, words)) + "\\n")
say("boot", state, p.reset_cause())
if not state:
    read, factor, divisor = p.adc(28)
    say("chip", p.unique_id(), read() * factor // divisor)
    p.retain(b"11 bytes ok")
    machine.mem32[0x4005800C] ^= 1 << 31  # a bit falls over
    say("damaged", p.retained())
    before = time.ticks_ms()
    p.sleep_ms(9000)
    say("slept", time.ticks_diff(time.ticks_ms(), before))
    p.retain(b"reset")
    log.close()
    p.reset()
if state == b"reset":
    p.retain(b"bite")
    dog = p.watchdog(2000)
    for _ in range(5):
        time.sleep(1)
        dog.feed()
    p.sleep_ms(9000)  # longer than the watchdog waits
    say("still here")
    log.close()
    dog.feed()
    time.sleep(20)
if state == b"bite":
    log.close()
    p.deep_sleep_ms(5000)
log.close()
print(open("/log").read(), "end")
"""

pytestmark = pytest.mark.timeout(200)


def test_what_outlives_a_reset_on_an_rp2040(uf2):
    from emulator import Pico
    from image import disk

    from tools.flash.build import build_slot

    pico = Pico(uf2, disk({**build_slot(FLEET.boards["bay-quai-1"]), "main.py": MAIN.encode()}))
    pico.mcu.adc.channel_values[2] = 2048
    pico.run(lambda: " end" in pico.text, chip_s=60, wall_s=150)
    lines = pico.text.partition("boot")[2].splitlines()
    print(pico.text)
    assert pico.resets == 3
    assert lines[0].split() == ["b''", "1"]
    assert lines[1].split()[:2] == ["chip", "ff" * 8]
    assert abs(int(lines[1].split()[2]) - 1650) <= 2  # half of 3.3 V
    assert lines[2] == "damaged b''"
    assert 9000 <= int(lines[3].removeprefix("slept ")) < 9100
    assert lines[4:9] == ["boot b'reset' 3", "still here", "boot b'bite' 3", "boot b'D' 3", " end"]
