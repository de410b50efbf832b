"""The books of a town: what was sent, heard, stored, published and read back, each from its own source, and whether they agree.

Sources: the ether (sent, lost on air), the cables (sent by wired boards, lost between board and daemon), the boards' own
log lines (taken), the daemon's store (received, duplicates, stored, published, direct, recovered), a subscriber (read back).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware.wire import cbor
from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from firmware.wire.quantities import REPEATS
from firmware.wire.seal import Keys, derive, unseal
from gateway.books import Counts

# Names and factors of the published values, from the specification's table and not from the daemon's.
QUANTITIES: dict[int, tuple[str, float]] = {
    1: ("battery", 1000), 2: ("temperature", 10), 3: ("fill", 100), 4: ("distance", 1000), 5: ("tilted", 1),
    6: ("occupied", 1), 7: ("state_time", 1), 8: ("confidence", 100), 9: ("water_temperature", 100),
    10: ("wave_height", 100), 11: ("wave_period", 10), 12: ("latitude", 1e5), 13: ("longitude", 1e5),
    15: ("humidity", 10), 16: ("people", 1), 17: ("water_volume", 1000),
}  # fmt: skip
FRAMES = ("sent", "received", "duplicates", "stored", "published", "republished", "read_back")
READINGS = ("taken", "direct", "recovered", "lost", "published", "read_back")
LOSSES = ("ether", "link", "gateway_down")

# What the subscriber has: values by (site, kid, PIV).
Read = Mapping[tuple[str, str, int], Mapping[str, Any]]


@dataclass
class Copy:
    """One frame on its way to one receiver: on air to a bridge, or down a cable. `reason` None = received there."""

    piv: int
    frame: bytes
    reason: str | None


@dataclass
class Page:
    """What the twin itself saw of one node."""

    site: str
    kid: str
    wired: bool
    keys: Keys | None = None
    taken: dict[int, dict[int, int | bool | str]] = field(default_factory=dict)
    taken_us: dict[int, int] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    forwarded: Counter[int] = field(default_factory=Counter)  # by PIV, copies that came down the bridge's cable
    unhandled: int = 0  # copies that came down a cable, and that no daemon ever said it has
    errors: Counter[str] = field(default_factory=Counter)  # what the board itself called wrong, by name

    def repeats(self, frame: bytes) -> int:
        """How many readings before its own a frame carries."""
        try:
            payload = cbor.loads(bytes(unseal(self.keys, parse(frame))))
        except WireError:
            return 0
        return int(payload.get(REPEATS, 0)) if isinstance(payload, dict) else 0

    def arrived(self) -> dict[int, bytes]:
        """By PIV the frames that reached the daemon's end of a cable."""
        return {copy.piv: copy.frame for copy in self.copies if copy.reason is None and (self.wired or self.forwarded[copy.piv])}

    def lost_readings(self) -> int:
        """Readings whose frame never arrived and that no later frame repeated."""
        arrived = self.arrived()
        repeated = {piv - j for piv, frame in arrived.items() for j in range(1, self.repeats(frame) + 1)}
        return sum(piv not in arrived and piv not in repeated for piv in self.taken)


def page(site: str, kid: str, wired: bool, secret: str) -> Page:
    """An empty page for a node with this secret (hexadecimal)."""
    return Page(site, kid, wired, derive(bytes.fromhex(secret), bytes.fromhex(kid)))


def board_books(page: Page, counts: Counts, read: Read, kills: bool) -> dict[str, Any]:
    """The entry of one node."""
    arrived = page.arrived()
    heard = Counter(copy.piv for copy in page.copies if copy.reason is None)
    reasons = Counter(copy.reason for copy in page.copies if copy.reason is not None)
    link = 0 if page.wired else sum(max(0, n - page.forwarded[piv]) for piv, n in heard.items())
    mine = {piv for site, kid, piv in read if site == page.site and kid == page.kid}
    entry: dict[str, Any] = {
        "sent": len(page.copies),
        "lost": {"ether": sum(reasons.values()), "link": link, "gateway_down": page.unhandled},
        "lost_on_air": dict(sorted(reasons.items())),
        "received": counts.received,
        "duplicates": counts.duplicates,
        "stored": counts.stored,
        "published": counts.frames_published,
        "read_back": len(mine & set(arrived)),
        "readings": {
            "taken": len(page.taken),
            "direct": counts.direct,
            "recovered": counts.recovered,
            "lost": page.lost_readings(),
            "published": counts.readings_published,
            "read_back": len(mine),
        },
    }
    if page.errors:
        entry["errors"] = dict(sorted(page.errors.items()))
    if kills:
        entry["republished"] = counts.frames_again
        entry["readings"]["republished"] = counts.readings_again
    return entry


def totals(boards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The sums over all boards."""
    total: dict[str, Any] = {"boards": len(boards)}
    for key in FRAMES:
        if any(key in entry for entry in boards.values()):
            total[key] = sum(entry.get(key, 0) for entry in boards.values())
    total["lost"] = {reason: sum(entry["lost"][reason] for entry in boards.values()) for reason in LOSSES}
    readings: Counter[str] = Counter()
    for entry in boards.values():
        readings.update(entry["readings"])
    total["readings"] = {key: readings[key] for key in (*READINGS, "republished") if key in readings}
    return total


def check(books: Mapping[str, Any]) -> list[str]:
    """Every way in which the books do not balance, in words; empty when they do."""
    found: list[str] = []
    for name, entry in [*books["boards"].items(), ("totals", books["totals"])]:
        lost, readings = sum(entry["lost"].values()), entry["readings"]
        known = readings["direct"] + readings["recovered"]
        for what, left, right in (
            ("sent = received + lost", entry["sent"], entry["received"] + lost),
            ("received = duplicates + stored", entry["received"], entry["duplicates"] + entry["stored"]),
            ("stored = published", entry["stored"], entry["published"]),
            ("published = read back", entry["published"], entry["read_back"]),
            ("taken = direct + recovered + lost", readings["taken"], known + readings["lost"]),
            ("readings published = direct + recovered", readings["published"], known),
            ("readings published = read back", readings["published"], readings["read_back"]),
        ):  # fmt: skip
            if left != right:
                found.append(f"{name}: {what} does not hold: {left} and {right}")
    for what, n in books.get("surprises", {}).items():
        if n:
            found.append(f"{what}: {n}")
    return found


def compare(page: Page, read: Read) -> Counter[str]:
    """What was read back beside what the board said it took: counts of what should never be."""
    found: Counter[str] = Counter(read_back_but_never_taken=0, wrong_values=0, missing_values=0)
    arrived = page.arrived()
    for (site, kid, piv), values in read.items():
        if site != page.site or kid != page.kid:
            continue
        taken = page.taken.get(piv)
        if taken is None:
            found["read_back_but_never_taken"] += 1
            continue
        for key, raw in taken.items():
            name, factor = QUANTITIES.get(key, ("", 1))
            if name not in values:
                found["missing_values"] += bool(name) and piv in arrived
            elif isinstance(raw, bool):
                found["wrong_values"] += values[name] is not raw
            else:
                found["wrong_values"] += not isinstance(raw, int) or abs(values[name] - raw / factor) > 1e-9 * abs(raw) + 1e-9
    return found
