"""The ESP32 family."""

import machine

from firmware.wire.errors import DeviceError

from . import NOTE, packed, unpacked

_CAUSES = ((machine.PWRON_RESET, 1), (machine.HARD_RESET, 2), (machine.WDT_RESET, 3), (machine.DEEPSLEEP_RESET, 4))


def unique_id():
    """Return the factory's MAC address, hex."""
    return machine.unique_id().hex()


def reset_cause():
    """Return why the board started, as a number of firmware.ports; a brown-out looks like power."""
    found = machine.reset_cause()
    for cause, number in _CAUSES:
        if found == cause:
            return number
    return 5


def adc(pin):
    """Return (read, factor, divisor) of an analogue pin: mV = read() * factor // divisor; calibrated, up to 3.1 V."""
    return machine.ADC(machine.Pin(pin), atten=machine.ADC.ATTN_11DB).read_uv, 1, 1000


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
    """Return the task watchdog."""
    return machine.WDT(timeout=timeout_ms)


def sleep_ms(ms):
    """Sleep lightly."""
    machine.lightsleep(ms)


def deep_sleep_ms(ms):
    """Sleep deeply: RTC and its memory go on, all else begins anew."""
    machine.deepsleep(ms)


def reset():
    """Restart the chip."""
    machine.reset()


def hosted():
    """Return False: a UART cannot tell whether somebody listens."""
    return False


def count_pulses(pin):
    """A PCNT unit's place; none is written yet."""
    raise DeviceError("config", "this port counts no pulses (pin %d)" % pin)
