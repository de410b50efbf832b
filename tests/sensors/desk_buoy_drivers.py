"""Runs in MicroPython: the buoy's drivers on chip models, sound and faulty. Each check is called by test_buoy_drivers.py."""

import gc

import desk

from firmware.sensors.lsm6dso import LSM6DSO
from firmware.sensors.nmea import NMEA, Parser
from tools.twin.chips import gps, lsm6dso

HOME = (48.65702, -2.7856)
SECOND_US = 1_000_000


class Sink:
    """Keeps the samples since the last reset."""

    def __init__(self):
        self.samples = []
        self.resets = 0

    def reset(self):
        self.resets += 1
        self.samples = []

    def add(self, x, y, z):
        self.samples.append((x, y, z))


class Quiet:
    """Counts the samples."""

    n = 0

    def reset(self):
        self.n = 0

    def add(self, x, y, z):
        self.n += 1


def motion(seed=1, **nature):
    nature.setdefault("noise_ug", 0.0)
    nature.setdefault("bias_g", (0.0, 0.0, 0.0))
    chip = lsm6dso.LSM6DSO(desk.clock, lambda t: (0.1, -0.2, t % 4_000_000_000 / 4e9), desk.Rng(seed), **nature)
    return chip, LSM6DSO(desk.I2c(chip))


def drain_every(driver, sink, seconds, step_s=20):
    for _ in range(0, seconds, step_s):
        desk.clock.now_us += step_s * SECOND_US
        desk.run(driver.drain(sink))


def check_every_sample_arrives_once():
    """No sample is lost between drains, and each is what was there: z tells the time."""
    _, driver = motion(rate_error=0.0)
    sink = Sink()
    assert desk.run(driver.drain(sink)) == 0
    drain_every(driver, sink, 600)
    n = len(sink.samples)
    assert 600 * 13.02 - 4 < n <= 601 * 13.03, n
    assert sink.resets == 1
    last = sink.samples[0][2]
    for x, y, z in sink.samples:
        assert (x, y) == (820, -1639), (x, y)
        assert 0 <= z - last <= 1, "a sample was lost or came twice"
        last = z


def check_rate_is_measured():
    for error in (-0.04, -0.011, 0.0, 0.037):
        chip, driver = motion(rate_error=error)
        sink = Quiet()
        desk.run(driver.drain(sink))
        assert driver.rate_mhz == 13021
        drain_every(driver, sink, 400)
        assert abs(driver.rate_mhz / 1000 / chip.rate_hz() - 1) < 0.001, (error, driver.rate_mhz)


def check_two_drains_in_a_row():
    """Nothing in the FIFO a moment after it was emptied is no fault."""
    _, driver = motion()
    sink = Sink()
    desk.run(driver.drain(sink))
    drain_every(driver, sink, 20)
    assert desk.run(driver.drain(sink)) <= 1
    assert desk.run(driver.drain(sink)) <= 1


def check_overrun_says_so():
    """Away for a minute: the FIFO held 38 s. The sink hears of it before the samples, which follow one another."""
    chip, driver = motion(rate_error=0.0)
    sink = Sink()
    desk.run(driver.drain(sink))
    drain_every(driver, sink, 40)
    drain_every(driver, sink, 60, 60)
    assert sink.resets == 2
    assert 500 <= len(sink.samples) <= 513, len(sink.samples)
    drain_every(driver, sink, 200)
    assert sink.resets == 2
    assert abs(driver.rate_mhz / 1000 / chip.rate_hz() - 1) < 0.005


def check_handing_on_allocates_nothing():
    _, driver = motion()
    quiet = Quiet()
    driver._raw[:] = bytes((0x11, 0xFF, 0x7F, 0, 0x80, 5, 0)) * 12
    driver._deliver(12, quiet.add)
    gc.collect()
    before = gc.mem_alloc()
    driver._deliver(12, quiet.add)
    used = gc.mem_alloc() - before
    assert quiet.n == 24
    assert used <= 64, used  # a range object and a bound method


