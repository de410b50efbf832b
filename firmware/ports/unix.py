"""The Unix port: a board of the twin or of a test, both of which bring a `machine` of their own."""

import machine

from firmware.wire.errors import DeviceError

from . import NOTE, packed, unpacked


def unique_id():
    """Return the id that the twin gave this board, hex."""
    return machine.unique_id().hex()


def reset_cause():
    """Return why the board started, as a number of firmware.ports: those of `machine` are the same here."""
    return machine.reset_cause()


def adc(pin):
    """Return (read, factor, divisor) of an analogue pin: mV = read() * factor // divisor; full scale is 3.3 V."""
    return machine.ADC(machine.Pin(pin)).read_u16, 3300, 65535


def retained():
    """Return what `retain` kept over the reset or the deep sleep."""
    return unpacked(machine.RTC().memory())


def retain(data):
    """Keep `data` at the head of the RTC's memory."""
    rtc = machine.RTC()
    rtc.memory(packed(data) + rtc.memory()[NOTE:])


def kept():
    """Return what `keep` kept."""
    return machine.RTC().memory()[NOTE:]


def keep(data):
    """Keep `data` in the RTC's memory behind the note."""
    rtc = machine.RTC()
    rtc.memory((rtc.memory() + bytes(NOTE))[:NOTE] + data)


def watchdog(timeout_ms):
    """Return a watchdog of `machine`."""
    return machine.WDT(timeout=timeout_ms)


def sleep_ms(ms):
    """Sleep lightly."""
    machine.lightsleep(ms)


def deep_sleep_ms(ms):
    """Sleep and boot anew."""
    machine.deepsleep(ms)


def reset():
    """Restart the board."""
    machine.reset()


def hosted():
    """Return whether the test or the twin says that a computer is there."""
    return getattr(machine, "hosted", False)


def count_pulses(pin):
    """No counter here."""
    raise DeviceError("config", "this port counts no pulses (pin %d)" % pin)
