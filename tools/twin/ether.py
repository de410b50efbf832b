"""The radio channel of a town: who hears whom, and why not. Deterministic for a given generator.

Every frame is judged at every receiver by one rule book: listening in time for the last five symbols of the preamble,
signal over noise, capture over what overlaps, one frame at a time. Levels: log-distance loss, a fixed shadow a link, a
little fading a frame.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .chips.lora import Emission, Tuning
from .propagation import (
    CAPTURE_DB,
    EXPONENT,
    FADING_DB,
    LOSS_1M_DB,
    NOISE_FIGURE_DB,
    SEA_EXPONENT,
    SEA_SHADOW_DB,
    SHADOW_DB,
    capture_share,
    dbm,
    expected_loss,
    milliwatts,
    noise_floor_dbm,
    path_loss_db,
    sensitivity_dbm,
    snr_limit_db,
)

if TYPE_CHECKING:
    from .chips.lora import Clock

__all__ = ["Ether", "capture_share", "expected_loss", "noise_floor_dbm", "path_loss_db", "sensitivity_dbm", "snr_limit_db"]

# why a receiver did not get a frame
SENSITIVITY = "sensitivity"  # too weak for the noise
COLLISION = "collision"  # another frame was stronger, or came first
BUSY = "busy"  # it was sending itself
DEAF = "deaf"  # asleep, off, or tuned elsewhere
CUT = "cut"  # the sender stopped in the middle of the frame


class Station:
    """One antenna of the town."""

    def __init__(self, chip: Any, name: str, x_m: float, y_m: float, antenna_dbi: float, *, afloat: bool) -> None:
        self.chip = chip
        self.name = name
        self.x_m, self.y_m = x_m, y_m
        self.antenna_dbi = antenna_dbi
        self.afloat = afloat
        self.sending_until_us = -1


class Flight:
    """One frame on its way: its level at each station, who is locked to it, and who has lost it why."""

    def __init__(self, sender: Station, emission: Emission) -> None:
        self.sender = sender
        self.emission = emission
        self.end_us = emission.end_us
        self.levels: dict[str, float] = {}
        self.locked: list[Station] = []
        self.reasons: dict[str, str] = {}
        self.cut = False

    def disturbs(self, tuning: Tuning) -> bool:
        """Do the two channels overlap?"""
        mine = self.emission.tuning
        return 2 * abs(mine.freq_hz - tuning.freq_hz) < mine.bw_hz + tuning.bw_hz


class Ether:
    """The air between stations. A chip calls `transmit`; the ether calls its `on_preamble`, `on_header`, `on_packet`.

    `on_outcome(sender, receiver, payload, reason)` is called at the end of each frame for every other station: reason None
    = received without error, else "sensitivity", "collision", "busy", "deaf" or "cut".
    """

    def __init__(self, clock: Clock, rng: random.Random, *, exponent: float = EXPONENT, loss_1m_db: float = LOSS_1M_DB,
                 shadow_db: float = SHADOW_DB, fading_db: float = FADING_DB, noise_figure_db: float = NOISE_FIGURE_DB,
                 capture_db: float = CAPTURE_DB) -> None:  # fmt: skip
        self.clock = clock
        self.rng = rng
        self.exponent, self.loss_1m_db = exponent, loss_1m_db
        self.shadow_db, self.fading_db = shadow_db, fading_db
        self.noise_figure_db, self.capture_db = noise_figure_db, capture_db
        self.on_outcome: Callable[[str, str, bytes, str | None], object] = lambda *outcome: None
        self.stations: dict[str, Station] = {}
        self._by_chip: dict[int, Station] = {}
        self.transmissions = 0
        self.airtime_us = 0
        self._seed = rng.getrandbits(64)
        self._links: dict[tuple[str, str], float] = {}
        self._flights: list[Flight] = []  # in the air, or over but still overlapped by one that is

    def attach(self, chip: Any, name: str, x_m: float, y_m: float, antenna_dbi: float = 0, *, afloat: bool = False) -> None:
        """Put the antenna of `chip` at this place, on land or `afloat`; the name is unique."""
        if name in self.stations:
            raise ValueError(f"two stations named {name}")
        self.stations[name] = self._by_chip[id(chip)] = Station(chip, name, x_m, y_m, antenna_dbi, afloat=afloat)

    def detach(self, name: str) -> None:
        """Take a station away; a frame that it is sending breaks off."""
        station = self.stations.pop(name)
        del self._by_chip[id(station.chip)]
        for flight in self._flights:
            if flight.sender is station:
                self._cut(flight)
            if station in flight.locked:
                flight.locked.remove(station)

    # -- levels

    def link_loss_db(self, a: Station, b: Station) -> float:
        """Loss between two antennas, gains included, the same in both directions; the shadow depends on the names alone."""
        key = (a.name, b.name) if a.name < b.name else (b.name, a.name)
        loss = self._links.get(key)
        if loss is None:
            distance_m = math.hypot(a.x_m - b.x_m, a.y_m - b.y_m)
            sea = a.afloat or b.afloat
            spread_db, exponent = (SEA_SHADOW_DB, SEA_EXPONENT) if sea else (self.shadow_db, self.exponent)
            shadow = random.Random(f"{self._seed}/{key[0]}/{key[1]}").gauss(0, spread_db)
            loss = path_loss_db(distance_m, exponent, self.loss_1m_db) + shadow - a.antenna_dbi - b.antenna_dbi
            self._links[key] = loss
        return loss

    def level(self, flight: Flight, station: Station) -> float:
        """What arrives of a frame at a station's connector, dBm."""
        found = flight.levels.get(station.name)
        if found is None:
            faded = self.rng.gauss(0, self.fading_db) if self.fading_db else 0.0
            found = flight.emission.power_dbm - self.link_loss_db(flight.sender, station) + faded
            flight.levels[station.name] = found
        return found

    def _noise_dbm(self, station: Station, bw_hz: int) -> float:
        return noise_floor_dbm(bw_hz, self.noise_figure_db) + float(station.chip.rx_loss_db)

    def level_dbm(self, chip: Any, freq_hz: int, bw_hz: int) -> float:
        """Power in a channel at a chip's antenna now, noise included."""
        station = self._station(chip)
        here = Tuning(freq_hz, bw_hz, 0, None, 0)
        mw = milliwatts(self._noise_dbm(station, bw_hz))
        for flight in self._flights:
            if flight.end_us > self.clock.now_us and flight.sender is not station and flight.disturbs(here):
                mw += milliwatts(self.level(flight, station))
        return dbm(mw)

    def carries(self, chip: Any, emission_like: Tuning) -> bool:
        """Is there a frame in the air now that this chip would detect as activity?"""
        station = self._station(chip)
        floor = self._noise_dbm(station, emission_like.bw_hz) + snr_limit_db(emission_like.sf)
        return any(
            flight.end_us > self.clock.now_us
            and flight.sender is not station
            and emission_like.demodulates(flight.emission.tuning)
            and self.level(flight, station) >= floor
            for flight in self._flights
        )

    def _station(self, chip: Any) -> Station:
        return self._by_chip[id(chip)]

    # -- the life of a frame

    def transmit(self, chip: Any, emission: Emission) -> None:
        """The first symbol of a frame leaves now."""
        sender = self._station(chip)
        self._forget()
        flight = Flight(sender, emission)
        self._flights.append(flight)
        sender.sending_until_us = emission.end_us
        self.transmissions += 1
        self.airtime_us += emission.end_us - emission.start_us
        for station in self.stations.values():
            sensitive = station is not sender and station.chip.agc_lock_dbm is not None
            if sensitive and flight.disturbs(station.chip.tuning):
                station.chip.strong_signal(self.level(flight, station))
        self.clock.at(emission.lock_us, self._lock, flight)
        self.clock.at(emission.header_us, self._header, flight)
        self.clock.at(emission.end_us, self._end, flight)

    def abort(self, chip: Any, emission: Emission) -> None:
        """The carrier of a frame stops before its end."""
        for flight in self._flights:
            if flight.emission is emission:
                self._cut(flight)

    def _cut(self, flight: Flight) -> None:
        if self.clock.now_us < flight.end_us:
            flight.cut = True
            flight.end_us = flight.sender.sending_until_us = self.clock.now_us

    def _forget(self) -> None:
        now = self.clock.now_us
        oldest = min((f.emission.start_us for f in self._flights if f.emission.end_us >= now), default=now)
        self._flights = [f for f in self._flights if f.end_us > oldest or f.emission.end_us >= now]

    def _lock(self, flight: Flight) -> None:
        """End of the preamble: which receivers have found it?"""
        emission = flight.emission
        for station in self.stations.values():
            if station is flight.sender:
                continue
            if flight.cut:
                flight.reasons[station.name] = CUT
            elif not station.chip.hears(emission):
                flight.reasons[station.name] = self._absent(flight, station)
            else:
                reason = self._spoiled(flight, station, emission.detect_us, emission.lock_us)
                if reason is None:
                    flight.locked.append(station)
                    station.chip.on_preamble(emission)
                else:
                    flight.reasons[station.name] = reason

    def _absent(self, flight: Flight, station: Station) -> str:
        """Why a station does not follow a frame: it sends, it follows another one, or it does not listen."""
        if station.sending_until_us > flight.emission.detect_us:
            return BUSY
        other = station.chip.locked
        if other is not None and other is not flight.emission and station.chip.tuning.demodulates(flight.emission.tuning):
            return COLLISION
        return DEAF

    def _header(self, flight: Flight) -> None:
        """End of the header: who still follows, and for whom is it intact?"""
        emission = flight.emission
        for station in list(flight.locked):
            reason = self._spoiled(flight, station, emission.lock_us, emission.header_us)
            following = station.chip.locked is emission
            if not station.chip.on_header(emission, reason is None):
                flight.locked.remove(station)
                gone = self._absent(flight, station) if not following else DEAF
                flight.reasons[station.name] = reason if reason and following else gone

    def _end(self, flight: Flight) -> None:
        """End of the frame: what each station has of it."""
        emission = flight.emission
        for station in list(flight.locked):
            reason = self._spoiled(flight, station, emission.header_us, emission.end_us)
            following = station.chip.locked is emission
            payload = emission.payload if reason is None else self._damaged(emission.payload)
            level = self.level(flight, station)
            noise = self._noise_dbm(station, emission.tuning.bw_hz) + emission.loss_db
            rssi = dbm(milliwatts(level) + milliwatts(noise))
            if station.chip.on_packet(emission, payload, rssi, min(level - noise, 13.0), reason is None):
                flight.reasons.pop(station.name, None)
            else:
                gone = self._absent(flight, station) if not following else DEAF
                flight.reasons[station.name] = reason if reason and following else gone
        for station in self.stations.values():
            if station is not flight.sender:
                self.on_outcome(flight.sender.name, station.name, emission.payload, flight.reasons.get(station.name))

    def _damaged(self, payload: bytes) -> bytes:
        at = self.rng.randrange(max(1, len(payload)))
        return bytes(b ^ 0x5A if i >= at else b for i, b in enumerate(payload))

    # -- signal against the rest

    def _spoiled(self, flight: Flight, station: Station, from_us: int, to_us: int) -> str | None:
        """Why this part of a frame cannot be demodulated at a station; None if it can."""
        if flight.cut and flight.end_us < to_us:
            return CUT
        tuning = flight.emission.tuning
        level = self.level(flight, station)
        noise = self._noise_dbm(station, tuning.bw_hz) + flight.emission.loss_db
        limit = snr_limit_db(tuning.sf)
        if level - noise < limit:
            return SENSITIVITY
        same_mw, other_mw = self._interference(flight, station, from_us, to_us)
        if same_mw and level - dbm(same_mw) < self.capture_db:
            return COLLISION
        # Frames of another spreading factor, bandwidth or polarity are noise to this correlator.
        if other_mw and level - dbm(milliwatts(noise) + other_mw) < limit:
            return COLLISION
        return None

    def _interference(self, flight: Flight, station: Station, from_us: int, to_us: int) -> tuple[float, float]:
        """Worst sum of what overlaps in this span: milliwatts of the same kind of chirps, and of all others."""
        tuning = flight.emission.tuning
        others = [
            f for f in self._flights
            if f is not flight and f.sender is not station and f.emission.start_us < to_us and f.end_us > from_us
            and f.disturbs(tuning)
        ]  # fmt: skip
        worst_same = worst_other = 0.0
        for first in others:
            at_us = max(from_us, first.emission.start_us)
            same = other = 0.0
            for f in others:
                if f.emission.start_us <= at_us < f.end_us:
                    mw = milliwatts(self.level(f, station))
                    if tuning.demodulates(f.emission.tuning):
                        same += mw
                    else:
                        other += mw
            worst_same, worst_other = max(worst_same, same), max(worst_other, other)
        return worst_same, worst_other
