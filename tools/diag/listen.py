"""`jourdain listen`: what the broker delivers, as a table, JSON lines or CSV."""

import asyncio
import contextlib
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import click
from pydantic import ValidationError

from gateway.config import Upstream
from gateway.errors import HostError
from gateway.upstream.connection import Message
from gateway.upstream.session import subscribe
from tools.diag.senml_read import LINK, PackError, Reading, Value, read
from tools.i18n import _

Key = tuple[str, str, int | None, str]
CSV_HEAD = ("time", "site", "device", "kid", "piv", "name", "value", "unit")
SEEN_MAX = 200_000


@click.command(help="Show the readings that a broker delivers, each once, until Ctrl-C.")
@click.option("--broker", default="mqtt://127.0.0.1:1883", show_default=True, envvar="JOURDAIN_BROKER", help="mqtt:// or mqtts://")
@click.option("--user", help="Name at the broker; the password is read from JOURDAIN_PASSWORD.")
@click.option("--password", envvar="JOURDAIN_PASSWORD", hidden=True)
@click.option("--ca-file", type=click.Path(), help="The authority that signed the broker's certificate.")
@click.option("--site", default="+", help="One site only.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many readings.")
@click.option("--again", is_flag=True, help="Show values that come a second time, too.")
@click.option("--json", "style", flag_value="json", help="JSON lines on stdout.")
@click.option("--csv", "style", flag_value="csv", help="CSV on stdout, a line a value.")
def listen(  # noqa: PLR0917 - one argument an option
    broker: str,
    user: str | None,
    password: str | None,
    ca_file: str | None,
    site: str,
    count: int | None,
    again: bool,
    style: str | None,
) -> None:
    """Subscribe and show; a payload that cannot be read is counted and named on stderr."""
    try:
        config = Upstream.model_validate({"url": broker, "username": user, "ca_file": ca_file})
    except ValidationError as error:
        raise HostError("bad_config", error.errors()[0]["msg"], broker, "mqtt://HOST[:PORT]") from None
    show = _shower(style)
    listener = Listener(show, again=again, count=count)
    topics = [f"jourdain/{site}/+/senml", f"jourdain/{site}/+/frames"]
    try:
        asyncio.run(_listen(config, topics, password, listener))
    finally:
        show.close()
        click.echo(listener.summary(), err=True)


async def _listen(config: Upstream, topics: list[str], password: str | None, listener: "Listener") -> None:
    messages = subscribe(config, topics, password, _say_state)
    async with contextlib.aclosing(messages):
        async for message in messages:
            if listener.take(message):
                return


def _say_state(name: str, detail: str) -> None:
    if name != "connected":
        click.echo(_("broker lost: {detail}; trying again").format(detail=detail), err=True)


class Listener:
    """Takes messages, hands each reading to `show` with the values that are new. Counts in `counts`."""

    def __init__(self, show: "Lines", *, again: bool = False, count: int | None = None) -> None:
        self.show = show
        self.again = again
        self.left = count
        self.counts: Counter[str] = Counter()
        self.seen: dict[Key, None] = {}

    def take(self, message: Message) -> bool:
        """Show what is in a message. True when as many readings were shown as were asked for."""
        words = message.topic.split("/")
        site, gateway = (words[1], words[2]) if len(words) == 4 else ("", "")
        try:
            if words[-1] == "frames":
                self._frames(site, gateway, message.payload)
                return False
            readings = read(site, message.payload)
        except PackError as error:
            self.counts["unreadable"] += 1
            text = _("{topic}: not readable: {error}").format(topic=message.topic, error=error)
            click.echo(text, err=True)
            return False
        return any(self._reading(reading) for reading in readings)

    def _reading(self, reading: Reading) -> bool:
        fresh = {name: value for name, value in reading.values.items() if self._is_new(reading, name)}
        self.counts["again"] += len(reading.values) - len(fresh)
        shown = reading.values if self.again else fresh
        if not shown and reading.values:
            return False
        self.counts["readings"] += 1
        self.show.reading(reading._replace(values=shown))
        if self.left is not None:
            self.left -= 1
        return self.left == 0

    def _is_new(self, reading: Reading, name: str) -> bool:
        if reading.piv is None:
            return True
        key = (reading.site, reading.kid, reading.piv, name)
        if key in self.seen:
            return False
        self.seen[key] = None
        if len(self.seen) > SEEN_MAX:
            del self.seen[next(iter(self.seen))]
        return True

    def _frames(self, site: str, gateway: str, payload: bytes) -> None:
        try:
            version, name, batch, frames = cbor2.loads(payload)
            if version != 1 or not all(isinstance(frame[1], bytes) for frame in frames):
                raise ValueError(f"version {version}")
        except (cbor2.CBORDecodeError, ValueError, TypeError, IndexError, RecursionError, MemoryError) as error:
            raise PackError(f"no batch of frames: {error}") from None
        self.counts["frames"] += len(frames)
        self.show.frames(site, str(name) or gateway, batch, len(frames))

    def summary(self) -> str:
        """One line: what came."""
        text = _("{readings} readings, {again} values again, {frames} frames, {unreadable} payloads not readable")
        return text.format(**{name: self.counts[name] for name in ("readings", "again", "frames", "unreadable")})


