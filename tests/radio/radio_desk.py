"""A driver and chip models on one desk, for CPython and MicroPython: virtual clock, pins, SPI, and an air without loss."""

import sys

try:
    import utime as time  # MicroPython's own cannot be written to
except ImportError:
    import time
else:
    if "virtual" not in sys.modules:

        class time:  # noqa: N801
            """Takes the place of the built-in module for whoever imports it later."""

        sys.modules["time"] = time

from firmware.radio.sx126x.modem import Modem
from tools.twin.chips.lora import Emission, Tuning
from tools.twin.chips.sx126x import SX126x


class Fault(Exception):  # noqa: N818
    """What a board gives a radio to raise; on a board it is DeviceError."""

    def __init__(self, name, detail=""):
        super().__init__(name, detail)
        self.name = name


def fault_of(action):
    """The name of the error that `action()` raises, None if it raises none."""
    try:
        action()
    except Fault as error:
        return error.name
    return None


class Clock:
    """Microseconds; what is due happens as soon as somebody lets the time pass."""

    def __init__(self):
        self.now_us = 0
        self._due = []
        self._order = 0

    def at(self, t_us, fn, *args):
        self._order += 1
        handle = Handle(max(t_us, self.now_us), self._order, fn, args)
        self._due.append(handle)
        self._due.sort(key=lambda h: (h.t_us, h.order))
        return handle

    def run(self, us):
        end_us = self.now_us + us
        while self._due and self._due[0].t_us <= end_us:
            handle = self._due.pop(0)
            self.now_us = max(self.now_us, handle.t_us)
            if handle.fn:
                handle.fn(*handle.args)
        self.now_us = max(self.now_us, end_us)


class Handle:
    def __init__(self, t_us, order, fn, args):
        self.t_us, self.order, self.fn, self.args = t_us, order, fn, args

    def cancel(self):
        self.fn = None


