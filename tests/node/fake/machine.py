"""A board without chips: what the node's tests need of `machine`. `state` is set by the test."""

state = {"uid": b"\x0a\x0b\x0c\x0d", "adc": 40000}


def unique_id():
    return state["uid"]


class Pin:
    IN, OUT, OPEN_DRAIN, PULL_UP, IRQ_RISING = 0, 1, 2, 1, 8

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = id

    def __call__(self, level=None):
        return 0

    def irq(self, handler=None, trigger=0):
        pass

    init = value = __call__


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
    """A line on which nothing comes."""

    def __init__(self, id, **settings):
        pass

    def any(self):
        return 0

    def read(self, n=0):
        return None

    def readinto(self, buf):
        return None

    def write(self, data):
        return len(data)

    def ioctl(self, request, arg):
        return 0


class SPI:
    """A bus whose chips say 0xFF."""

    def __init__(self, id, **settings):
        pass

    def write_readinto(self, out, into):
        for i in range(len(into)):
            into[i] = 0xFF

    def write(self, data):
        pass


class WDT:
    def __init__(self, timeout):
        self.timeout = timeout

    def feed(self):
        pass