class Lines:
    """Aligned lines of text, a line a reading."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self.write = write

    def reading(self, reading: Reading) -> None:
        """Show a reading."""
        who = f"{moment(reading.unix_s)}  {reading.device:<18} {reading.kid:>4} {reading.piv or 0:>7}  "
        self.write(who + "  ".join(f"{name} {said(value)}" for name, value in reading.values.items()))

    def frames(self, site: str, gateway: str, batch: object, count: int) -> None:
        """Show a batch of frames that stay closed."""
        self.write(_("{site}/{gateway}: batch {batch} of {count} frames").format(
            site=site, gateway=gateway, batch=batch, count=count))  # fmt: skip

    def close(self) -> None:
        """Nothing follows."""


class JsonLines(Lines):
    """A JSON object a reading: who, when, which frame, `values` by name, `units` by name."""

    def reading(self, reading: Reading) -> None:
        self.write(json.dumps({
            "site": reading.site, "device": reading.device, "time": moment(reading.unix_s), "unix_s": reading.unix_s,
            "kid": reading.kid, "piv": reading.piv,
            "values": {name: _plain(value) for name, value in reading.values.items()},
            "units": {name: value.unit for name, value in reading.values.items() if value.unit},
        }, ensure_ascii=False))  # fmt: skip

    def frames(self, site: str, gateway: str, batch: object, count: int) -> None:
        self.write(json.dumps({"site": site, "gateway": gateway, "batch": batch, "frames": count}, default=str))


class CsvLines(Lines):
    """A line a value, under a heading."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        super().__init__(write)
        self._row(CSV_HEAD)

    def _row(self, cells: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        self.write(text.getvalue())

    def reading(self, reading: Reading) -> None:
        who = (moment(reading.unix_s), reading.site, reading.device, reading.kid, reading.piv)
        for name, value in reading.values.items():
            self._row((*who, name, _plain(value), value.unit))

    def frames(self, site: str, gateway: str, batch: object, count: int) -> None:
        """Closed frames have no values."""


class LiveTable(Lines):
    """On a terminal: a row a device with what it last said."""

    def __init__(self) -> None:
        super().__init__(lambda text: None)
        from rich.live import Live  # noqa: PLC0415 - only where a person looks

        self.rows: dict[tuple[str, str], tuple[Reading, int]] = {}
        self.live = Live(auto_refresh=False)
        self.live.start()

    def reading(self, reading: Reading) -> None:
        key = (reading.site, reading.device)
        _before, count = self.rows.get(key, (reading, 0))
        self.rows[key] = (reading, count + 1)
        self.live.update(self._table(), refresh=True)

    def frames(self, site: str, gateway: str, batch: object, count: int) -> None:
        """Closed frames are counted in the summary."""

    def _table(self) -> Any:
        from rich.table import Table  # noqa: PLC0415

        table = Table(box=None)
        for title in (_("device"), _("time"), _("frame"), _("values"), _("link"), _("readings")):
            table.add_column(title)
        for (_site, device), (reading, count) in sorted(self.rows.items()):
            values = "  ".join(f"{name} {said(value)}" for name, value in reading.values.items() if name not in LINK)
            link = "  ".join(said(reading.values[name]) for name in LINK if name in reading.values)
            table.add_row(device, moment(reading.unix_s), str(reading.piv or "-"), values, link, str(count))
        return table

    def close(self) -> None:
        self.live.stop()


def _shower(style: str | None) -> Lines:
    if style == "json":
        return JsonLines(_line)
    if style == "csv":
        return CsvLines(_line)
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            return LiveTable()
    return Lines(_line)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def moment(unix_s: float | None) -> str:
    """Unix seconds as UTC; a dash where a pack gives none, or none that a calendar has."""
    if unix_s is None:
        return "-"
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(unix_s)


def _plain(value: Value) -> float | int | str | bool:
    return value.value.hex() if isinstance(value.value, bytes) else value.value


def said(value: Value) -> str:
    """A value for people: of the unit `/`, per cent."""
    plain = _plain(value)
    if isinstance(plain, bool):
        return _("yes") if plain else _("no")
    if isinstance(plain, float | int) and value.unit == "/":
        return f"{plain * 100:.0f} %"
    return f"{plain} {value.unit}".strip()
