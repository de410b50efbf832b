"""Frames that other gateways of the site heard, from a broker: what they may say, and a door that waits for the disk.

A message is acknowledged when everything in it is on disk. Until then the broker keeps it, and sends it again after a cut, to be
recognised as duplicates; how many may wait is told to the broker when the connection is made, and then it waits for us.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import cbor2

from gateway.config import Config, Frames
from gateway.errors import Fault, did_you_mean
from gateway.ingress.source import Source
from gateway.inventory import Inventory
from gateway.street import BLIND
from gateway.upstream.connection import Message
from gateway.upstream.session import Inbound, OnState, Publish, Session

log = logging.getLogger("gateway.frames")

# Frames that come from another gateway's store may be late by as many counters (firmware/wire/README.md, section 1).
WIDTH = 1024
RECEIVE_MAX = 16
FRAMES_MAX = 2000  # in one message, as many as a gateway may be set to send
VERSION = 1
_LATEST_MS = 1 << 52
_LEVELS = 4  # jourdain/<site>/<gateway>/frames


class Heard(NamedTuple):
    """A frame whose reception ended at `unix_ms`, at a bridge of another gateway."""

    source: Source
    unix_ms: int
    frame: bytes
    rssi_dbm: int | None
    snr_x4: int | None


class Batch(NamedTuple):
    """What one message held; `done()` when it is on disk. `stale()`: the broker sends it again, so it may be forgotten."""

    frames: list[Heard]
    done: Callable[[], None]
    stale: Callable[[], bool] = lambda: False


class Refused(Exception):  # noqa: N818 - a reason to count, not a fault
    """A message that is none; str() is the name to count it by."""


def parse(payload: bytes) -> tuple[list[list[Any]], int]:
    """([[unix_ms, frame, rssi_dbm, snr_x4, channel], ...], how many more were malformed) of a message.

    Raises Refused "frames_malformed" or "frames_version".
    """
    try:
        message = cbor2.loads(payload)
        version, _, _, frames = message
    except Exception:
        raise Refused("frames_malformed") from None
    if type(version) is not int or version != VERSION:
        raise Refused("frames_version")
    if type(message) is not list or type(frames) is not list or len(frames) > FRAMES_MAX:
        raise Refused("frames_malformed")
    good = [entry for entry in frames if _good(entry)]
    return good, len(frames) - len(good)


def _good(entry: Any) -> bool:
    if type(entry) is not list or len(entry) < 5:
        return False
    unix_ms, frame, rssi_dbm, snr_x4, channel = entry[:5]
    dated = type(unix_ms) is int and 0 < unix_ms < _LATEST_MS
    return dated and type(frame) is bytes and _whole(rssi_dbm) and _whole(snr_x4) and type(channel) is str


def _whole(value: Any) -> bool:
    return value is None or (type(value) is int and -(2**31) <= value < 2**31)


Bridges = Mapping[str, Callable[[int], int]]  # by name, the milliseconds on air of a frame of n bytes


def faults(config: Config, inventory: Inventory) -> Iterator[Fault]:
    """What gateway.toml says of other gateways must be in the inventory, and be of use to us."""
    me = inventory.gateways[config.gateway.name]
    known = {name for name, one in inventory.gateways.items() if one.site == me.site} - {config.gateway.name}
    for index, door in enumerate(config.frames):
        if me.role in BLIND:
            yield config.fault(("frames", index), f"a {me.role} cannot read what others heard", "leave [[frames]] out")
        for name in door.gateways:
            if name not in known:
                hint = did_you_mean(name, known)
                yield config.fault(("frames", index, "gateways"), f'the site has no other gateway "{name}"', hint)


class Door:
    """One `[[frames]]`. `known`: the gateways of the site and their bridges; `put` takes batches, `count` names."""

    def __init__(
        self, config: Frames, site: str, me: str, known: Mapping[str, Bridges], *,
        put: Callable[[Batch], None], count: Callable[[str, int], None], on_state: OnState,
    ) -> None:  # fmt: skip
        self._put = put
        self._count = count
        self._known = {name: known[name] for name in config.gateways or known if name != me}
        self._own = f"jourdain/{site}/{me}/frames"
        self._sources: dict[tuple[str, str], Source] = {}
        topics = tuple(f"jourdain/{site}/{gateway}/frames" for gateway in config.gateways or ("+",))
        client_id = config.client_id or f"jourdain-{me}-{config.name}-in"
        inbound = Inbound(topics, self.take, RECEIVE_MAX)
        self._session = Session(config, client_id, config.password, on_state, inbound=inbound)

    async def run(self) -> None:
        """Take what comes, until cancelled."""
        await self._session.run(_for_ever)

    def renew(self) -> None:
        """Look at the certificates now; new ones are taken."""
        self._session.renew()

    def take(self, message: Message) -> None:
        """One message of the broker. What is none is counted and acknowledged: it would come for ever."""
        if message.topic == self._own:
            message.done()
            return
        try:
            gateway, heard, bad = self._read(message)
        except Refused as refused:
            log.debug("%s: %s", message.topic, refused)
            self._count(str(refused), 1)
            message.done()
            return
        if bad:
            self._count("frames_malformed", bad)
        self._put(Batch([self._heard(gateway, entry) for entry in heard], message.done, message.stale))

    def _read(self, message: Message) -> tuple[str, list[list[Any]], int]:
        if message.qos != 1:  # nothing holds it back, and nobody sends it again
            raise Refused("frames_qos")
        levels = message.topic.split("/")
        if len(levels) != _LEVELS or levels[2] not in self._known:
            raise Refused("frames_stranger")
        return levels[2], *parse(message.payload)

    def _heard(self, gateway: str, entry: list[Any]) -> Heard:
        unix_ms, frame, rssi_dbm, snr_x4, channel = entry[:5]
        bridges = self._known[gateway]
        bridge = channel if channel in bridges else ""
        source = self._sources.get((gateway, bridge))
        if source is None:
            source = self._sources[gateway, bridge] = Source(gateway, bridges.get(bridge, lambda _: 0))
        return Heard(source, unix_ms, frame, rssi_dbm, snr_x4)


async def _for_ever(_: Publish) -> None:
    await asyncio.Event().wait()
