"""The firmware on an emulated Pico: real MicroPython for the RP2040, a littlefs image as the flash tool writes it.

Chip time is that of the emulated chip, a lower bound. The folder takes about five minutes on an idle machine; it is skipped
without a UF2.
"""

import json
from pathlib import Path

import pytest

from firmware.wire import cbor
from firmware.wire.frame import parse
from firmware.wire.quantities import BATTERY, DISTANCE, FILL, FIRMWARE, RESET_CAUSE, TEMPERATURE
from firmware.wire.seal import derive, unseal
from gateway.inventory import load

ROOT = Path(__file__).resolve().parent.parent.parent
FLEET = load(ROOT / "boards.yaml")
STACK_LIMIT = 7_000  # of 7,936 bytes; Python's own check stops 256 bytes before the end
FREE_LIMIT = 150_000
WAKE_LIMIT_MS = 1_800  # a bay from power to the end of its frame, which takes 247 ms

pytestmark = pytest.mark.timeout(400)


def opened(frame, kid):
    """An uplink's payload (dict) and PIV, checked with the board's key."""
    from first_frame import SECRET

    parsed = parse(frame)
    return cbor.loads(unseal(derive(SECRET, bytes.fromhex(kid)), parsed)), parsed.piv


def test_the_emulator_keeps_time_and_its_uart_works(uf2):
    from emulator import Pico
    from image import disk

    main = b"import machine, time\nu = machine.UART(1, 9600, tx=machine.Pin(4), rx=machine.Pin(5))\nu.write('out')\n"
    main += b"t = time.ticks_ms()\ntime.sleep(10)\nprint('slept', time.ticks_ms() - t, u.read())\n"
    pico = Pico(uf2, disk({"main.py": main}))
    sent = bytearray()
    pico.mcu.uart[1].on_byte = sent.append
    pico.clock.at(4_000_000, lambda: [pico.mcu.uart[1].feed_byte(byte) for byte in b"in"])
    pico.run(lambda: ">>>" in pico.text, chip_s=20, wall_s=60)
    assert "slept 10000 b'in'" in pico.text
    assert sent == b"out"


def test_a_bin_boots_from_its_flash_to_its_first_sealed_frame(uf2):
    from first_frame import first_frame

    found = first_frame(uf2, FLEET, "bin-quai")
    print(found)
    payload, piv = opened(found.frame, FLEET.boards["bin-quai"].kid)
    said = {int(key): value for key, value in json.loads(found.lines[-1].removeprefix("taken 1 ")).items()}
    assert piv == 1
    assert set(said) == {BATTERY, TEMPERATURE, FILL, DISTANCE}  # from the models of both sensors, and no error
    assert said.items() <= payload.items()
    assert payload[RESET_CAUSE] == 1
    assert FIRMWARE in payload
    assert found.violations == 0  # the radio was never spoken to while BUSY was high
    assert found.stack_bytes < STACK_LIMIT
    assert found.free_bytes > FREE_LIMIT


def test_a_bay_wakes_and_sends_soon_and_never_counts_back(uf2):
    from first_frame import Run

    run = Run(uf2, FLEET, "bay-quai-1", report_s=60)
    _, sent_ms, frame = run.to_sent()
    print(f"bay-quai-1: wake to sent {sent_ms:.0f} ms")
    assert sent_ms < WAKE_LIMIT_MS
    again = Run(uf2, FLEET, "bay-quai-1", flash=run.pico.flash)  # the power fails here
    _, _, second = again.to_sent()
    kid = FLEET.boards["bay-quai-1"].kid
    assert opened(frame, kid)[1] == 1
    assert opened(second, kid)[1] == 17  # 16 counters were reserved before the first was used
    pico = again.pico
    pico.rest(30)
    assert pico.resets == 0  # an application that waits feeds the watchdog
    pico.console.say(b"\x03")
    pico.run(lambda: pico.text.endswith(">>> "), chip_s=10, wall_s=60)
    pico.rest(30)
    assert pico.resets == 0  # and so does a REPL
    pico.console.say(b"6*7\r\n")
    pico.run(lambda: "42" in pico.text[-20:], chip_s=10, wall_s=60)


def test_a_release_is_checked_on_the_chip(uf2):
    from signature import signature_check

    good, false = signature_check(uf2, FLEET, "bin-quai")
    print(f"RSA-3072: {good.ms:.0f} ms, {good.garbage_bytes} B of garbage")
    assert good.accepted
    assert not false.accepted
    assert max(good.ms, false.ms) < 500
