"""Runs in MicroPython: `desk_examples.py FILE SERVICE` makes the golden examples of a service come true."""

import json
import sys

import desk

from firmware import sensors as registry
from firmware.wire.errors import DeviceError


def plain(value):
    """Tuples as lists, keys of a reading as the text of JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def argument(value):
    return bytes.fromhex(value[4:]) if isinstance(value, str) and value.startswith("hex:") else value


def function(example):
    module, name = example["call"].rsplit(".", 1)
    call = getattr(__import__(module, None, None, (name,)), name)
    raised = None
    value = None
    try:
        value = plain(call(*[argument(arg) for arg in example["args"]]))
    except DeviceError as error:
        raised = error.name
    assert raised == example.get("raises"), (example, raised)
    assert value == example.get("returns"), (example, value)


class Tape:
    """A bus with the raw bytes of one step on it."""

    address = None

    def load(self, raw):
        self._uart = [bytes.fromhex(piece) for piece in raw.get("uart", ())]
        self._ready_us = None
        self._registers = {}
        for start, data in raw.get("registers", {}).items():
            for i, byte in enumerate(bytes.fromhex(data)):
                self._registers[int(start, 16) + i] = byte
        self._pad = bytes.fromhex(raw.get("scratchpad", ""))
        self._at = 0

    def take(self):
        """The next piece, 20 ms after it was first asked for: a driver throws away what waited."""
        if self._ready_us is None:
            self._ready_us = desk.clock.now_us + 20_000
        if not self._uart or desk.clock.now_us < self._ready_us:
            return b""
        self._ready_us = None
        return self._uart.pop(0)

    def writeto_mem(self, address, register, data):
        if not self._registers:
            raise OSError(5)

    def readfrom_mem(self, address, register, n):
        self.writeto_mem(address, register, b"")
        return bytes(self._registers.get(register + i, 0) for i in range(n))

    def readfrom_mem_into(self, address, register, into):
        into[:] = self.readfrom_mem(address, register, len(into))

    def reset(self):
        self._at = 0
        return bool(self._pad)

    def write_byte(self, byte):
        pass

    def read_byte(self):
        self._at += 1
        return self._pad[self._at - 1]


class Buses(desk.Buses):
    def uart(self, spec, baud):
        return desk.Uart(self._bus)


def reading(example, service_word):
    tapes = {name: Tape() for name in example["sensors"]}
    drivers = {}
    for name, spec in example["sensors"].items():
        tapes[name].load({})
        drivers[name] = registry.build(name, spec, Buses(tapes[name]))
    module = __import__("firmware.services." + service_word, None, None, ("Service",))
    service = module.Service(example["settings"], drivers)
    for step in example["steps"]:
        for name, tape in tapes.items():
            tape.load(step["raw"].get(name, {}))
        value = plain(desk.run(getattr(service, step["ask"])(step["at_s"])))
        assert value == step["reading"], (example["name"], step["at_s"], value, step["reading"])


with open(sys.argv[1]) as file:
    golden = json.load(file)
for example in golden.get("functions", ()):
    function(example)
for example in golden.get("readings", ()):
    reading(example, sys.argv[2])
print(len(golden.get("functions", ())), len(golden.get("readings", ())))
