"""boards.yaml, the single source of truth, as typed values: each entry completed by its presets, each fault with its line.

`load(path)` gives an Inventory or raises InventoryError with every fault of the file at once.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway import inventory_checks, inventory_entries, inventory_rules, yamlfile
from gateway.errors import HostError
from gateway.inventory_lorawan import Lorawan
from gateway.place import Position, distance_m, metres
from gateway.presets import Presets, RadioModule, presets
from gateway.yamlfile import Fault, Node

__all__ = [
    "Board",
    "Gateway",
    "Inventory",
    "InventoryError",
    "Lorawan",
    "Plan",
    "Position",
    "Power",
    "Radio",
    "Sensor",
    "Site",
    "distance_m",
    "load",
    "loads",
    "metres",
]

class InventoryError(HostError):
    """Every fault of boards.yaml, in the order of its lines. Its text is one line a fault."""

    def __init__(self, path: Path, faults: list[Fault], hint: str = "") -> None:
        self.faults = sorted(faults, key=lambda fault: fault[:3])
        count = len(self.faults)
        super().__init__("bad_inventory", f"{count} fault{'' if count == 1 else 's'} in {path.name}", str(path), hint)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


@dataclass(frozen=True)
class Site:
    """A town. `contact`: what a finder reads on a label, or empty."""

    name: str
    title: str
    plan: str | None
    contact: str


@dataclass(frozen=True)
class Plan:
    """A radio channel: Hz, dBm conducted, `cr` the denominator of the coding rate."""

    name: str
    band: str
    freq_hz: int
    sf: int
    bw_hz: int
    cr: int
    power_dbm: int
    sync: int


@dataclass(frozen=True)
class Gateway:
    """A box with the daemon; `role` says which keys it holds."""

    name: str
    site: str
    title: str
    position: Position
    role: str


@dataclass(frozen=True)
class Sensor:
    """A sensor: the part it plays in its service, its driver, its bus (uart, i2c, pin) and its wiring: pins,
    the bus's number, `address`; `rom` alone is a text."""

    name: str
    driver: str
    bus: str
    wiring: Mapping[str, Any]


@dataclass(frozen=True)
class Radio:
    """The radio of a board: its module and the numbers of its wiring."""

    module: RadioModule
    antenna_dbi: int
    wiring: Mapping[str, int]


@dataclass(frozen=True)
class Power:
    """How a board sleeps (always, light, deep, gated) and its battery; `done`: the pin of its power gate."""

    profile: str
    done: int | None
    capacity_mah: int | None
    chemistry: str | None


@dataclass(frozen=True)
class Board:
    """A board as it hangs in the town. `link` is radio or serial; `kids` are hexadecimal, the newest last."""

    name: str
    site: str
    title: str
    type: str
    role: str
    service: str | None
    link: str
    gateway: str | None
    plan: Plan | None
    uid: str | None
    kids: tuple[str, ...]
    hop: bool
    position: Position
    report_s: int
    settings: Mapping[str, int | bool]
    sensors: Mapping[str, Sensor]
    radio: Radio | None
    battery: Mapping[str, int] | None
    power: Power
    led: int | None
    lorawan: Lorawan | None

    @property
    def kid(self) -> str | None:
        """The key id that the board uses now."""
        return self.kids[-1] if self.kids else None


@dataclass(frozen=True)
class Inventory:
    """The fleet."""

    path: Path
    sites: Mapping[str, Site]
    plans: Mapping[str, Plan]
    gateways: Mapping[str, Gateway]
    boards: Mapping[str, Board]
    presets: Presets
    lines: Mapping[str, int]

    def where(self, board: str) -> str:
        """`boards.yaml:12`: where a board's entry stands."""
        return f"{self.path}:{self.lines[board]}"

    @property
    def nodes(self) -> list[Board]:
        """The boards that measure, in the file's order."""
        return [board for board in self.boards.values() if board.role == "node"]

    def bridges(self, gateway: str) -> list[Board]:
        """The radio bridges of a gateway."""
        return [board for board in self.boards.values() if board.role == "bridge" and board.gateway == gateway]

    def wired(self, gateway: str) -> list[Board]:
        """The boards on a gateway's serial ports, bridges first."""
        found = [board for board in self.boards.values() if board.link == "serial" and board.gateway == gateway]
        return sorted(found, key=lambda board: board.role != "bridge")

    def site_of(self, board: "Board | str") -> Site:
        """The site of a board, given itself or its name. Raises KeyError."""
        return self.sites[(self.boards[board] if isinstance(board, str) else board).site]

    def by_kid(self, site: str, kid: str) -> Board | None:
        """The board that a key id names, whatever the case of its digits."""
        return next((b for b in self.boards.values() if b.site == site and kid.lower() in b.kids), None)


