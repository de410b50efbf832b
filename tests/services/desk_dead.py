"""Runs in MicroPython: `desk_dead.py DRIVER` or `desk_dead.py SERVICE SETTINGS PART=DRIVER...`: buses that are dead, or
full of noise. A driver gives a value or a named error, a service a reading, and neither anything else."""

import json
import sys

import desk

from firmware import sensors as registry
from firmware.wire.host.errors import DEVICE_ERRORS
from firmware.wire.host.rows import BY_KEY, check
from firmware.wire.quantities import ERROR


class Noise:
    """UART at 9600 baud, I2C and 1-wire at once; rng None: dead."""

    def __init__(self, rng):
        self._rng = rng
        self._taken_us = desk.clock.now_us

    def _bytes(self, n):
        return bytes(int(self._rng.random() * 256) for _ in range(n))

    def take(self):
        n = min(256, (desk.clock.now_us - self._taken_us) // 1042)
        self._taken_us += n * 1042
        return self._bytes(n) if self._rng else b""

    def write(self, data):
        pass

    def writeto_mem(self, address, register, data):
        if not self._rng:
            raise OSError(5)

    def readfrom_mem(self, address, register, n):
        self.writeto_mem(address, register, b"")
        return self._bytes(n)

    def readfrom_mem_into(self, address, register, into):
        into[:] = self.readfrom_mem(address, register, len(into))

    def reset(self):
        return bool(self._rng)

    def write_byte(self, byte):
        pass

    def read_byte(self):
        return self._bytes(1)[0]


class Buses(desk.Buses):
    def uart(self, spec, baud):
        return desk.Uart(self._bus)


def driver(word, rng):
    return registry.build("part", {"driver": word, "address": 0x20}, Buses(Noise(rng)))


def check_driver(word):
    for seed in range(8):
        rng = desk.Rng(seed) if seed else None
        start_us = desk.clock.now_us
        name = desk.fault(driver(word, rng).read())
        assert rng or name, word + " reads a dead bus"
        assert name is None or name in DEVICE_ERRORS.values(), name
        assert desk.clock.now_us - start_us < 1_900_000_000, word + " does not end"


def check_service(word, settings, parts):
    module = __import__("firmware.services." + word, None, None, ("Service",))
    for seed in range(6):
        drivers = {part: driver(name, desk.Rng(seed) if seed else None) for part, name in parts.items()}
        service = module.Service(settings, drivers)
        for second in (0, 900, 1800):
            for ask in (service.poll, service.report):
                reading = desk.run(ask(second))
                if reading is None:
                    assert ask == service.poll
                    continue
                assert set(reading) <= set(service.KEYS) | {ERROR}, reading
                for key, value in reading.items():
                    check(BY_KEY[key], value)
                assert seed or ask == service.poll or reading[ERROR] in DEVICE_ERRORS, "a dead sensor gave " + str(reading)


if sys.argv[2:]:
    check_service(sys.argv[1], json.loads(sys.argv[2]), dict(arg.split("=") for arg in sys.argv[3:]))
else:
    check_driver(sys.argv[1])
