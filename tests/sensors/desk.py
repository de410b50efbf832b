"""A desk for sensors in MicroPython: chip models on fake buses, and a clock that jumps instead of waiting.

Import this before any driver: it puts its own `asyncio`, `time` and `onewire` into sys.modules.
"""

import sys


class Clock:
    now_us = 1_000_000


clock = Clock()


class Rng:
    """random.Random as far as chip models need it, seeded: the generator of Park and Miller."""

    def __init__(self, seed):
        self._state = (seed * 2654435761 + 1) % 2147483647 or 1
        for _ in range(8):
            self.random()

    def random(self):
        self._state = self._state * 48271 % 2147483647
        return self._state / 2147483647.0

    def gauss(self, mu=0.0, sigma=1.0):
        total = -6.0
        for _ in range(12):
            total += self.random()
        return mu + sigma * total


class _Sleep:
    def __init__(self, ms):
        self.ms = ms

    def __iter__(self):
        yield self.ms


class _Asyncio:
    @staticmethod
    def sleep_ms(ms):
        return _Sleep(ms)

    @staticmethod
    def sleep(s):
        return _Sleep(int(s * 1000))


class _Time:
    @staticmethod
    def ticks_ms():
        return clock.now_us // 1000

    @staticmethod
    def ticks_us():
        return clock.now_us

    @staticmethod
    def ticks_diff(a, b):
        return a - b

    @staticmethod
    def ticks_add(a, b):
        return a + b


class _OneWire:
    class OneWire:
        """The pin is the chip model itself."""

        def __init__(self, chip):
            self.reset = chip.reset
            self.readbyte = chip.read_byte
            self.writebyte = chip.write_byte


sys.modules["asyncio"] = _Asyncio
sys.modules["time"] = _Time
sys.modules["onewire"] = _OneWire


def run(coroutine):
    """Run to the end; sleeping moves the clock. Return what the coroutine returns."""
    try:
        while True:
            ms = coroutine.send(None)  # moves the clock itself, where a bus takes time
            clock.now_us += ms * 1000
    except StopIteration as end:
        return end.value


class Uart:
    """machine.UART on a chip model or a tape; what does not fit into 256 bytes is lost."""

    def __init__(self, chip):
        self._chip = chip
        self._buffer = bytearray()

    def any(self):
        clock.now_us += 10
        self._buffer.extend(self._chip.take()[: 256 - len(self._buffer)])
        return len(self._buffer)

    def read(self, n=256):
        self.any()
        data = bytes(self._buffer[:n])
        self._buffer = self._buffer[n:]
        return data or None

    def readinto(self, into, n=256):
        data = self.read(min(n, len(into)))
        if data:
            into[: len(data)] = data
            return len(data)
        return None

    def write(self, data):
        self._chip.write(bytes(data))
        return len(data)


class I2c:
    """machine.I2C with one chip model on it."""

    def __init__(self, chip):
        self._chip = chip

    def _select(self, address):
        clock.now_us += 300
        if address != self._chip.address:
            raise OSError(5)

    def writeto_mem(self, address, register, data):
        self._select(address)
        self._chip.write(bytes((register,)) + bytes(data))

    def readfrom_mem(self, address, register, n):
        self._select(address)
        self._chip.write(bytes((register,)))
        return self._chip.read(n)

    def readfrom_mem_into(self, address, register, into):
        into[:] = self.readfrom_mem(address, register, len(into))


class Buses:
    """What drivers open their buses with; every sensor of the board hangs on the one object that is given."""

    def __init__(self, bus):
        self._bus = bus

    def uart(self, spec, baud):
        return self._bus

    def i2c(self, spec, freq_hz=100_000):
        return self._bus

    def pin(self, spec):
        return self._bus

    def power(self, spec):
        return None


def fault(coroutine):
    """The name of the DeviceError that a coroutine ends with, None when it ends well."""
    from firmware.wire.errors import DeviceError

    try:
        run(coroutine)
    except DeviceError as error:
        return error.name
    return None