def check_read_one():
    _, driver = motion()
    assert desk.run(driver.read())[:2] == (820, -1639)


def check_motion_bus():
    """It comes and goes: each time it is back it is set up anew."""
    chip, driver = motion()
    sink = Sink()
    desk.run(driver.drain(sink))
    for _ in range(3):
        chip.dead = True
        assert desk.fault(driver.drain(sink)) == "sensor_bus"
        chip.dead = False
        chip.power_on()
        desk.run(driver.drain(sink))
        drain_every(driver, sink, 40)
        assert len(sink.samples) > 500


def check_motion_identity():
    chip, driver = motion()
    chip.registers[lsm6dso.WHO_AM_I] = 0x6A
    assert desk.fault(driver.drain(Sink())) == "sensor_id"


def check_motion_silent():
    """A sensor that lost its settings, as after a dip of its supply, sends nothing; then it is set up anew."""
    chip, driver = motion()
    sink = Sink()
    desk.run(driver.drain(sink))
    drain_every(driver, sink, 40)
    chip.power_on()
    desk.clock.now_us += 20 * SECOND_US
    assert desk.fault(driver.drain(sink)) == "sensor_silent"
    desk.run(driver.drain(sink))
    drain_every(driver, sink, 20)
    assert 250 < len(sink.samples) < 275, len(sink.samples)


class Power:
    def __init__(self, chip):
        self.chip = chip

    def value(self, level):
        self.chip.set_pin("power", level)


def receiver(seed=1, at=HOME, switched=True, **nature):
    chip = gps.GPS(desk.clock, lambda t: at, desk.Rng(seed), **nature)
    if not switched:
        chip.powered = True
    return chip, NMEA(desk.Uart(chip), Power(chip) if switched else None)


def near(position, at, metres):
    assert abs(position[0] - round(at[0] * 1e5)) * 1.11 < metres, (position, at)
    assert abs(position[1] - round(at[1] * 1e5)) * 1.11 < metres, (position, at)


def check_positions():
    """Within metres, all around the globe; on for seconds when it is warm, then off."""
    places = (HOME, (-33.8625, 151.20983), (0.00001, -0.00002), (59.9, -179.999), (-0.5, 179.5), (89.9, 10.0))
    for seed, at in enumerate(places):
        chip, driver = receiver(seed + 1, at)
        start_us = desk.clock.now_us
        near(desk.run(driver.read()), at, 8 if abs(at[0]) < 80 else 5000)
        assert not chip.powered
        assert 20 * SECOND_US < desk.clock.now_us - start_us < 60 * SECOND_US
        desk.clock.now_us += 900 * SECOND_US
        start_us = desk.clock.now_us
        desk.run(driver.read())
        assert desk.clock.now_us - start_us < 15 * SECOND_US


def check_always_on():
    """Without a switch: what waited in the buffer is old and does not count."""
    where = [HOME]
    chip = gps.GPS(desk.clock, lambda t: where[0], desk.Rng(3), powered=True)
    uart = desk.Uart(chip)
    driver = NMEA(uart)
    near(desk.run(driver.read()), HOME, 8)
    desk.clock.now_us += 900 * SECOND_US
    uart.any()
    where[0] = (48.7, -2.7)
    near(desk.run(driver.read()), where[0], 8)


def check_damage():
    """One sentence in ten has a wrong, a missing or a doubled byte: no wrong position comes of it."""
    for seed in range(1, 13):
        _, driver = receiver(seed, damage=0.1)
        near(desk.run(driver.read()), HOME, 8)


def check_first_positions_are_not_good():
    """HDOP falls in the first seconds; positions over the limit do not count."""
    chip, driver = receiver(5)
    start_us = desk.clock.now_us
    desk.run(driver.read())
    assert desk.clock.now_us - chip._fix_us > 4 * SECOND_US
    assert chip._fix_us > start_us


