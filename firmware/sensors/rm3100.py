"""RM3100, a magneto-inductive magnetometer on I2C, used one measurement at a time (it sleeps in between by itself)."""

import asyncio

from firmware.wire.errors import DeviceError

ADDRESS = 0x20
POLL = 0x00
CMM = 0x01
CCX = 0x04
MX = 0x24
STATUS = 0x34
REVID = 0x36
REVISION = 0x22
POLL_XYZ = 0x70
DRDY = 0x80
CYCLES = 200  # 75 counts per uT, 15 nT of noise, three axes in 7 ms
RANGE_NT = 800_000


class RM3100:
    """The sensor on a machine.I2C."""

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._ready = False
        self._raw = bytearray(9)
        self._status = bytearray(1)

    async def read(self):
        """Return the field (x, y, z) in nT; takes about 10 ms. DeviceError: sensor_bus (no answer), sensor_id (another
        part answers), sensor_silent (no measurement comes), sensor_range."""
        try:
            if not self._ready:
                self._begin()
            self._ready = False  # until this measurement has come
            self._i2c.writeto_mem(self._address, POLL, bytes((POLL_XYZ,)))
            for _ in range(5):
                await asyncio.sleep_ms(8)
                self._i2c.readfrom_mem_into(self._address, STATUS, self._status)
                if self._status[0] & DRDY:
                    break
            else:
                raise DeviceError("sensor_silent")
            self._i2c.readfrom_mem_into(self._address, MX, self._raw)
        except OSError:
            raise DeviceError("sensor_bus")
        field = decode(self._raw)
        self._ready = True
        return field

    def _begin(self):
        """Make sure of the part, end a continuous mode that it may be in (POLL would be ignored), set the cycles."""
        i2c = self._i2c
        if i2c.readfrom_mem(self._address, REVID, 1)[0] != REVISION:
            raise DeviceError("sensor_id")
        i2c.writeto_mem(self._address, CMM, b"\x00")
        i2c.writeto_mem(self._address, CCX, bytes((0, CYCLES)) * 3)


def decode(raw):
    """Return (x, y, z) in nT of the 9 bytes from MX on: three 24-bit integers, high byte first, 75 counts per uT at 200
    cycles. DeviceError("sensor_range") beyond +-800 uT."""
    field = (_axis(raw, 0), _axis(raw, 3), _axis(raw, 6))
    if max(field) > RANGE_NT or min(field) < -RANGE_NT:
        raise DeviceError("sensor_range")
    return field


def _axis(raw, at):
    counts = raw[at] << 16 | raw[at + 1] << 8 | raw[at + 2]
    if counts & 0x800000:
        counts -= 0x1000000
    return counts * 40 // 3


def make(spec, buses):
    return RM3100(buses.i2c(spec), spec.get("address", ADDRESS))
