"""RP2040 and RP2350: the Raspberry Pi Pico and its kin."""

import machine
import struct
import sys

from firmware.wire.errors import DeviceError, const

from . import packed, unpacked

# Watchdog scratch registers 0 to 3 outlive a reset; 4 to 7 are the boot ROM's (data sheets, section "Watchdog").
_WATCHDOG = 0x400D8000 if "RP2350" in sys.implementation._machine else 0x40058000
_LOAD = _WATCHDOG + 0x04
_SCRATCH = _WATCHDOG + 0x0C
_USB_STATUS = const(0x50110050)  # SIE_STATUS: bit 16 connected, bit 4 suspended; the same place on both chips
_SLICE_MS = const(4000)


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
    return unpacked(struct.pack("<IIII", *[machine.mem32[_SCRATCH + 4 * i] & 0xFFFFFFFF for i in range(4)]))


def retain(data):
    """Keep at most 11 bytes in the watchdog's scratch registers."""
    words = struct.unpack("<IIII", packed(data))
    for i in range(4):
        machine.mem32[_SCRATCH + 4 * i] = words[i]


def kept():
    """Return b"": this family keeps nothing more."""
    return b""


def keep(data):
    """Nothing: there is no place."""


def watchdog(timeout_ms):
    """Return the watchdog; it cannot be stopped, and 8388 ms is the most an RP2040 knows."""
    return machine.WDT(timeout=min(timeout_ms, 8388))


def sleep_ms(ms):
    """Sleep lightly in slices: a watchdog that expires in light sleep hangs an RP2040 until power is cut."""
    while ms > 0:
        machine.mem32[_LOAD] = 0xFFFFFF  # feeds a watchdog that runs, and starts none
        machine.lightsleep(min(ms, _SLICE_MS))
        ms -= _SLICE_MS
    machine.mem32[_LOAD] = 0xFFFFFF


def deep_sleep_ms(ms):
    """Sleep and boot anew: this family's deep sleep is a light one with a reset behind it, and knows 71 minutes at most."""
    retain(b"D")  # to tell it from the watchdog's
    sleep_ms(ms)
    machine.reset()


def reset():
    """Restart the chip; the next boot cannot tell it from the watchdog's reset but by what was retained."""
    machine.reset()


def hosted():
    """Return whether a computer is on the USB port: the controller is configured and its bus is not suspended."""
    return machine.mem32[_USB_STATUS] & 0x10010 == 0x10000


def count_pulses(pin):
    """A PIO program's place; none is written yet."""
    raise DeviceError("config", "this port counts no pulses (pin %d)" % pin)
