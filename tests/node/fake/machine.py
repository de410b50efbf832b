"""A board without chips: what the node's tests need of `machine`. `state` is set by the test."""

import time

state = {"uid": b"\x0a\x0b\x0c\x0d", "adc": 40000, "cause": 1, "memory": b""}
PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class Restart(BaseException):
    """The board restarts: `args` are its cause, and the milliseconds that it sleeps before."""


def reset():
    raise Restart(HARD_RESET)


def deepsleep(ms):
    raise Restart(DEEPSLEEP_RESET, ms)


def lightsleep(ms):
    time.sleep_ms(ms)


def reset_cause():
    return state["cause"]


def unique_id():
    return state["uid"]


class Pin:
    """Pins remember their level; `raise_irq(id)` of this module is an edge from outside."""

    IN, OUT, OPEN_DRAIN, PULL_UP, IRQ_RISING = 0, 1, 2, 1, 8
    levels = {}  # noqa: RUF012 - MicroPython has no typing
    handlers = {}  # noqa: RUF012

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = id

    def __call__(self, level=None):
        if level is None:
            return Pin.levels.get(self.id, 0)
        Pin.levels[self.id] = level
        return None

    value = init = __call__

    def irq(self, handler=None, trigger=0):
        Pin.handlers[self.id] = (handler, self)


class ADC:
    def __init__(self, pin):
        self.pin = pin

    def read_u16(self):
        if state["adc"] is None:
            raise OSError(5)
        return state["adc"]


class I2C:
    """A bus on which nothing answers."""

    def __init__(self, id, **settings):
        pass

    def _silent(self, *args, **settings):
        raise OSError(5)

    writeto = readfrom = readfrom_into = writeto_mem = readfrom_mem = readfrom_mem_into = _silent


class UART:
    """A distance sensor's line: 1000 mm, always at hand. Silent while state["uart"] is False."""

    FRAME = b"\xff\x03\xe8\xea"

    def __init__(self, id, **settings):
        self.at = 0

    def any(self):
        self.at += 1
        return 4 if state.get("uart") and self.at % 2 else 0

    def readinto(self, buf):
        buf[:4] = self.FRAME
        return 4

    def read(self, n=4):
        return self.FRAME

    def write(self, data):
        return len(data)

    def ioctl(self, request, arg):
        return 0


class SPI:
    """An SX126x that is always ready, has registers, and says at once that a frame was sent."""

    DIO1 = 20

    def __init__(self, id, **settings):
        self.registers = {0x0320 + i: c for i, c in enumerate(b"SX1261 V2D 2D02\0")}
        self.irq = 0

    def write_readinto(self, out, into):
        op, n = out[0], len(out)
        address = out[1] << 8 | out[2] if n > 2 else 0
        if op == 0x0D:
            for i in range(3, n):
                self.registers[address + i - 3] = out[i]
        elif op == 0x02:
            self.irq &= ~(out[1] << 8 | out[2])
            Pin.levels[self.DIO1] = 1 if self.irq else 0
        for i in range(n):
            into[i] = 0x22
        if op == 0x1D:
            for i in range(4, n):
                into[i] = self.registers.get(address + i - 4, 0)
        elif op == 0x12:
            into[2], into[3] = self.irq >> 8, self.irq & 255
        elif op == 0x17:
            into[2] = into[3] = 0
        elif op == 0x83 or (op == 0x82 and out[1:4] != b"\xff\xff\xff"):
            self.irq = 0x0001 if op == 0x83 else 0x0200
            Pin.levels[self.DIO1] = 1
            handler, pin = Pin.handlers[self.DIO1]
            handler(pin)


class RTC:
    def memory(self, data=None):
        if data is None:
            return state["memory"]
        state["memory"] = bytes(data)


class WDT:
    """Bites when it is fed too late, by the clock of `time`; a program that never feeds it again is not noticed."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.fed_ms = time.ticks_ms()

    def feed(self):
        now = time.ticks_ms()
        if time.ticks_diff(now, self.fed_ms) > self.timeout:
            raise Restart(WDT_RESET)
        self.fed_ms = now
