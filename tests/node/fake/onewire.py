"""A 1-wire line with one DS18B20 at 20.5 degrees."""

PAD = b"\x48\x01\x4b\x46\x7f\xff\x08\x10"


def _crc(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


class OneWire:
    def __init__(self, pin):
        self.at = 0

    def reset(self):
        self.at = 0
        return True

    def writebyte(self, byte):
        pass

    def readbyte(self):
        self.at += 1
        return (PAD + bytes((_crc(PAD),)))[(self.at - 1) % 9]
