"""Opens the buses that sensors hang on, each once: two sensors on one I2C bus share its object."""

from machine import I2C, UART, Pin


class Buses:
    """The buses of one board; `spec` is always a sensor's entry of the configuration, with its pins."""

    def __init__(self):
        self._open = {}

    def i2c(self, spec, freq_hz=100_000):
        """Return machine.I2C of spec["i2c"], "sda", "scl"."""
        key = ("i2c", spec["i2c"])
        if key not in self._open:
            self._open[key] = I2C(spec["i2c"], scl=Pin(spec["scl"]), sda=Pin(spec["sda"]), freq=freq_hz)
        return self._open[key]

    def uart(self, spec, baud):
        """Return machine.UART of spec["uart"], "tx", "rx", 8N1, which never waits in read."""
        key = ("uart", spec["uart"])
        if key not in self._open:
            self._open[key] = UART(spec["uart"], baudrate=baud, tx=Pin(spec["tx"]), rx=Pin(spec["rx"]), timeout=0)
        return self._open[key]

    def pin(self, spec):
        """Return machine.Pin of spec["pin"], as it is after a reset."""
        return Pin(spec["pin"])

    def power(self, spec):
        """Return the pin that switches the sensor's supply, off, or None where it is always on."""
        return Pin(spec["power"], Pin.OUT, value=0) if spec.get("power") is not None else None
