"""From an entry of boards.yaml to chips on pins. A new part of the twin is one function and one row of PARTS."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from gateway.errors import HostError
from gateway.inventory import Board, Radio, Sensor
from tools.twin.chips.a02yyuw import A02YYUW
from tools.twin.chips.ds18b20 import DS18B20
from tools.twin.chips.gps import GPS
from tools.twin.chips.lsm6dso import LSM6DSO
from tools.twin.chips.qmc5883l import QMC5883L
from tools.twin.chips.rm3100 import RM3100
from tools.twin.chips.sx126x.chip import SX126x
from tools.twin.clock import Clock
from tools.twin.ether import Ether
from tools.twin.nature import Surroundings
from tools.twin.ports import Circuit, UartPort

EPOCH_UNIX_S = 1_784_016_000  # 2026-07-14T08:00:00Z, when the town begins

_PIN_NAMES = ("busy", "dio1", "reset", "rxen", "txen")
_NEW_CELL_MV, _WARM_C = 3980.0, 20.0


class Solder:
    """What a part needs to be put on a board."""

    def __init__(self, clock: Clock, board: Board, around: Surroundings, circuit: Circuit, seed: int) -> None:
        self.clock = clock
        self.board = board
        self.around = around
        self.circuit = circuit
        self._seed = seed

    def rng(self, part: str) -> random.Random:
        """Chance of one part, its own whatever else is on the board."""
        return random.Random(f"{self._seed}/{self.board.name}/{part}")

    def missing(self, sensor: Sensor) -> HostError:
        """The fault of a sensor that this service does not go with."""
        what = f"the twin's world has nothing for {sensor.driver} to measure at a {self.board.service}"
        return HostError("bad_inventory", what, f"board {self.board.name}, sensor {sensor.name}")


def _a02yyuw(to: Solder, sensor: Sensor) -> None:
    if to.around.distance_mm is None:
        raise to.missing(sensor)
    switched = "power" in sensor.wiring
    chip = A02YYUW(to.clock, to.around.distance_mm, to.around.air_c, to.rng(sensor.name), powered=not switched)
    to.circuit.uarts[sensor.wiring["uart"]] = UartPort(chip)
    if switched:
        to.circuit.pins[sensor.wiring["power"]] = (chip, "power")


def _nmea(to: Solder, sensor: Sensor) -> None:
    if to.around.position_deg is None:
        raise to.missing(sensor)
    switched = "power" in sensor.wiring
    chip = GPS(to.clock, to.around.position_deg, to.rng(sensor.name), unix_s=EPOCH_UNIX_S, powered=not switched)
    to.circuit.uarts[sensor.wiring["uart"]] = UartPort(chip)
    if switched:
        to.circuit.pins[sensor.wiring["power"]] = (chip, "power")


def _ds18b20(to: Solder, sensor: Sensor) -> None:
    temperature_c = to.around.water_c or to.around.air_c
    rng = to.rng(sensor.name)
    chip = DS18B20(to.clock, temperature_c, rng, serial=rng.getrandbits(47))
    to.circuit.wires[sensor.wiring["pin"]] = chip


def _rm3100(to: Solder, sensor: Sensor) -> None:
    if to.around.field_ut is None:
        raise to.missing(sensor)
    address = sensor.wiring.get("address", 0x20)
    chip = RM3100(to.clock, to.around.field_ut, to.rng(sensor.name), address=address)
    to.circuit.i2c.setdefault(sensor.wiring["i2c"], {})[address] = chip


def _qmc5883l(to: Solder, sensor: Sensor) -> None:
    if to.around.field_ut is None:
        raise to.missing(sensor)
    chip = QMC5883L(to.clock, to.around.field_ut, to.around.air_c, to.rng(sensor.name))
    to.circuit.i2c.setdefault(sensor.wiring["i2c"], {})[chip.address] = chip


def _lsm6dso(to: Solder, sensor: Sensor) -> None:
    if to.around.acceleration_g is None:
        raise to.missing(sensor)
    address = sensor.wiring.get("address", 0x6A)
    chip = LSM6DSO(to.clock, to.around.acceleration_g, to.rng(sensor.name), address=address)
    to.circuit.i2c.setdefault(sensor.wiring["i2c"], {})[address] = chip


PARTS: dict[str, Callable[[Solder, Sensor], None]] = {
    "a02yyuw": _a02yyuw,
    "ds18b20": _ds18b20,
    "lsm6dso": _lsm6dso,
    "nmea": _nmea,
    "qmc5883l": _qmc5883l,
    "rm3100": _rm3100,
}


class Cell:
    """A lithium cell behind a divider, on a converter whose full scale is 3.3 V."""

    def __init__(self, clock: Clock, rng: random.Random, battery: Mapping[str, int], air_c: Callable[[int], float]) -> None:
        self._clock = clock
        self._rng = rng
        self._divider = battery["divider_x1000"] / 1000
        self._air_c = air_c
        self._full_mv = _NEW_CELL_MV - rng.uniform(0, 250)

    def mv(self) -> float:
        """Its voltage now: a little less when cold, and as the days pass."""
        days = self._clock.now_us / 86_400e6
        return self._full_mv - 0.4 * days + 1.5 * (self._air_c(self._clock.now_us) - _WARM_C)

    def read_u16(self) -> int:
        """One conversion, with a millivolt of noise at the pin."""
        return max(0, min(65535, round((self.mv() / self._divider + self._rng.gauss(0, 1.0)) / 3300 * 65535)))


def build(clock: Clock, board: Board, around: Surroundings, seed: int, ether: Ether) -> tuple[Circuit, SX126x | None]:
    """The circuit of a board, and its radio. Raises HostError (bad_inventory) for a part that the twin has not."""
    circuit = Circuit()
    to = Solder(clock, board, around, circuit, seed)
    for sensor in board.sensors.values():
        part = PARTS.get(sensor.driver)
        if part is None:
            hint = f"known: {', '.join(sorted(PARTS))}"
            raise HostError("bad_inventory", f"the twin has no {sensor.driver}", f"board {board.name}", hint)
        part(to, sensor)
    if board.battery:
        circuit.adcs[board.battery["adc"]] = Cell(clock, to.rng("battery"), board.battery, around.air_c)
    chip = _radio(to, board.radio, ether) if board.radio else None
    return circuit, chip


def _radio(to: Solder, radio: Radio, ether: Ether) -> SX126x:
    module = radio.module
    if module.chip != "sx126x":
        raise HostError("bad_inventory", f"the twin has no radio chip {module.chip}", f"board {to.board.name}")
    wiring = radio.wiring
    switch = "pins" if not module.dio2_rf_switch else "dio2+rxen" if wiring.get("rxen") is not None else "dio2"
    chip = SX126x(
        to.clock, ether, to.rng("radio"), variant=module.variant or "sx1262", tcxo_mv=module.tcxo_mv, rf_switch=switch
    )
    for name in _PIN_NAMES:
        if wiring.get(name) is not None:
            to.circuit.pins[wiring[name]] = (chip, name)
    to.circuit.selects[wiring["cs"]] = chip
    return chip
