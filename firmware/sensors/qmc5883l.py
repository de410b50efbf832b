"""QMC5883L, an AMR magnetometer on I2C. It has no single measurement: it is woken, read and put to standby again."""

import asyncio

from firmware.wire.errors import DeviceError

ADDRESS = 0x0D
DATA = 0x00
STATUS = 6  # its place in a block read from DATA on
CONTROL1 = 0x09
CONTROL2 = 0x0A
SET_RESET = 0x0B
CHIP_ID = 0x0D
IDENTITY = 0xFF
DRDY = 1
OVL = 2
CONTINUOUS = 0x1D  # oversampling 512, +-8 G, 200 Hz
STANDBY = 0x00
SOFT_RESET = 0x80
SAMPLES = 4  # of 200 nT of noise each


class QMC5883L:
    """The sensor on a machine.I2C."""

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._ready = False
        self._raw = bytearray(7)

    async def read(self):
        """Return the field (x, y, z) in nT, the mean of SAMPLES; takes about 35 ms. DeviceError: sensor_bus (no answer),
        sensor_id (another part answers), sensor_silent (no measurement comes), sensor_range (an axis overflows at 8 G)."""
        try:
            if not self._ready:
                await self._begin()
            self._ready = False  # until these measurements have come
            self._write(CONTROL1, CONTINUOUS)
            field = await self._mean()
            self._write(CONTROL1, STANDBY)
        except OSError:
            raise DeviceError("sensor_bus")
        self._ready = True
        return field

    async def _mean(self):
        x = y = z = n = 0
        for _ in range(2 * SAMPLES):
            await asyncio.sleep_ms(8)
            self._i2c.readfrom_mem_into(self._address, DATA, self._raw)
            if self._raw[STATUS] & DRDY:
                field = decode(self._raw)
                x += field[0]
                y += field[1]
                z += field[2]
                n += 1
                if n == SAMPLES:
                    return x // n, y // n, z // n
        raise DeviceError("sensor_silent")

    async def _begin(self):
        """Make sure of the part (the HMC5883L of the same modules has another address), reset it, and set the period
        of its set/reset pulses, without which its offset wanders."""
        if self._i2c.readfrom_mem(self._address, CHIP_ID, 1)[0] != IDENTITY:
            raise DeviceError("sensor_id")
        self._write(CONTROL2, SOFT_RESET)
        await asyncio.sleep_ms(2)
        self._write(SET_RESET, 0x01)

    def _write(self, register, value):
        self._i2c.writeto_mem(self._address, register, bytes((value,)))


def decode(raw):
    """Return (x, y, z) in nT of the 7 bytes from DATA on: three 16-bit integers, low byte first, 3000 counts per gauss,
    then the status. DeviceError("sensor_range") when it says overflow."""
    if raw[STATUS] & OVL:
        raise DeviceError("sensor_range")
    return _axis(raw, 0), _axis(raw, 2), _axis(raw, 4)


def _axis(raw, at):
    counts = raw[at] | raw[at + 1] << 8
    if counts & 0x8000:
        counts -= 0x10000
    return counts * 100 // 3


def make(spec, buses):
    return QMC5883L(buses.i2c(spec), spec.get("address", ADDRESS))
