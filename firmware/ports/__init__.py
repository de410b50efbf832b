"""What differs between the board families: `port()` is the module of this one.

Each port module has
    unique_id() -> str        the chip's id, lower-case hex
    reset_cause() -> int      sent under key -4: 0 unknown, 1 power, 2 reset pin, 3 watchdog, 4 deep sleep, 5 soft reset
    adc(pin)                  (read, factor, divisor): mV at an analogue pin = read() * factor // divisor
    retained() -> bytes       what `retain` stored before a reset, b"" after a power loss
    retain(data)              keep at most 11 bytes over a reset (not over a power loss). The ladder's: it reads them at boot
    kept() -> bytes           what `keep` stored, b"" after a power loss and on a family that keeps nothing
    keep(data)                keep up to 1000 bytes over a reset and a deep sleep, where the family can; no CRC of its own
    watchdog(timeout_ms)      an object with feed()
    sleep_ms(ms)              the deepest sleep that keeps RAM; the serial line is deaf meanwhile
    deep_sleep_ms(ms)         sleep without RAM; the board boots afterwards, with cause 4. Does not return
    reset()                   restart the chip. Does not return. Who means it as the orderly end calls board.ladder.reboot()
    hosted()                  is a computer on the USB port, as far as the family can tell?
    count_pulses(pin)         DeviceError("config"): no port counts pulses yet
"""

import sys
from binascii import crc32

NOTE = 16  # bytes of what `retain` keeps: length, 11 bytes, CRC-32


def packed(data):
    """Return the NOTE bytes that hold `data`, at most 11 bytes."""
    data = bytes((len(data),)) + data + bytes(11 - len(data))
    return data + crc32(data).to_bytes(4, "little")


def unpacked(raw):
    """Return the data of `raw`, NOTE bytes; b"" when they hold none: this memory begins with anything at all."""
    if len(raw) < NOTE or raw[0] > 11 or crc32(raw[:12]).to_bytes(4, "little") != raw[12:NOTE]:
        return b""
    return raw[1 : raw[0] + 1]


def port():
    """Return the port module of this board's family."""
    family = sys.platform if sys.platform in ("esp32", "rp2") else "unix"
    return __import__("firmware.ports." + family, None, None, ("adc",))
