"""`machine` of a simulated board: pins, buses and timers whose other end is a chip model in the twin's process."""

import struct

import _town
import time
from _buses import I2C, SPI, UART, Select, SoftI2C, SoftSPI  # noqa: F401 - the board's names for them
from _buses import selects as _selects

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_boot = {"uid": b"\0" * 8, "cause": PWRON_RESET, "freq": 125_000_000}  # set by boot.py


class Pin:
    """A pin. Reading costs 10 us; interrupts arrive when the board asks the clock or the twin for anything."""

    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_FALLING = 4
    IRQ_RISING = 8

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self.id = id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if mode in (Pin.OUT, Pin.OPEN_DRAIN):
            _town.port.send(_town.PIN_MODE, self.id, bytes((mode, 1 if value is None or value else 0)))
        elif mode == Pin.IN:
            _town.port.send(_town.PIN_MODE, self.id, bytes((mode, 0)))
        if value is not None:
            self.value(value)

    def value(self, level=None):
        port = _town.port
        if level is None:
            port.spend(_town.READ_US)
            if Select.held is not None:
                Select.held.wake()
            return port.call(_town.PIN_GET, self.id)
        select = _selects.get(self.id)
        if select is not None:
            select.level(1 if level else 0)
        else:
            port.spend(1)
            port.send(_town.PIN_SET, self.id, b"\1" if level else b"\0")

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    high = on
    low = off

    def toggle(self):
        self.value(not self.value())

    def irq(self, handler=None, trigger=12, *, hard=False):
        if handler is None:
            _town.port.handlers.pop(self.id, None)
            trigger = 0
        else:
            _town.port.handlers[self.id] = lambda: handler(self)
        _town.port.send(_town.PIN_IRQ, self.id, bytes((trigger,)))


class ADC:
    CORE_TEMP = 4
    ATTN_11DB = 3

    def __init__(self, pin, **settings):
        self.pin = pin.id if isinstance(pin, Pin) else pin

    def read_u16(self):
        _town.port.spend(_town.READ_US)
        return _town.port.call(_town.ADC, self.pin)

    def read_uv(self):
        return self.read_u16() * 3_300_000 // 65535

    def atten(self, level):
        pass


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, **settings):
        self._token = None
        if settings:
            self.init(**settings)

    def init(self, *, mode=1, freq=-1, period=-1, tick_hz=1000, callback=None):
        self.deinit()
        self._us = int(1_000_000 / freq) if freq > 0 else period * 1_000_000 // tick_hz
        self._again = mode == Timer.PERIODIC
        self._callback = callback
        self._token = _town.port.alarm(_town.port.now + self._us, self._fire)

    def _fire(self):
        if self._again:
            self._token = _town.port.alarm(self._token[0] + self._us, self._fire)
        self._callback(self)

    def deinit(self):
        if self._token:
            _town.port.disarm(self._token)
        self._token = None


class WDT:
    def __init__(self, id=0, timeout=5000):
        self._us = timeout * 1000
        self.feed()

    def feed(self):
        _town.port.send(_town.WATCHDOG, 0, struct.pack("<q", self._us))


class RTC:
    """The date, which starts at the family's epoch, and ESP32's retained memory, which the twin keeps over a reset."""

    def datetime(self, date=None):
        if date is None:
            y, mo, d, h, mi, s, wd, _ = time.gmtime()
            return (y, mo, d, wd, h, mi, s, 0)
        y, mo, d, _, h, mi, s, _ = date
        time.date_offset += time.mktime((y, mo, d, h, mi, s, 0, 0)) - time.time()

    def memory(self, data=None):
        if data is None:
            return _boot.get("memory", b"")
        _boot["memory"] = bytes(data)
        _town.port.send(_town.RETAIN, 0, _boot["memory"])


def unique_id():
    return _boot["uid"]


def reset_cause():
    return _boot["cause"]


def freq(hz=None):
    if hz is None:
        return _boot["freq"]
    _boot["freq"] = hz


def reset():
    _town.port.call(_town.RESET)


soft_reset = reset


def lightsleep(ms=None):
    if ms is None:
        while True:
            _town.port.wait(None)
    _town.port.sleep(ms * 1000)


def deepsleep(ms=None):
    _town.port.send(_town.SLEEP, 0, struct.pack("<q", -1 if ms is None else ms * 1000))


def idle():
    _town.port.spend(100)


def disable_irq():
    _town.port.held += 1
    return _town.port.held - 1


def enable_irq(state=0):
    _town.port.held = state
    _town.port.settle()


def time_pulse_us(pin, level, timeout_us=1_000_000):
    """How long `pin` stays at `level`, to 10 us; -2 when it did not get there, -1 when it did not leave."""
    start = _town.port.now
    while pin.value() != level:
        if _town.port.now - start > timeout_us:
            return -2
    start = _town.port.now
    while pin.value() == level:
        if _town.port.now - start > timeout_us:
            return -1
    return _town.port.now - start
