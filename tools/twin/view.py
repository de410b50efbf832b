"""What a person sees of the town while it lives: a table on a terminal, a line a reading without one."""

from __future__ import annotations

import datetime
import queue
import sys
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tools.i18n import _
from tools.twin.circuit import EPOCH_UNIX_S
from tools.twin.reader import Reading

if TYPE_CHECKING:
    from tools.twin.town import Town

_REFRESH_S = 0.25
_PROGRESS_S = 2.0
_SPEED_S = 6.0  # the speed shown is that of so many seconds
# By name of the published value: factor, digits, unit, as a person reads it.
_SHOWN: dict[str, tuple[float, int, str]] = {
    "battery": (1, 2, "V"), "temperature": (1, 1, "°C"), "fill": (100, 0, "%"), "distance": (1, 3, "m"),
    "state_time": (1, 0, "s"), "confidence": (100, 0, "%"), "water_temperature": (1, 2, "°C"), "wave_height": (1, 2, "m"),
    "wave_period": (1, 1, "s"), "latitude": (1, 5, "°N"), "longitude": (1, 5, "°E"), "humidity": (1, 1, "%RH"),
}  # fmt: skip
_LINKS = ("rssi", "snr")
_DBW = 30  # dBm of 0 dBW


def shown(values: dict[str, Any]) -> str:
    """The values of a reading with their units, without those of the link."""
    parts = []
    for name, value in values.items():
        if name in _LINKS:
            continue
        if isinstance(value, bool):
            parts.append(f"{_(name)} {_('yes') if value else _('no')}")
        elif name in _SHOWN and isinstance(value, int | float):
            factor, digits, unit = _SHOWN[name]
            parts.append(f"{_(name)} {value * factor:.{digits}f} {unit}")
        else:
            parts.append(f"{_(name)} {value}")
    return ", ".join(parts)


def _brief_forms() -> dict[str, str]:
    """In the table a unit says enough, or one word; what a person looks for first comes first."""
    return {
        "occupied": "", "fill": "{} %", "wave_height": _("waves {} m"), "wave_period": "{} s", "distance": "{} m",
        "temperature": "{} °C", "water_temperature": _("water {} °C"), "state_time": _("for {} s"),
        "confidence": _("sure {} %"), "battery": "{} V",
    }  # fmt: skip


def brief(values: dict[str, Any]) -> str:
    """The same for a table."""
    parts = []
    forms = _brief_forms()
    for name, form in forms.items():
        value = values.get(name)
        if isinstance(value, bool):
            parts.append(_("taken") if value else _("free"))
        elif value is not None and form:
            factor, digits, _unit = _SHOWN[name]
            parts.append(form.format(f"{value * factor:.{digits}f}"))
    known = {*forms, *_SHOWN, *_LINKS}
    parts += [f"{_(name)} {value}" for name, value in values.items() if name not in known]
    return "  ".join(parts)


def link(values: dict[str, Any]) -> tuple[str, str]:
    """RSSI and SNR of a reading, empty for a wired board."""
    rssi, snr = values.get("rssi"), values.get("snr")
    return ("" if rssi is None else f"{rssi + _DBW:.0f} dBm", "" if snr is None else f"{snr:.1f} dB")


def clock(unix_s: float) -> str:
    """Date and time of the town."""
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


