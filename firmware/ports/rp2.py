"""RP2040 and RP2350: the Raspberry Pi Pico and its kin."""

import machine
import struct
import sys
from binascii import crc32

from firmware.wire.errors import DeviceError

# Watchdog scratch registers 0 to 3 outlive a reset; 4 to 7 are the boot ROM's (data sheets, section "Watchdog").
_SCRATCH = 0x400D800C if "RP2350" in sys.implementation._machine else 0x4005800C


def unique_id():
    """Return the id of the flash chip (RP2350: of the processor), hex."""
    return machine.unique_id().hex()


def reset_cause():
    """Return 1 or 3: this family tells power from watchdog and nothing else, and machine.reset() is a watchdog's."""
    return 3 if machine.reset_cause() == machine.WDT_RESET else 1


def adc(pin):
    """Return (read, factor, divisor) of an analogue pin: mV = read() * factor // divisor; the reference is the board's 3.3 V."""
    return machine.ADC(machine.Pin(pin)).read_u16, 3300, 65535


def retained():
    """Return the bytes kept over the reset, b"" when there are none."""
    words = struct.pack("<IIII", *[machine.mem32[_SCRATCH + 4 * i] & 0xFFFFFFFF for i in range(4)])
    data = words[: words[0] + 1]
    if not 0 < words[0] <= 11 or crc32(data) & 0xFFFFFFFF != struct.unpack("<I", words[12:])[0]:
        return b""
    return data[1:]


def retain(data):
    """Keep at most 11 bytes in the watchdog's scratch registers."""
    data = bytes((len(data),)) + data
    words = struct.unpack("<IIII", data + bytes(12 - len(data)) + struct.pack("<I", crc32(data)))
    for i in range(4):
        machine.mem32[_SCRATCH + 4 * i] = words[i]


def watchdog(timeout_ms):
    """Return the watchdog; it cannot be stopped, and 8388 ms is the most an RP2040 knows."""
    return machine.WDT(timeout=min(timeout_ms, 8388))


def sleep_ms(ms):
    """Sleep lightly in slices: a watchdog that expires in light sleep hangs an RP2040 until power is cut."""
    while ms > 0:
        machine.lightsleep(min(ms, 4000))
        ms -= 4000


def count_pulses(pin):
    """A PIO program's place; none is written yet."""
    raise DeviceError("config", "this port counts no pulses (pin %d)" % pin)