def check_no_sky():
    chip, driver = receiver()
    chip.blind = True
    start_us = desk.clock.now_us
    assert desk.fault(driver.read(30)) == "sensor_range"
    assert not chip.powered
    assert 29 * SECOND_US < desk.clock.now_us - start_us < 32 * SECOND_US


def check_no_receiver():
    chip, driver = receiver()
    chip.silent = True
    assert desk.fault(driver.read(5)) == "sensor_silent"


class Tape:
    """A UART on which the same bytes come again and again, one piece each 100 ms."""

    def __init__(self, piece):
        self.piece = piece
        self.next_us = desk.clock.now_us

    def take(self):
        if desk.clock.now_us < self.next_us:
            return b""
        self.next_us = desk.clock.now_us + 90_000
        return self.piece


def check_nothing_sound():
    """Rubbish, as from a wrong baud rate, or sentences that are all damaged."""
    assert desk.fault(NMEA(desk.Uart(Tape(b"\x00\xf8$G\x80" * 4))).read(2)) == "sensor_checksum"
    damaged = sentence(RMC).replace(b"4839", b"4838") + sentence(GGA).replace(b"4839", b"4838")
    assert desk.fault(NMEA(desk.Uart(Tape(damaged))).read(2)) == "sensor_checksum"


def sentence(body):
    total = 0
    for char in body.encode():
        total ^= char
    return f"${body}*{total:02X}\r\n".encode()


def said(parser, *bodies):
    out = None
    for body in bodies:
        for byte in sentence(body):
            good = parser.feed(byte)
            out = good if good is not None else out
    return out


RMC = "GPRMC,061210.00,A,4839.42120,N,00247.13600,W,0.021,,231126,,,A"
GGA = "GPGGA,061210.00,4839.42120,N,00247.13600,W,1,09,0.92,46.1,M,48.0,M,,"


def check_sentences():
    parser = Parser()
    assert said(parser, GGA) is False, "no RMC has said that it is valid"
    assert said(parser, RMC) is None
    assert said(parser, GGA) is True
    assert (parser.lat_e5, parser.lon_e5) == (4865702, -278560)
    assert said(parser, GGA.replace("GP", "GN").replace(",N,", ",S,").replace(",W,", ",E,")) is True
    assert (parser.lat_e5, parser.lon_e5) == (-4865702, 278560)
    for wrong in (
        GGA.replace(",1,09,", ",0,09,"), GGA.replace(",1,09,", ",6,09,"), GGA.replace(",1,09,", ",,09,"),
        GGA.replace("0.92", "2.51"), GGA.replace("0.92", ""), GGA.replace("4839.42120", ""),
        GGA.replace("4839.42120", "9939.42120"), GGA.replace("00247", "18147"), GGA.replace("4839", "48x9"),
        GGA.replace("4839.42120", "48.39.421"),
    ):  # fmt: skip
        assert said(parser, wrong) is False, wrong
    assert said(parser, GGA.replace("4839.42120", "4839.4212").replace("0.92", "2.5")) is True, "fewer digits"
    assert said(parser, GGA.replace("4839.42120", "4839.4212049")) is True, "more digits"
    assert (parser.lat_e5, parser.lon_e5) == (4865702, -278560)
    for other in ("GPGSV,2,1,08,02,05,000,30", "GPGLL,4839.42120,N,00247.13600,W,061210.00,A,A", "PUBX,00", "GPGGA,,,"):
        assert said(parser, other) is None, other
    assert said(parser, RMC.replace(",A,48", ",V,48"), GGA) is False
    assert parser.bad == 0


def check_rubbish():
    """Cut, joined and random bytes: no exception, no position, and the next good pair is read."""
    rng = desk.Rng(9)
    parser = Parser()
    good = sentence(RMC) + sentence(GGA)
    for _ in range(300):
        for _ in range(int(rng.random() * 120)):
            assert parser.feed(int(rng.random() * 256)) is not True
        cut = good[: int(rng.random() * (len(good) - 2))]
        for byte in cut:
            assert parser.feed(byte) is not True
        assert said(parser, RMC, GGA) is True
    assert parser.bad > 200
