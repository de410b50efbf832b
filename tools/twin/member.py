"""A board of the town with everything around it: process, radio, cable, surroundings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from gateway.inventory import Board
from gateway.place import metres
from tools.twin import circuit, fleet
from tools.twin.chips.sx126x.chip import SX126x
from tools.twin.ether import Ether
from tools.twin.hub import Cable
from tools.twin.ledger import Ledger
from tools.twin.nature import Nature, Surroundings
from tools.twin.process import Process
from tools.twin.tap import Tap

_SWITCHED_ON_US = 2_000_000  # the town's power comes back within this time


@dataclass
class Member:
    """`cable` leads to the gateway; a radio board without one only has a tap on what it writes."""

    board: Board
    process: Process
    chip: SX126x | None
    cable: Cable | None
    around: Surroundings
    on_us: int

    @property
    def name(self) -> str:
        """As in boards.yaml."""
        return self.board.name

    def quiet(self, ledger: Ledger) -> bool:
        """May its power be cut without losing what is under way?"""
        self.process.drain()
        if self.chip is not None and self.chip.emission is not None:
            return False
        if self.cable is not None and ledger.open_count(self.name):
            return False
        sheet = ledger.pages.get(self.name)
        return sheet is None or set(sheet.taken) <= ledger.transmitted(self.name)


class Members:
    """Makes the boards of a town; their flash images go into `folder`."""

    def __init__(self, ether: Ether, ledger: Ledger, town: fleet.Fleet, seed: int, folder: Path) -> None:
        self.clock = ledger.clock
        self.ether = ether
        self.ledger = ledger
        self.town = town
        self.nature = Nature(seed, town.boards)
        self._seed = seed
        self._folder = folder
        self._origin = town.inventory.gateways[town.gateway].position
        self._rng = random.Random(f"{seed}/power")

    def make(self, board: Board) -> Member:
        """Solder, flash and connect a board; it is not yet switched on."""
        around = self.nature.around(board)
        wires, chip = circuit.build(self.clock, board, around, self._seed, self.ether)
        if chip is not None and board.radio is not None:
            east_m, north_m = metres(self._origin, board.position)
            afloat = board.service == "buoy"
            self.ether.attach(chip, board.name, east_m, north_m, board.radio.antenna_dbi, afloat=afloat)
        name, ledger = board.name, self.ledger
        spec = fleet.spec(self.town, board, self._folder, self._seed)
        cable: Cable | None = None
        tap = Tap(lambda message: None, lambda text: ledger.log(name, text))
        process = Process(self.clock, spec, wires, tap.feed, ledger.faults.append)
        on_us = 0
        if board.link == "serial":
            cable = Cable(self.clock, name, process.feed)
            cable.on_log = ledger.log
            process.on_output = cable.write
        else:
            on_us = self._rng.randrange(_SWITCHED_ON_US)
        return Member(board, process, chip, cable, around, on_us)
