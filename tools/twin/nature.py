"""The world around a town's boards: one piece of nature for each entry of boards.yaml that measures something.

The world knows neither boards nor chips; here each board gets what its sensors would see, as functions of the town's time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.inventory import Board
from gateway.place import distance_m
from tools.twin.world.bins import Bin
from tools.twin.world.cars import CarPark
from tools.twin.world.sea import Buoy, Sea
from tools.twin.world.weather import Weather

START_S = 8 * 3600  # the town wakes at eight
_ROW_M = 12.0  # bays nearer to each other than this stand in one row

Vector = tuple[float, float, float]


@dataclass
class Surroundings:
    """What the sensors of one board see, by quantity; `truth(t_us)` is what a perfect board would say then."""

    air_c: Callable[[int], float]
    distance_mm: Callable[[int], float] | None = None
    field_ut: Callable[[int], Vector] | None = None
    acceleration_g: Callable[[int], Vector] | None = None
    water_c: Callable[[int], float] | None = None
    position_deg: Callable[[int], tuple[float, float]] | None = None
    truth: dict[str, Callable[[int], float | bool]] = field(default_factory=dict)
    source: Bin | CarPark | Buoy | None = None
    bay: int = 0


class Nature:
    """Weather, sea, rows of cars and rubbish for these boards, all from one seed."""

    def __init__(self, seed: int, boards: Iterable[Board]) -> None:
        self._seed = seed
        self.weather = Weather(self._rng("weather"), start_s=START_S)
        boards = list(boards)
        buoys = [board for board in boards if board.service == "buoy"]
        self.sea = Sea(self._rng("sea")) if buoys else None
        self._rows: dict[str, tuple[CarPark, int]] = {}
        for row in _rows([board for board in boards if board.service == "parking"]):
            rng, empty_ut = self._rng(f"cars {row[0].name}"), [_written_ut(board) for board in row]
            park = CarPark(rng, self.weather.air_c, len(row), start_s=START_S, empty_ut=empty_ut)
            for bay, board in enumerate(row):
                self._rows[board.name] = (park, bay)

    def _rng(self, what: str) -> random.Random:
        return random.Random(f"{self._seed}/{what}")

    def around(self, board: Board) -> Surroundings:
        """What this board is in the middle of."""
        found = Surroundings(self.weather.air_c)
        if board.service == "bin":
            self._bin(found, board)
        elif board.service == "parking":
            park, bay = self._rows[board.name]
            found.source, found.bay = park, bay
            found.field_ut = lambda t_us: park.field_ut(bay, t_us)
            found.truth["occupied"] = lambda t_us: park.occupied(bay, t_us)
        elif board.service == "buoy" and self.sea is not None:
            place = (board.position.lat_e5 / 1e5, board.position.lon_e5 / 1e5)
            buoy = Buoy(self.sea, self._rng(f"buoy {board.name}"), place)
            found.source = buoy
            found.acceleration_g = buoy.acceleration_g
            found.position_deg = buoy.position_deg
            found.water_c = found.truth["water_temperature"] = self.sea.water_c
        return found

    def _bin(self, found: Surroundings, board: Board) -> None:
        rubbish = Bin(
            self._rng(f"bin {board.name}"),
            empty_mm=int(board.settings["empty_mm"]),
            full_mm=int(board.settings["full_mm"]),
            start_s=START_S,
        )
        found.source = rubbish
        found.distance_mm = rubbish.distance_mm
        found.truth["distance"] = lambda t_us: rubbish.distance_mm(t_us) / 1000
        found.truth["fill"] = lambda t_us: rubbish.percent(t_us) / 100
        found.truth["temperature"] = self.weather.air_c


def _written_ut(board: Board) -> Vector | None:
    """The empty bay's field, where it was written down when the sensor was set."""
    x, y, z = (board.settings.get(f"base_{axis}_nt") for axis in "xyz")
    return None if x is None or y is None or z is None else (x / 1000, y / 1000, z / 1000)


def _rows(bays: list[Board]) -> list[list[Board]]:
    """Bays that stand side by side."""
    rows: list[list[Board]] = []
    for board in bays:
        for row in rows:
            if distance_m(row[-1].position, board.position) < _ROW_M:
                row.append(board)
                break
        else:
            rows.append([board])
    return rows
