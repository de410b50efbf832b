"""DS18B20, a thermometer on 1-wire. The board's module `onewire` makes the time slots."""

import asyncio

from firmware.wire.errors import DeviceError

CONVERT_T = 0x44
READ_SCRATCHPAD = 0xBE
MATCH_ROM = 0x55
SKIP_ROM = 0xCC
CONVERSION_MS = 750
POWER_ON_RAW = 0x0550  # 85 Cel
POWER_ON_COUNT = 0x0C  # byte 6 of the scratchpad until the first conversion after power-on
TRIES = 3


def crc8(data):
    """Return the CRC-8 of Dallas (polynomial 8C reflected, start 0); over data and its CRC it is 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


def decode(pad):
    """Return the temperature in 0.01 Cel of a scratchpad of 9 bytes. DeviceError: sensor_bus (the line is stuck low),
    sensor_checksum, sensor_power_on (85 Cel without a conversion), sensor_range."""
    if not any(pad):
        raise DeviceError("sensor_bus")  # nine zeros have a valid CRC
    if crc8(pad):
        raise DeviceError("sensor_checksum")
    raw = pad[0] | pad[1] << 8
    if raw == POWER_ON_RAW and pad[6] == POWER_ON_COUNT:
        raise DeviceError("sensor_power_on")
    if raw >= 0x8000:
        raw -= 0x10000
    undefined = 3 - (pad[4] >> 5 & 3)  # low bits without meaning below 12 bits of resolution
    raw = raw >> undefined << undefined
    centi = (raw * 25 + 2) // 4
    if not -5500 <= centi <= 12500:
        raise DeviceError("sensor_range")
    return centi


class DS18B20:
    """The thermometer on a machine.Pin; alone on its line, or the one with the 8-byte `rom` (bytes)."""

    def __init__(self, pin, rom=None):
        from onewire import OneWire

        self._wire = OneWire(pin)
        self._rom = rom
        self._pad = bytearray(9)

    async def read(self):
        """Return the temperature in 0.01 Cel; takes 0.8 s. DeviceError: sensor_silent (nobody answers) and those of
        `decode`; damage on the line is read again twice."""
        self._command(CONVERT_T)
        await asyncio.sleep_ms(CONVERSION_MS)
        for left in range(TRIES - 1, -1, -1):
            self._command(READ_SCRATCHPAD)
            for i in range(9):
                self._pad[i] = self._wire.readbyte()
            try:
                return decode(self._pad)
            except DeviceError as error:
                if error.name != "sensor_checksum" or not left:
                    raise
            await asyncio.sleep_ms(2)

    def _command(self, command):
        wire = self._wire
        if not wire.reset():
            raise DeviceError("sensor_silent")
        if self._rom is None:
            wire.writebyte(SKIP_ROM)
        else:
            wire.writebyte(MATCH_ROM)
            for byte in self._rom:
                wire.writebyte(byte)
        wire.writebyte(command)


def make(spec, buses):
    rom = spec.get("rom")
    return DS18B20(buses.pin(spec), bytes.fromhex(rom) if rom else None)
