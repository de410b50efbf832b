"""Runs in MicroPython: drivers on chip models, sound and faulty. Each check is called by test_drivers.py."""

import desk

from firmware import sensors as registry
from firmware.sensors.a02yyuw import A02YYUW
from firmware.sensors.ds18b20 import DS18B20
from firmware.sensors.qmc5883l import QMC5883L
from firmware.sensors.rm3100 import RM3100
from firmware.wire.errors import DeviceError
from tools.twin.chips import a02yyuw, ds18b20, qmc5883l, rm3100

EARTH = (22.0, -5.0, 40.0)


def sound(mm=812.0, seed=1, **nature):
    chip = a02yyuw.A02YYUW(desk.clock, lambda t: mm, lambda t: 20.0, desk.Rng(seed), **nature)
    return chip, A02YYUW(desk.Uart(chip))


def warmth(celsius=21.4, seed=1, rom=False, **nature):
    chip = ds18b20.DS18B20(desk.clock, lambda t: celsius, desk.Rng(seed), **nature)
    return chip, DS18B20(chip, chip.rom if rom else None)


def field(word, ut=EARTH, seed=1):
    if word == "rm3100":
        chip = rm3100.RM3100(desk.clock, lambda t: ut, desk.Rng(seed))
        return chip, RM3100(desk.I2c(chip))
    chip = qmc5883l.QMC5883L(desk.clock, lambda t: ut, lambda t: 20.0, desk.Rng(seed))
    return chip, QMC5883L(desk.I2c(chip))


def check_values():
    for seed in range(1, 6):
        burst = desk.run(sound(seed=seed)[1].read_burst(9))
        assert len(burst) == 9, burst
        assert sum(abs(mm - 812) <= 12 for mm in burst) >= 5, burst
        for rom in (False, True):
            centi = desk.run(warmth(seed=seed, rom=rom)[1].read())
            assert abs(centi - 2140) <= 55, centi
        assert desk.run(warmth(-12.3, seed)[1].read()) < -1150
        for word, within in (("rm3100", 100), ("qmc5883l", 3500)):
            nt = desk.run(field(word, seed=seed)[1].read())
            assert max(abs(nt[axis] - EARTH[axis] * 1000) for axis in range(3)) < within, (word, nt)


def check_old_bytes_do_not_count():
    """A distance that has waited in the buffer for a quarter of an hour is none."""
    where = [2000.0]
    chip = a02yyuw.A02YYUW(desk.clock, lambda t: where[0], lambda t: 20.0, desk.Rng(3), outliers=0.0)
    uart = desk.Uart(chip)
    desk.clock.now_us += 900_000_000
    uart.any()
    where[0] = 500.0
    assert max(desk.run(A02YYUW(uart).read_burst(9))) < 520


