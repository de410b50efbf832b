"""Faults of boards.yaml with their places, and the entries completed by what follows from them and from the presets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.inventory_entries import SENTENCES, Board, Gateway, Plan, Sensor, Site, keys_at
from gateway.presets import RADIO_PINS, Presets, RadioModule
from gateway.yamlfile import Fault, Node

Loc = tuple[str | int, ...]


@dataclass
class Report:
    """Faults of one file, as they are found. What is `broken` has its fault already: what follows from it is none."""

    name: str
    top: Node
    faults: list[Fault] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)

    def need(self, loc: Loc, key: str, text: str = "needs '{key}'", /, **values: object) -> None:
        """A fault of the entry at `loc`, which lacks a key."""
        if (*loc, key) not in self.broken:
            self.add(loc, text, at_key=True, key=key, **values)

    def add(self, loc: Loc, text: str, /, *, at_key: bool = False, **values: object) -> None:
        """A fault at a path of keys; `at_key` points to the key instead of the value."""
        if loc[:3] in self.broken:
            return
        node = self.top.find(loc)
        line, col = node.key_at if at_key or isinstance(node.value, dict | list) else (node.line, node.col)
        if not loc:
            line, col = 1, 1
        place = ".".join(str(key) for key in loc)
        text = "{place}: " + text if place else text
        shown = {key: _short(value) for key, value in values.items()}
        self.faults.append(Fault(self.name, line, col, text, {"place": place, **shown}))

    def unknown(self, loc: Loc, word: str, known: Iterable[str], what: str = "key") -> None:
        """A word that is none of the known ones, with the nearest of them or, of a few, all. A key that was meant is not
        missing besides."""
        names = [str(name) for name in known]
        near = get_close_matches(word, names, n=1, cutoff=0.6)
        said = {"kind": f"unknown {what}", "word": word, "known": ", ".join(sorted(names)[:12])}
        if near:
            self.add(loc, "{kind} '{word}' (did you mean '{near}'?)", at_key=what == "key", near=near[0], **said)
        else:
            self.add(loc, "{kind} '{word}' (known: {known})", at_key=what == "key", **said)
        if near and what == "key":
            self.broken.add((*loc[:-1], near[0]))

    def add_pydantic(self, section: str, key: str, model: type[BaseModel], error: ValidationError) -> None:
        """The faults that pydantic found in an entry, in our words; the keys that they are in count as broken."""
        # An unknown key first: the one that was meant is then not missing besides.
        found = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        for fault in found:
            loc: Loc = (section, key, *fault["loc"])
            kind = fault["type"]
            if kind == "extra_forbidden":
                self.unknown(loc, str(loc[-1]), keys_at(model, fault["loc"][:-1]))
            elif kind == "literal_error":
                self._choice(loc, fault)
            elif kind == "missing":
                self.need(loc[:-1], str(loc[-1]))
            elif kind == "string_type":
                self._string(loc)
            else:
                self.add(loc, SENTENCES.get(kind, "{msg}"), msg=fault["msg"], **fault.get("ctx", {}))
        self.broken |= {(section, key, *fault["loc"][:1]) for fault in found}

    def _choice(self, loc: Loc, fault: Any) -> None:
        word = self.top.find(loc).text
        known = [part.strip(" '") for part in fault["ctx"]["expected"].replace(" or ", ",").split(",")]
        self.unknown(loc, word, known, "value")

    def _string(self, loc: Loc) -> None:
        node = self.top.find(loc)
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            infinite = isinstance(node.value, float) and node.value in (float("inf"), float("-inf"))
            read_as = "infinity" if infinite else str(node.value)
            self.add(loc, "YAML reads {text} as the number {number}: put it in quotes, \"{text}\"",
                     text=node.text, number=read_as)  # fmt: skip
        else:
            self.add(loc, "must be a text")



def _short(value: object) -> object:
    """A value for a message: a screen's width of it is enough."""
    return value[:60] + "..." if isinstance(value, str) and len(value) > 80 else value


@dataclass(frozen=True)
class Fleet:
    """The entries that are right in themselves, with what follows from them and the presets."""

    presets: Presets
    sites: dict[str, Site]
    plans: dict[str, Plan]
    gateways: dict[str, Gateway]
    boards: dict[str, Board]

    def site(self, entry: Board | Gateway) -> str:
        """The site of an entry: its own word, else the only one there is."""
        return entry.site or next(iter(self.sites), "")

    def link(self, entry: Board) -> str:
        """radio or serial: a bridge is always on a serial port."""
        return entry.link or ("serial" if entry.role == "bridge" else "radio")

    def has_radio(self, entry: Board) -> bool:
        """Does the board use a radio?"""
        return entry.role == "bridge" or self.link(entry) == "radio"

    def plan(self, entry: Board) -> str | None:
        """The name of the board's radio plan: its own, else its site's."""
        site = self.sites.get(self.site(entry))
        return entry.plan or (site.plan if site else None)

    def module(self, entry: Board) -> RadioModule | None:
        """The radio module of a board that uses one, if it is known."""
        kind = self.presets.boards.get(entry.type)
        name = entry.radio.module if entry.radio else kind.radio if kind else None
        return self.presets.radios.get(name or "") if self.has_radio(entry) else None

    def radio_wiring(self, entry: Board, module: RadioModule) -> dict[str, int]:
        """The numbers of the radio's wiring: the module's plug or the board's usual pins, then what the entry says."""
        usual = module.wiring or self.presets.boards[entry.type].radio_wiring
        wanted = {"spi", *RADIO_PINS, *module.needs}
        own = entry.radio.wiring() if entry.radio else {}
        own.pop("antenna_dbi", None)
        return {**{key: value for key, value in usual.items() if key in wanted}, **own}

    def sensor_wiring(self, entry: Board, sensor: Sensor) -> dict[str, Any]:
        """The sensor's wiring: the board's usual pins of that bus, then what the entry says."""
        driver = self.presets.drivers[sensor.driver]
        usual: dict[str, Any] = dict(self.presets.boards[entry.type].wiring.get(driver.bus, {}))
        if driver.address:
            usual["address"] = driver.address[0]
        return {**usual, **sensor.wiring()}

    def battery(self, entry: Board) -> dict[str, int] | None:
        """How the battery is measured. A board on a serial port has none unless the entry says so."""
        if entry.battery is not None:
            return entry.battery.model_dump()
        if "battery" in entry.model_fields_set or self.link(entry) == "serial":
            return None
        return self.presets.boards[entry.type].battery
