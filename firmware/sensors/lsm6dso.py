"""LSM6DSO accelerometer on I2C. It samples by itself, 13 times a second at +-4 g, into a FIFO that lasts 38 s; the board
comes by every 20 s or so and empties it.

Its oscillator is a few percent off, so the driver counts samples against the board's clock, which has a crystal.
"""

import asyncio
import time

from firmware.wire.errors import DeviceError

ADDRESS = 0x6A
FIFO_CTRL3 = 0x09
FIFO_CTRL4 = 0x0A
WHO_AM_I = 0x0F
CTRL1_XL = 0x10
CTRL3_C = 0x12
FIFO_STATUS1 = 0x3A
FIFO_TAG = 0x78
IDENTITY = 0x6C
XL_12HZ5_4G = 0x18
BATCH_XL_12HZ5 = 0x01
FIFO_CONTINUOUS = 0x06
BDU_IF_INC = 0x44
SW_RESET = 0x01
LOST = 0x48  # FIFO_STATUS2: overrun now, overrun since it was last read
ACCELERATION = 2  # in the upper five bits of a word's tag
WORD = 7
CHUNK_WORDS = 12  # 84 bytes, under 2 ms at 400 kHz
RATE_MHZ = 13021  # 6667 Hz / 512, which the data sheet calls 12.5 Hz
SETTLING = 2  # samples after the start that are not yet true
SILENT_MS = 1000
FORGET_MS = 8 * 3600 * 1000


class Newest:
    """A sink that keeps one sample."""

    xyz = None

    def reset(self):
        self.xyz = None

    def add(self, x, y, z):
        self.xyz = (x, y, z)


class LSM6DSO:
    """The sensor on a machine.I2C. `rate_mhz` is the measured sampling rate in 1/1000 Hz."""

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._raw = bytearray(CHUNK_WORDS * WORD)
        self._view = memoryview(self._raw)
        self._status = bytearray(2)
        self._running = False
        self._skip = 0
        self._last_ms = time.ticks_ms()
        self._samples = 0
        self._elapsed_ms = 0

    @property
    def rate_mhz(self):
        if self._elapsed_ms < 20_000:
            return RATE_MHZ
        return self._samples * 1_000_000 // self._elapsed_ms

    async def drain(self, sink):
        """Empty the FIFO into sink.add(x, y, z), counts of 0.122 mg. Return how many samples there were.

        sink.reset() comes first when samples before these were lost. The first call, and the first after a fault, starts
        the sensor and brings none. DeviceError: sensor_bus (no answer), sensor_id (another part answers), sensor_silent
        (no samples come)."""
        try:
            if self._running:
                return await self._drain(sink)
            sink.reset()
            await self._begin()
            return 0
        except OSError:
            self._running = False
            raise DeviceError("sensor_bus")
        except DeviceError:
            self._running = False
            raise

    async def read(self):
        """Return the newest sample (x, y, z) in counts, for a look at the workbench: what came before it is lost."""
        newest = Newest()
        await self.drain(newest)
        await asyncio.sleep_ms(300)
        if not await self.drain(newest):
            raise DeviceError("sensor_silent")
        return newest.xyz

    async def _begin(self):
        if self._i2c.readfrom_mem(self._address, WHO_AM_I, 1)[0] != IDENTITY:
            raise DeviceError("sensor_id")
        self._write(CTRL3_C, SW_RESET)
        await asyncio.sleep_ms(1)
        self._write(CTRL3_C, BDU_IF_INC)
        self._write(FIFO_CTRL3, BATCH_XL_12HZ5)
        self._write(CTRL1_XL, XL_12HZ5_4G)
        self._write(FIFO_CTRL4, FIFO_CONTINUOUS)
        self._running = True
        self._skip = SETTLING
        self._samples = self._elapsed_ms = 0
        self._last_ms = time.ticks_ms()

    async def _drain(self, sink):
        self._i2c.readfrom_mem_into(self._address, FIFO_STATUS1, self._status)
        now_ms = time.ticks_ms()
        elapsed_ms = time.ticks_diff(now_ms, self._last_ms)
        waiting = n = self._status[0] | (self._status[1] & 3) << 8
        if n == 0 and elapsed_ms > SILENT_MS:
            raise DeviceError("sensor_silent")
        self._last_ms = now_ms
        if self._status[1] & LOST:
            sink.reset()
            self._samples = self._elapsed_ms = 0
        else:
            self._count(n, elapsed_ms)
        while waiting:
            words = min(waiting, CHUNK_WORDS)
            chunk = self._raw if words == CHUNK_WORDS else self._view[: words * WORD]  # a word read is a word gone
            self._i2c.readfrom_mem_into(self._address, FIFO_TAG, chunk)
            self._deliver(words, sink.add)
            waiting -= words
            await asyncio.sleep_ms(0)
        return n

    def _count(self, n, elapsed_ms):
        if self._elapsed_ms > FORGET_MS:
            self._samples >>= 1
            self._elapsed_ms >>= 1
        self._samples += n
        self._elapsed_ms += elapsed_ms

    def _deliver(self, words, add):
        """Hand on the samples of the first words of the chunk, without an allocation."""
        raw = self._raw
        for at in range(0, words * WORD, WORD):
            if raw[at] >> 3 != ACCELERATION:
                continue
            if self._skip:
                self._skip -= 1
                continue
            add(signed(raw, at + 1), signed(raw, at + 3), signed(raw, at + 5))

    def _write(self, register, value):
        self._i2c.writeto_mem(self._address, register, bytes((value,)))


def signed(raw, at):
    """The 16-bit integer at raw[at], low byte first; no allocation."""
    return ((raw[at] | raw[at + 1] << 8) ^ 0x8000) - 0x8000


def make(spec, buses):
    return LSM6DSO(buses.i2c(spec, 400_000), spec.get("address", ADDRESS))