def check_damage_is_survived():
    """One byte in twenty wrong or lost: the stream is found again each time."""
    _chip, driver = sound(damage=0.05, outliers=0.0, seed=4)
    for _ in range(20):
        burst = sorted(desk.run(driver.read_burst(9)))
        assert len(burst) >= 7, burst
        assert abs(burst[len(burst) // 2] - 812) <= 12, burst
    _, driver = warmth(damage=0.004)
    for _ in range(20):
        assert abs(desk.run(driver.read()) - 2140) <= 55


def check_power_switch():
    """The supply is on for a burst alone, and off again after a failure too."""

    class Pin:
        def __init__(self, chip):
            self.chip = chip

        def value(self, level):
            self.chip.set_pin("power", level)

    chip = a02yyuw.A02YYUW(desk.clock, lambda t: 700.0, lambda t: 20.0, desk.Rng(5), powered=False)
    driver = A02YYUW(desk.Uart(chip), Pin(chip))
    assert chip.next_us() is None
    assert len(desk.run(driver.read_burst(9))) == 9
    assert not chip.powered
    chip.silent = True
    assert desk.fault(driver.read_burst(9)) == "sensor_silent"
    assert not chip.powered


def check_silent():
    chip, driver = sound()
    chip.silent = True
    assert desk.fault(driver.read_burst(9)) == "sensor_silent"
    chip, driver = warmth()
    chip.present = False
    assert desk.fault(driver.read()) == "sensor_silent"
    for word in ("rm3100", "qmc5883l"):
        chip, driver = field(word)
        chip.stuck = True
        assert desk.fault(driver.read()) == "sensor_silent", word
        chip.stuck = False
        desk.run(driver.read())


def check_checksum():
    assert desk.fault(sound(damage=1.0)[1].read_burst(9)) == "sensor_checksum"
    assert desk.fault(warmth(damage=0.3)[1].read()) == "sensor_checksum"


def check_range():
    assert desk.fault(sound(mm=20.0)[1].read_burst(9)) == "sensor_range"
    assert desk.fault(sound(mm=4700.0, outliers=0.0)[1].read_burst(9)) == "sensor_range"
    assert desk.fault(field("rm3100", (0.0, 900.0, 0.0))[1].read()) == "sensor_range"
    assert desk.fault(field("qmc5883l", (0.0, 0.0, -1200.0))[1].read()) == "sensor_range"


def check_identity():
    chip, driver = field("rm3100")
    chip.registers[0x36] = 0x21
    assert desk.fault(driver.read()) == "sensor_id"
    chip, driver = field("qmc5883l")
    chip.identity = 0x48
    assert desk.fault(driver.read()) == "sensor_id"


def check_bus():
    """No answer, also in the middle of its life; the sensor is set up anew when it comes back from a power cut."""
    for word in ("rm3100", "qmc5883l"):
        chip, driver = field(word)
        desk.run(driver.read())
        chip.dead = True
        assert desk.fault(driver.read()) == "sensor_bus", word
        chip.dead = False
        chip.power_on()
        before = desk.run(driver.read())
        assert abs(before[2] - 40000) < 3500
        assert word == "rm3100" or chip.registers[0x0B] == 1
    chip, driver = warmth()
    chip.shorted = True
    assert desk.fault(driver.read()) == "sensor_bus"


def check_power_on():
    """85 Cel is the word of a thermometer that has not measured: here one that its line feeds too weakly."""
    assert desk.fault(warmth(parasite=True)[1].read()) == "sensor_power_on"
    assert abs(desk.run(warmth(85.0, bias_c=0.0, sigma_c=0.0)[1].read()) - 8500) == 0


def check_resolution():
    """At 9 bits the low bits mean nothing and do not count."""
    chip, driver = warmth(21.4, bias_c=0.0, sigma_c=0.0)
    chip.reset()
    for byte in (0xCC, 0x4E, 0x4B, 0x46, 0x1F):
        chip.write_byte(byte)
    assert desk.run(driver.read()) == 2100


def check_continuous_mode_is_ended():
    """An RM3100 that was left in continuous mode ignores POLL."""
    chip, driver = field("rm3100")
    chip.write(b"\x01\x71")
    desk.clock.now_us += 1_000_000
    assert abs(desk.run(driver.read())[0] - 22000) < 100
    assert chip.registers[0x01] == 0


def check_quiet_between():
    """A QMC5883L rests between two samples."""
    chip, driver = field("qmc5883l")
    desk.run(driver.read())
    assert chip.registers[0x09] & 3 == 0


def check_registry():
    chip, _ = field("rm3100")
    assert isinstance(registry.build("field", {"driver": "rm3100"}, desk.Buses(desk.I2c(chip))), RM3100)
    for spec in ({"driver": "rm3101"}, {"driver": "filters"}, {"driver": 7}, {}):
        assert refused(spec) == "config", spec


def refused(spec):
    try:
        registry.build("field", spec, None)
    except DeviceError as error:
        return error.name
    return None


def check_no_growth():
    """Three thousand samples leave the heap as it was."""
    import gc

    from firmware.services.bin import Service as Bin
    from firmware.services.parking import Service as Parking

    bin_ = Bin({"empty_mm": 1200, "full_mm": 200}, {"distance": sound()[1], "temperature": warmth()[1]})
    bays = [Parking({}, {"field": field(word)[1]}) for word in ("rm3100", "qmc5883l")]

    def work(n):
        for i in range(n):
            for bay in bays:
                desk.run(bay.poll(i * 10))
            if i % 20 == 0:
                desk.run(bin_.report(i * 10))
                desk.run(bays[0].report(i * 10))
        gc.collect()
        return gc.mem_alloc()

    before = work(40)
    assert work(3000) - before <= 512  # a collector that guesses keeps a few blocks; a leak would keep thousands