def load(path: Path | str) -> Inventory:
    """Read boards.yaml. Raises InventoryError with every fault that can be found."""
    path = Path(path)
    try:
        top = yamlfile.read(path)
    except yamlfile.YamlError as error:
        hint = "" if path.exists() else "go to the folder of your boards.yaml, or name the file"
        raise InventoryError(path, error.faults, hint) from None
    return _build(path, top, path.name)


def loads(text: str, name: str = "boards.yaml") -> Inventory:
    """As `load`, from a text; `name` stands in the faults."""
    try:
        top = yamlfile.parse(text, name)
    except yamlfile.YamlError as error:
        raise InventoryError(Path(name), error.faults) from None
    return _build(Path(name), top, name)


def _build(path: Path, top: Node, name: str) -> Inventory:
    report = inventory_checks.Report(name, top)
    entries = {section: _entries(report, section) for section in inventory_entries.SECTIONS}
    for key in top.value:
        if key not in entries:
            report.unknown((key,), key, entries)
    fleet = inventory_checks.Fleet(presets=presets(), **entries)
    inventory_rules.check(fleet, report)
    if report.faults:
        raise InventoryError(path, report.faults)
    lines = {key: child.key_at[0] for key, child in top.find(("boards",)).value.items()}
    return _resolve(path, fleet, lines)


def _entries(report: inventory_checks.Report, section: str) -> dict[str, Any]:
    """The entries of a section. Faults go to the report, and the entry stays without the keys that they are in."""
    node = report.top.get(section)
    if node is None or node.value is None:
        if section in ("sites", "boards"):
            report.need((), section)
        return {}
    if not isinstance(node.value, dict):
        report.add((section,), "must be a map of names")
        return {}
    model = inventory_entries.SECTIONS[section]
    found: dict[str, Any] = {}
    for key, child in node.value.items():
        if not inventory_entries.NAME.fullmatch(key):
            report.add((section, key), "the name '{name}' may hold letters, digits, '.' and '-' only", name=key)
        raw = yamlfile.plain(child)
        try:
            found[key] = model.model_validate(raw)
        except ValidationError as error:
            report.add_pydantic(section, key, model, error)
            if isinstance(raw, dict):
                right = {name: value for name, value in raw.items() if (section, key, name) not in report.broken}
                found[key] = model.model_validate(inventory_entries.SUBSTITUTES[section] | right)
    return found


def _resolve(path: Path, fleet: inventory_checks.Fleet, lines: Mapping[str, int]) -> Inventory:
    plans = {key: Plan(name=key, **entry.model_dump()) for key, entry in fleet.plans.items()}
    sites = {key: Site(key, entry.title or key, entry.plan, entry.contact) for key, entry in fleet.sites.items()}
    gateways = {
        key: Gateway(key, fleet.site(entry), entry.title or key, entry.position, entry.role)
        for key, entry in fleet.gateways.items()
    }
    make = functools.partial(_board, fleet, plans)
    boards = {key: make(key, entry) for key, entry in fleet.boards.items()}
    return Inventory(path, sites, plans, gateways, boards, fleet.presets, lines)


def _board(fleet: inventory_checks.Fleet, plans: dict[str, Plan], name: str, entry: inventory_entries.Board) -> Board:
    kind = fleet.presets.boards[entry.type]
    link = fleet.link(entry)
    plan = fleet.plan(entry)
    module = fleet.module(entry)
    radio = None
    if module is not None:
        antenna = entry.radio.antenna_dbi if entry.radio and entry.radio.antenna_dbi is not None else module.antenna_dbi
        radio = Radio(module, antenna, fleet.radio_wiring(entry, module))
    sensors = {
        part: Sensor(part, sensor.driver, fleet.presets.drivers[sensor.driver].bus, fleet.sensor_wiring(entry, sensor))
        for part, sensor in entry.sensors.items()
    }
    return Board(
        name=name,
        site=fleet.site(entry),
        title=entry.title or name,
        type=entry.type,
        role=entry.role,
        service=entry.service,
        link=link,
        gateway=entry.gateway,
        plan=plans[plan] if radio is not None and plan is not None else None,
        uid=entry.uid,
        kids=entry.kids,
        hop=entry.hop,
        position=entry.position,
        report_s=entry.report_s,
        settings=dict(entry.settings),
        sensors=sensors,
        radio=radio,
        battery=fleet.battery(entry),
        power=Power(**entry.power.model_dump()),
        led=entry.led if entry.led is not None else kind.led,
        lorawan=Lorawan(**entry.lorawan.model_dump()) if entry.lorawan else None,
    )