class Ticks:
    """The module `time` of a board whose looks at the clock cost 5 us; ticks wrap as on a board."""

    PERIOD = 1 << 30

    def __init__(self, clock, start_ms=0):
        self.clock = clock
        self.start_ms = start_ms

    def ticks_ms(self):
        self.clock.run(5)
        return (self.clock.now_us // 1000 + self.start_ms) % self.PERIOD

    def ticks_us(self):
        self.clock.run(5)
        return self.clock.now_us % self.PERIOD

    def ticks_diff(self, end, start):
        half = self.PERIOD // 2
        return (end - start + half) % self.PERIOD - half

    def sleep_us(self, us):
        self.clock.run(us)

    def sleep_ms(self, ms):
        self.clock.run(ms * 1000)


class Pin:
    IRQ_RISING = 1

    def __init__(self, clock, chip, name):
        self.clock, self.chip, self.name = clock, chip, name

    def __call__(self, level=None):
        self.clock.run(2)
        if level is None:
            return self.chip.get_pin(self.name)
        self.chip.set_pin(self.name, level)

    def irq(self, handler, trigger):
        assert self.name == "dio1"
        assert trigger == self.IRQ_RISING

        def edge(name, level):
            if level:
                handler(self)

        self.chip.on_edge = edge


class Spi:
    """A bus at 8 MHz with one chip; `log` keeps the opcodes of what was sent."""

    def __init__(self, clock, chip):
        self.clock, self.chip = clock, chip
        self.log = []

    def write_readinto(self, mosi, miso):
        self.clock.run(len(mosi) + 5)
        self.log.append(mosi[0])
        miso[:] = self.chip.spi(bytes(mosi))


class Random:
    """Enough of random.Random for a chip."""

    def __init__(self):
        self.state = 1

    def getrandbits(self, k):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return self.state >> (31 - k)


class Air:
    """Every chip hears every other one at `level_dbm` with `snr_db`; `sent` keeps the emissions."""

    def __init__(self, clock):
        self.clock = clock
        self.chips = []
        self.sent = []
        self.aborted = []
        self.level_dbm_of = -80.0
        self.snr_db = 9.0
        self.noise_dbm = -117.0
        self.active = None

    def transmit(self, chip, emission):
        self.sent.append(emission)
        self.active = emission
        for other in self.chips:
            if other is not chip:
                other.strong_signal(self.level_dbm_of)
                self.clock.at(emission.lock_us, self._lock, other, emission)
                self.clock.at(emission.header_us, other.on_header, emission, True)
                self.clock.at(emission.end_us, self._end, other, emission)

    def _lock(self, chip, emission):
        if chip.hears(emission):
            chip.on_preamble(emission)

    def _end(self, chip, emission):
        chip.on_packet(emission, emission.payload, self.level_dbm_of, self.snr_db, True)

    def abort(self, chip, emission):
        self.aborted.append(emission)

    def level_dbm(self, chip, freq_hz, bw_hz):
        return self.noise_dbm

    def carries(self, chip, tuning):
        return self.active is not None and self.clock.now_us < self.active.end_us and tuning.demodulates(self.active.tuning)

    def foreign(self, payload=b"foreign", *, sync=0x3444, inverted=False, sf=9, freq_hz=868100000, crc=True):
        """A frame from outside, as other people's transmitters make them."""
        tuning = Tuning(freq_hz, 125000, sf, inverted, sync)
        emission = Emission(tuning, cr=5, low_rate=sf > 10, preamble=8, explicit=True, crc=crc, payload=payload,
                            power_dbm=14.0, loss_db=0.0, start_us=self.clock.now_us)  # fmt: skip
        self.transmit(None, emission)
        return emission


class Desk:
    """`n` boards, each with a driver (`radios`) and its chip (`chips`), begun and configured alike."""

    def __init__(self, n=1, *, begin=True, start_ms=0, driver=Modem, radio=None, air=None, clock=None, **chip):
        self.clock = clock or Clock()
        self.air = air or Air(self.clock)
        if clock is None:
            self.ticks = Ticks(self.clock, start_ms)
            for name in ("ticks_ms", "ticks_us", "ticks_diff", "sleep_ms", "sleep_us"):
                setattr(time, name, getattr(self.ticks, name))
        self.chips, self.radios, self.buses = [], [], []
        for _ in range(n):
            self.add(driver, radio or {}, chip)
        self.radio, self.chip, self.bus = self.radios[0], self.chips[0], self.buses[0]
        if begin:
            for each in self.radios:
                each.begin()

    def add(self, driver, settings, chip_settings):
        chip = SX126x(self.clock, self.air, Random(), **chip_settings)
        chip.set_pin("reset", 0)
        chip.set_pin("reset", 1)
        bus = Spi(self.clock, chip)
        pins = [Pin(self.clock, chip, name) for name in ("busy", "reset", "dio1")]
        settings = {key: Pin(self.clock, chip, key) if key in ("rxen", "txen") else value for key, value in settings.items()}
        radio = driver(bus, lambda level: None, pins[0], pins[1], pins[2], fault=Fault, **settings)
        if hasattr(self.air, "chips"):
            self.air.chips.append(chip)
        self.chips.append(chip)
        self.radios.append(radio)
        self.buses.append(bus)

    def run_ms(self, ms):
        self.clock.run(ms * 1000)

    def finish(self, radio=None, limit_ms=60000):
        """Poll a transmission to its end; returns the airtime."""
        radio = radio or self.radio
        for _ in range(limit_ms):
            toa_us = radio.poll_send()
            if toa_us is not None:
                return toa_us
            self.run_ms(1)
        raise AssertionError("no end of transmission")

    def hear(self, radio, limit_ms=2000):
        """Poll a receiver until a packet or the end of its window."""
        for _ in range(limit_ms):
            packet = radio.poll_recv()
            if packet is not None or not radio.receiving:
                return packet
            self.run_ms(1)
        return None

    def settled(self):
        """Assert that the driver broke no rule of the bus."""
        for chip in self.chips:
            assert chip.violations == 0, "SPI while BUSY"
            assert chip.refused == [], chip.refused
