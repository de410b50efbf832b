"""The Unix port: a board of the twin or of a test, both of which bring a `machine` of their own."""

import machine
import time

from firmware.wire.errors import DeviceError

_kept = b""


def unique_id():
    """Return the id that the twin gave this board, hex."""
    return machine.unique_id().hex()


def reset_cause():
    """Return 1: a process starts as a board does when power comes."""
    return 1


def adc(pin):
    """Return (read, factor, divisor) of an analogue pin: mV = read() * factor // divisor; full scale is 3.3 V."""
    return machine.ADC(machine.Pin(pin)).read_u16, 3300, 65535


def retained():
    """Return what this process retained."""
    return _kept


def retain(data):
    """Keep `data` as long as the process lives."""
    global _kept
    _kept = bytes(data)


def watchdog(timeout_ms):
    """Return a watchdog of `machine`."""
    return machine.WDT(timeout=timeout_ms)


def sleep_ms(ms):
    """Sleep."""
    time.sleep_ms(ms)


def count_pulses(pin):
    """No counter here."""
    raise DeviceError("config", "this port counts no pulses (pin %d)" % pin)
