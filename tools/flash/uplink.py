"""The first uplink of a board: opened with its own key on its cable, or seen upstream as its gateway has read it."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from gateway.errors import HostError
from tools.diag.fields import fields
from tools.flash.running import LOOK_S, Running
from tools.i18n import _

KEPT_MAX = 8  # a board on a cable seals no more than this ahead of its gateway, so that nothing new may come
OPENING_S = 15.0
_TAKEN = re.compile(r"taken (\d+) ")


class Seen(NamedTuple):
    """An uplink: `via` is cable or gateway; values: {name: {"value", "unit"}} in SenML's units."""

    kid: str
    piv: int
    via: str
    values: dict[str, dict[str, Any]]


def taken(log: list[str]) -> list[int]:
    """Counters of the frames that a board's log says it has sealed since its boot."""
    return [int(found[1]) for line in log if (found := _TAKEN.match(line))]


def on_cable(running: Running, kid: str, secret: str, wait_s: float, *, fresh: bool) -> Seen | None:
    """The board's uplink on its own line, or None when none came. HostError (bad_keys) for one that does not open.

    fresh: one that was sealed since this boot is waited for, else the newest that its gateway has not handled yet counts.
    """

    def look() -> list[Seen] | None:
        seen = [opened(frame, kid, secret, running.name) for frame in running.frames]
        new = [each for each in seen if not fresh or each.piv in taken(running.log)]
        return new or (seen if len(seen) >= KEPT_MAX else None)

    found = running.until(look, wait_s) or [opened(frame, kid, secret, running.name) for frame in running.frames]
    return max(found, key=lambda seen: seen.piv, default=None)


def opened(frame: bytes, kid: str, secret: str, port: str) -> Seen:
    """What is in a sealed frame. HostError (bad_keys) when it is not this key's."""
    try:
        there = parse(frame).kid.hex()
        if there != kid:
            raise WireError("kid")
        found = fields(frame.hex(), secret)
    except WireError as error:
        what = _("the board sent a frame that its key, {kid}, does not open: {error}").format(kid=kid, error=error.name)
        raise HostError("bad_keys", what, port, _("run the command again; if that does not help, make a new key")) from None
    values = {name: _primary(field) for name, field in found["readings"][-1]["values"].items()}
    if "error" in found["payload"]:
        values["error"] = {"value": found["payload"]["error"].get("meaning", ""), "unit": ""}
    return Seen(kid, found["header"]["piv"], "cable", values)


def _primary(field: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": field.get("senml_value", field["value"]), "unit": field.get("senml_unit", field["unit"])}


def way(seen: Seen) -> str:
    """Which way it was seen, for people."""
    return {"cable": _("cable"), "gateway": _("gateway")}.get(seen.via, seen.via)


def said(seen: Seen) -> str:
    """The values of an uplink in one line: `fill 16 %  distance 1.0 m`."""
    from tools.diag.listen import said as value_said  # noqa: PLC0415 - cbor2 and pydantic, once there is something to show
    from tools.diag.senml_read import Value  # noqa: PLC0415

    return "  ".join(f"{_(name)} {value_said(Value(field['value'], field['unit']))}" for name, field in seen.values.items())


class Upstream:
    """Listens at a broker for what gateways publish, from `start` until `close`, for all boards at once.

    Made of a gateway.config.Upstream and a password. `wait` may be called by any thread.
    """

    def __init__(self, config: Any, password: str | None) -> None:
        self._config = config
        self._password = password
        self._seen: dict[tuple[str, str], Seen] = {}
        self._changed = threading.Condition()
        self._error: HostError | None = None
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> "Upstream":
        """Subscribe. HostError: broker_refused, bad_certificate."""
        threading.Thread(target=self._run, daemon=True).start()
        self._up.wait(OPENING_S)
        if self._error:
            raise self._error
        return self

    def close(self) -> None:
        """Listen no more."""
        if self._loop and self._task:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)

    def wait(self, site: str, kid: str, from_piv: int, wait_s: float, halt: Callable[[], None]) -> Seen | None:
        """The reading of a key id whose counter is `from_piv` or above, or None after `wait_s`."""

        def here() -> Seen | None:
            found = self._seen.get((site, kid))
            return found if found and found.piv >= from_piv else None

        left_s = wait_s
        with self._changed:
            while not (found := here()) and left_s > 0:
                halt()
                self._changed.wait(min(LOOK_S, left_s))
                left_s -= LOOK_S
        return found

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._listen())

    async def _listen(self) -> None:
        from gateway.upstream.session import subscribe  # noqa: PLC0415 - paho, only where a broker is given

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        messages = subscribe(self._config, ["jourdain/+/+/senml"], self._password, lambda _name, _detail: self._up.set())
        try:
            async with contextlib.aclosing(messages):
                async for message in messages:
                    self._take(message.topic.split("/")[1], message.payload)
        except HostError as error:
            self._error = error
        finally:
            self._up.set()

    def _take(self, site: str, payload: bytes) -> None:
        from tools.diag.senml_read import PackError, read  # noqa: PLC0415

        with contextlib.suppress(PackError):
            for reading in read(site, payload):
                if reading.piv is None:
                    continue
                values = {name: {"value": _plain(value.value), "unit": value.unit} for name, value in reading.values.items()}
                seen = Seen(reading.kid, reading.piv, "gateway", values)
                with self._changed:
                    before = self._seen.get((site, reading.kid))
                    if before is None or before.piv < seen.piv:
                        self._seen[site, reading.kid] = seen
                        self._changed.notify_all()


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def broker(url: str, user: str | None, ca_file: str | None, password: str | None) -> Upstream:
    """Who listens at this broker. HostError: bad_config, broker_refused, bad_certificate."""
    from pydantic import ValidationError  # noqa: PLC0415

    from gateway.config import Upstream as Config  # noqa: PLC0415

    try:
        config = Config.model_validate({"url": url, "username": user, "ca_file": ca_file})
    except ValidationError as error:
        raise HostError("bad_config", error.errors()[0]["msg"], url, "mqtt://HOST[:PORT]") from None
    return Upstream(config, password).start()


def document(seen: Seen | None) -> Mapping[str, Any] | None:
    """For JSON and the record."""
    return {"kid": seen.kid, "piv": seen.piv, "via": seen.via, "values": seen.values} if seen else None
