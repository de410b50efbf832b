"""A board without chips: what the node's tests need of `machine`. `state` is set by the test."""

state = {"uid": b"\x0a\x0b\x0c\x0d", "adc": 40000, "pins": []}


def unique_id():
    return state["uid"]


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING = 0, 1, 2, 8

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = id


class ADC:
    def __init__(self, pin):
        self.pin = pin

    def read_u16(self):
        if state["adc"] is None:
            raise OSError(5)
        return state["adc"]


class I2C:
    def __init__(self, id, **settings):
        pass


class UART(I2C):
    pass


class SPI(I2C):
    pass


class WDT:
    def __init__(self, timeout):
        self.timeout = timeout

    def feed(self):
        pass
