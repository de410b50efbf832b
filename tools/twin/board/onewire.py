"""`onewire` of a board; the twin's chip at the other end answers byte by byte. Slots take the time of the data sheet."""

import _town

RESET_US = 960
SLOT_US = 70


class OneWireError(Exception):
    pass


class OneWire:
    SEARCH_ROM = 0xF0
    MATCH_ROM = 0x55
    SKIP_ROM = 0xCC

    def __init__(self, pin):
        self.pin = pin

    def reset(self, required=False):
        _town.port.spend(RESET_US)
        found = bool(_town.port.call(_town.WIRE_RESET, self.pin.id))
        if required and not found:
            raise OneWireError
        return found

    def readbit(self):
        _town.port.spend(SLOT_US)
        return _town.port.send(_town.WIRE_BIT, self.pin.id, b"\2")

    def writebit(self, bit):
        _town.port.spend(SLOT_US)
        _town.port.send(_town.WIRE_BIT, self.pin.id, b"\1" if bit else b"\0")

    def readbyte(self):
        _town.port.spend(8 * SLOT_US)
        return _town.port.call(_town.WIRE_READ, self.pin.id)

    def writebyte(self, byte):
        _town.port.spend(8 * SLOT_US)
        _town.port.send(_town.WIRE_WRITE, self.pin.id, bytes((byte,)))

    def readinto(self, buf):
        for i in range(len(buf)):
            buf[i] = self.readbyte()

    def write(self, buf):
        for byte in buf:
            self.writebyte(byte)

    def select_rom(self, rom):
        self.reset()
        self.writebyte(self.MATCH_ROM)
        self.write(rom)

    def crc8(self, data):
        crc = 0
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
        return crc
