"""The buses of a simulated board, whose other ends are chip models in the twin's process."""

import struct

import _town

selects = {}  # pin -> chip select of an SPI chip; set by boot.py


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
        for select in selects.values():
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
