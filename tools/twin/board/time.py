"""`time` of a board in the town: ticks and sleeps by the town's clock, wrapping at 2^30 as on the boards."""

import utime
import _town

_HALF = 1 << 29  # of the period of 2^30
_BOOT_DATE = {"rp2": 1609459200, "esp32": 0}  # 2021-01-01 in the epoch of 1970; 2000-01-01 in that of 2000
_TO_UNIX = {"rp2": 0, "esp32": 946684800}
family = "rp2"
date_offset = 0  # what RTC.datetime() has moved the date by, seconds


def ticks_us():
    port = _town.port
    port.spend(10)
    return (port.now - port.start) & 0x3FFFFFFF


def ticks_ms():
    port = _town.port
    port.spend(10)
    return (port.now - port.start) // 1000 & 0x3FFFFFFF


ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    if not -_HALF < delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) & 0x3FFFFFFF


def ticks_diff(end, start):
    return ((end - start + _HALF) & 0x3FFFFFFF) - _HALF


def sleep_us(us):
    if us > 0:
        _town.port.sleep(us)


def sleep_ms(ms):
    if ms > 0:
        _town.port.sleep(ms * 1000)


def sleep(s):
    if s > 0:
        _town.port.sleep(int(s * 1000000))


def time():
    port = _town.port
    port.spend(10)
    return _BOOT_DATE[family] + date_offset + (port.now - port.start) // 1000000


def time_ns():
    port = _town.port
    port.spend(10)
    return (_BOOT_DATE[family] + date_offset) * 1000000000 + (port.now - port.start) * 1000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else seconds) + _TO_UNIX[family])[:8]


localtime = gmtime


def mktime(date):
    return utime.mktime(tuple(date) + (0,) * (9 - len(date))) - _TO_UNIX[family]
