"""What differs between the board families: `port()` is the module of this one.

Each port module has
    unique_id() -> str        the chip's id, lower-case hex
    reset_cause() -> int      sent under key -4: 0 unknown, 1 power, 2 reset pin, 3 watchdog, 4 deep sleep, 5 soft reset
    adc(pin)                  (read, factor, divisor): mV at an analogue pin = read() * factor // divisor
    retained() -> bytes       what `retain` stored before a reset, b"" after a power loss
    retain(data)              keep at most 11 bytes over a reset (not over a power loss)
    watchdog(timeout_ms)      an object with feed()
    sleep_ms(ms)              the deepest sleep that keeps RAM; the serial line is deaf meanwhile
    count_pulses(pin)         DeviceError("config"): no port counts pulses yet
"""

import sys


def port():
    """Return the port module of this board's family."""
    family = sys.platform if sys.platform in ("esp32", "rp2") else "unix"
    return __import__("firmware.ports." + family, None, None, ("adc",))