class View:
    """Progress on stderr. The others add to it. `events` counts what the daemon says it does, by name."""

    def __init__(self) -> None:
        self.town: Town | None = None
        self.events: Counter[str] = Counter()
        self.last: dict[str, Reading] = {}
        self._fresh: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self._next = 0.0
        self._every_s = _PROGRESS_S
        self._past: deque[tuple[float, float]] = deque(maxlen=64)  # wall and town seconds of the last looks

    def begin(self, town: Town) -> None:
        """The town is about to start."""
        self.town = town
        town.reader.on_reading = self._fresh.put  # called on the subscriber's thread
        self.note(_("{n} boards, {gateway}, {url}").format(n=len(town.members), gateway=town.fleet.gateway, url=town.url))

    def end(self) -> None:
        """The town has ended, or never began."""
        if self.town is not None:
            self._take()

    def event(self, event: dict[str, Any]) -> None:
        """A line of the daemon's `--events`."""
        if event.get("ev") == "answered":
            number = event.get("command")
            what = _("the time") if number is None else _("command {n}").format(n=number)
            self.note(_("answer to {board}: {what}: {status}").format(board=event["board"], what=what, status=event["status"]))
        n = event.get("readings", 1)
        self.events[str(event.get("ev"))] += n if isinstance(n, int) else 1

    def note(self, text: str) -> None:
        """Something worth a line."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def tick(self) -> None:
        """Some wall time has passed."""
        self._take()
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            self.refresh()

    def refresh(self) -> None:
        """Say how far the town is."""
        self.note(self.status())

    def reading(self, name: str, reading: Reading) -> None:
        """A reading was read back from the broker."""

    def _take(self) -> None:
        assert self.town is not None
        while True:
            try:
                reading = self._fresh.get_nowait()
            except queue.Empty:
                return
            name = self.town.ledger.names.get((reading.site, reading.kid), reading.device)
            self.last[name] = reading
            self.reading(name, reading)

    def status(self) -> str:
        """Clock, speed and totals in a line."""
        town = self.town
        assert town is not None
        now_s = town.clock.now_us / 1e6
        self._past.append((time.monotonic(), now_s))
        then = next((past for past in self._past if past[0] >= self._past[-1][0] - _SPEED_S), self._past[0])
        wall_s = max(0.001, self._past[-1][0] - then[0])
        pages = town.ledger.pages.values()
        taken = sum(len(page.taken) for page in pages)
        sent = sum(len(page.copies) for page in pages)
        lost = sum(copy.reason is not None for page in pages for copy in page.copies)
        line = _("{clock}  {speed:.0f} x  taken {taken}  sent {sent}  lost on air {lost}  read back {read}")
        date, read = clock(EPOCH_UNIX_S + now_s), town.reader.count()
        return line.format(clock=date, speed=(now_s - then[1]) / wall_s, taken=taken, sent=sent, lost=lost, read=read)


class Lines(View):
    """One line on stdout for each reading, as it comes back from the broker."""

    def reading(self, name: str, reading: Reading) -> None:
        rssi, snr = link(reading.values)
        line = f"{clock(reading.unix_s)} {name} {shown(reading.values)}"
        sys.stdout.write(f"{line} {rssi} {snr}".rstrip() + "\n")
        sys.stdout.flush()

    def refresh(self) -> None:
        """The lines say it."""


class Screen(View):
    """A table that is drawn anew four times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._every_s = _REFRESH_S
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._notes: list[str] = []
        self._started = False

    def begin(self, town: Town) -> None:
        super().begin(town)
        self._live.start()
        self._started = True

    def end(self) -> None:
        super().end()
        if self._started:
            self.refresh()
            self._live.stop()
            self._started = False

    def note(self, text: str) -> None:
        self._notes = [*self._notes[-2:], text.splitlines()[0]]

    def refresh(self) -> None:
        self._live.update(self.drawing(), refresh=True)

    def drawing(self) -> Group:
        """Table, what the daemon did, status, last notes."""
        town = self.town
        assert town is not None
        table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
        for title in (_("board"), _("last reading"), _("age"), "RSSI", "SNR", "PIV"):
            wide = title == _("last reading")
            left = wide or title == _("board")
            table.add_column(title, justify="left" if left else "right", no_wrap=True, ratio=1 if wide else None)
        now_s = EPOCH_UNIX_S + town.clock.now_us / 1e6
        for name in self._rows(town):
            reading = self.last.get(name)
            if reading is None:
                table.add_row(name, Text(_("nothing yet"), style="dim"), "", "", "", "")
                continue
            age_s = max(0.0, now_s - reading.unix_s)
            age = f"{age_s / 60:.0f} min" if age_s >= 100 else f"{age_s:.0f} s"
            table.add_row(name, brief(reading.values), age, *link(reading.values), str(reading.piv))
        line = _("daemon: started {starts} times, stored {stored}, published {published}, errors {errors}")
        count = self.events
        daemon = Text(
            line.format(starts=town.daemon.starts, stored=count["stored"], published=count["published"], errors=count["error"])
        )
        notes = [Text(note, style="dim") for note in self._notes]
        return Group(table, Text(""), daemon, Text(self.status(), style="bold"), *notes)

    def _rows(self, town: Town) -> list[str]:
        """Names for the lines that there are: all, or those heard last."""
        names = list(town.ledger.pages)
        room = max(3, self._console.size.height - 8)
        if len(names) <= room:
            return names
        return sorted(self.last, key=lambda name: -self.last[name].unix_s)[:room]


def summary(document: dict[str, Any]) -> str:
    """The totals of a town's books for a person."""
    totals, readings = document["totals"], document["totals"]["readings"]
    lost = totals["lost"]
    lines = [
        _("Town time {town:.0f} s in {wall:.0f} s, {speed:.0f} times as fast as life.").format(
            town=document["town_seconds"], wall=document["wall_seconds"],
            speed=document["town_seconds"] / max(0.001, document["wall_seconds"]),
        ),
        _(
            "Frames: sent {sent}; lost on air {ether}, on cables {link}, without a daemon {down}; received {received}, twice "
            "{duplicates}; stored {stored}, published {published}, read back {read_back}."
        ).format(ether=lost["ether"], link=lost["link"], down=lost["gateway_down"], **totals),
        _(
            "Readings: taken {taken}; direct {direct}, recovered by a repeat {recovered}, lost {lost}; published {published}, "
            "read back {read_back}."
        ).format(**readings),
    ]  # fmt: skip
    lines += [_("Does not balance: {what}").format(what=what) for what in document["violations"]]
    lines += [_("Fault: {what}").format(what=what) for what in document["faults"]]
    if not document["violations"]:
        lines.append(_("The books balance."))
    return "\n".join(lines)
