"""`machine` of a simulated board: pins, buses and timers whose other end is a chip model in the twin's process."""

import struct
import _town
import time

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_boot = {"uid": b"\0" * 8, "cause": PWRON_RESET, "freq": 125_000_000}  # set by boot.py
_INPUT, _OUTPUT = 0, 1
_selects = {}  # pin -> chip select of an SPI chip; set by boot.py


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


class Select:
    """Chip select of an SPI chip. What happens while it is low is one transaction of the chip, and one request."""

    held = None  # the one that is low and has not yet done anything

    def __init__(self, pin):
        self.pin = pin
        self.low = False
        self.used = False

    def level(self, level):
        _town.port.spend(1)
        if not level:
            self.low = True
            self.used = False
            Select.held = self
        elif self.low:
            self.low = False
            if Select.held is self:
                self.wake()

    def wake(self):
        """The falling edge alone wakes a sleeping chip."""
        Select.held = None
        _town.port.call(_town.SPI, self.pin)


class SPI:
    MSB = 0
    LSB = 1

    def __init__(self, id=0, baudrate=1_000_000, *, polarity=0, phase=0, bits=8, firstbit=0, sck=None, mosi=None, miso=None):
        if polarity or phase or bits != 8 or firstbit:
            raise NotImplementedError("the twin has SPI mode 0, 8 bits, high bit first")
        self.baudrate = baudrate

    def init(self, **settings):
        self.baudrate = settings.get("baudrate", self.baudrate)

    def deinit(self):
        pass

    def write_readinto(self, write_buf, read_buf):
        n = len(write_buf)
        if len(read_buf) != n:
            raise ValueError("buffers must be the same length")
        port = _town.port
        for select in _selects.values():
            if select.low:
                break
        else:
            port.spend(n * 8_000_000 // self.baudrate + 2)
            for i in range(n):
                read_buf[i] = 0xFF
            return
        if select.used:
            raise NotImplementedError("the twin takes one SPI transfer each time chip select is low")
        select.used = True
        Select.held = None
        port.spend(n * 8_000_000 // self.baudrate + 2)
        port.send(_town.SPI, select.pin, write_buf, n)
        read_buf[:] = port.reply(n)

    def write(self, buf):
        self.write_readinto(buf, bytearray(len(buf)))

    def readinto(self, buf, write=0):
        self.write_readinto(bytes((write,)) * len(buf), buf)

    def read(self, n, write=0):
        buf = bytearray(n)
        self.readinto(buf, write)
        return bytes(buf)


SoftSPI = SPI


class I2C:
    """An I2C bus, by its number. A device that does not answer raises OSError(5)."""

    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        self.id = id
        self.freq = freq

    def _transfer(self, addr, out, n):
        port = _town.port
        port.spend((len(out) + n + 2) * 9_000_000 // self.freq + 10)
        payload = struct.pack("<BH", addr, n) + out
        port.send(_town.I2C, self.id, payload, n)
        return port.reply(n)

    def scan(self):
        found = []
        for addr in range(8, 0x78):
            try:
                self._transfer(addr, b"", 0)
                found.append(addr)
            except OSError:
                pass
        return found

    def writeto(self, addr, buf, stop=True):
        self._transfer(addr, bytes(buf), 0)
        return len(buf)

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join(bytes(part) for part in vector), stop)

    def readfrom(self, addr, nbytes, stop=True):
        return bytes(self._transfer(addr, b"", nbytes))

    def readfrom_into(self, addr, buf, stop=True):
        buf[:] = self._transfer(addr, b"", len(buf))

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big") + bytes(buf), 0)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        return bytes(self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), nbytes))

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        buf[:] = self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), len(buf))


SoftI2C = I2C


class UART:
    """A UART, by its number, 8N1. Bytes beyond `rxbuf` are lost, as on a board."""

    def __init__(self, id, baudrate=9600, **settings):
        self.id = id
        self.wakes = 1 << id
        self.init(baudrate, **settings)

    def init(self, baudrate=9600, *, timeout=0, rxbuf=256, **pins):
        self.baudrate = baudrate
        self.timeout = timeout
        _town.port.send(_town.UART_SET, self.id, struct.pack("<IH", baudrate, rxbuf))

    def deinit(self):
        pass

    def any(self):
        _town.port.spend(_town.READ_US)
        return _town.port.call(_town.UART_ANY, self.id)

    def _take(self, n):
        """Up to n bytes, waiting `timeout` ms for the first; a view that lasts until the next request."""
        port = _town.port
        until = port.now + self.timeout * 1000
        while True:
            port.spend(_town.READ_US)
            n = min(n, 1000)
            got = port.send(_town.UART_READ, self.id, struct.pack("<H", n), n)
            if got or port.now >= until:
                return port.reply(got)
            port.wait(until, self.wakes)

    def read(self, n=1000):
        return bytes(self._take(n)) or None

    def readinto(self, buf, n=None):
        got = self._take(len(buf) if n is None else min(n, len(buf)))
        buf[: len(got)] = got
        return len(got) or None

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            more = self.read(1)
            if not more:
                break
            line += more
        return line or None

    def write(self, buf):
        port = _town.port
        port.spend(10)
        port.send(_town.UART_WRITE, self.id, buf)
        return len(buf)

    def flush(self):
        pass

    def ioctl(self, request, arg):
        if request == 3:  # poll
            return (arg & 4) | (1 if arg & 1 and self.any() else 0)
        return 0


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
        with open("/.retained", "wb") as file:
            file.write(_boot["memory"])


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
