"""A connection to a broker, kept up: made again by chance-spread tries, under certificates that may change, with a status.

A session that outlives its connections, QoS 1. Nothing is ever sent in clear where TLS was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple, Protocol

from gateway.config import Broker
from gateway.errors import HostError
from gateway.upstream.client import Packed
from gateway.upstream.connection import Connection, Door, LostError, Message
from gateway.upstream.tls import Trust

log = logging.getLogger("gateway.upstream")

BACKOFF_S = 0.5
FILES_S = 10.0  # between two looks at the certificates
DRAIN_S = 5.0  # what is under way may take so long before a connection is made anew
GOODBYE_S = 2.0
_STEADY_S = 30.0  # a connection of this age counts as a good one, even if nothing was sent
_PACKED_MAX = 64  # different sets of properties that are kept packed

OnState = Callable[[str, str], None]


class Publish(Protocol):
    """publish(topic, payload, content_type, user properties, retain): written in the order of the calls; the future is done
    when the broker has acknowledged, and ends with HostError broker_refused or LostError.
    """

    def __call__(
        self, topic: str, payload: bytes, content_type: str, properties: Mapping[str, str] = ..., retain: bool = ...
    ) -> asyncio.Future[None]: ...


class Inbound(NamedTuple):
    """What to subscribe to, and who hears it. At most `receive_max` messages wait for their `done()`; then the broker waits."""

    topics: tuple[str, ...]
    on_message: Callable[[Message], None]
    receive_max: int


@dataclass(slots=True)
class Counts:
    """Since the start: connections made, tries that failed, connections lost; publishes acknowledged, MQTT bytes written."""

    connects: int = 0
    refused: int = 0
    lost: int = 0
    publishes: int = 0
    bytes_out: int = 0


class Session:
    """Keeps a connection to the broker of `config`, for as long as `run` runs.

    `on_state(name, detail)` hears "connected", "broker_lost", "broker_refused" and "bad_certificate". `status`: topic for who
    wants to know whether we are there; `unix` is its clock. While connected, `window` and `packet_max_bytes` are the broker's.
    """

    def __init__(
        self, config: Broker, client_id: str, password: str | None, on_state: OnState,
        *, status: str = "", unix: Callable[[], float] = time.time, inbound: Inbound | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._client_id = client_id
        self._password = password
        self._on_state = on_state
        self._status = status
        self._inbound = inbound
        self._unix = unix
        self._trust = Trust(config)
        self._renew = asyncio.Event()
        self._connection: Connection | None = None
        self._held: list[Callable[[], None]] | None = None  # what is published while the connection is made anew
        self._packed: dict[tuple[str, tuple[tuple[str, str], ...]], Packed] = {}
        self._past = Counts()

    @property
    def window(self) -> int:
        """Messages that the broker takes before it acknowledges one."""
        return self._connection.window if self._connection else 0

    @property
    def packet_max_bytes(self) -> int:
        """The longest message that the broker takes."""
        return self._connection.packet_max_bytes if self._connection else 0

    @property
    def counts(self) -> Counts:
        """What happened since the start."""
        past, now = self._past, self._connection
        acked, out = (now.n_acked, now.bytes_out) if now else (0, 0)
        return Counts(past.connects, past.refused, past.lost, past.publishes + acked, past.bytes_out + out)

    def renew(self) -> None:
        """Look at the certificates now, and make the connection anew if they are others."""
        self._renew.set()

    async def run(self, work: Callable[[Publish], Awaitable[None]]) -> None:
        """Connect, `work(publish)` until the connection is lost, wait (longer each time, by chance), again. Ends when
        `work` returns by itself.
        """
        tries = 0
        while True:
            began_s = asyncio.get_running_loop().time()
            acked = self.counts.publishes
            try:
                await self._open()
                await self._serve(work)
                return
            except (LostError, HostError) as error:
                self._said(error)
            finally:
                self._close()
            if self.counts.publishes > acked or asyncio.get_running_loop().time() - began_s > _STEADY_S:
                tries = 0
            # Full jitter: after a power cut in the whole town its gateways must not come back in step.
            await self._pause(random.uniform(0, min(self._config.reconnect_max_s, BACKOFF_S * 2**tries)))
            tries = min(tries + 1, 20)

    async def _pause(self, wait_s: float) -> None:
        """Who says `renew` has mended something, and wants to see it now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._renew.wait()
        self._renew.clear()

    def _said(self, error: LostError | HostError) -> None:
        if isinstance(error, HostError):
            if error.name not in ("broker_refused", "bad_certificate"):
                raise error
            self._past.refused += 1
            self._on_state(error.name, f"{error.what} {error.where}".strip())
        elif self._connection is None:
            self._past.refused += 1
            self._on_state("broker_refused", str(error))
        else:
            self._past.lost += 1
            self._on_state("broker_lost", str(error))

    async def _open(self) -> None:
        """A connection, and the word that we are there."""
        config = self._config
        self._look()
        context = self._trust.context()
        will = (self._status, self._state(False, reason="lost")) if self._status else None
        me = (self._client_id, config.username, self._password)
        inbound = self._inbound
        door = Door(
            config.host, config.tcp_port, *me, context, config.session_expiry_s, will, inbound.receive_max if inbound else None
        )  # fmt: skip
        connection = Connection(door, inbound.on_message if inbound else None)
        try:
            await connection.open()
            if inbound:
                await connection.subscribe(inbound.topics)
        except BaseException as error:
            connection.close()
            if isinstance(error, HostError) and error.name == "bad_certificate" and self._trust.doubted():
                log.warning("%s: not with the new certificates; the ones before stay in force", config.url)
            raise
        self._trust.proven()
        self._past.connects += 1
        self._connection = connection
        self._on_state("connected", config.url)
        self._tell(True, since=round(self._unix()))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._held = None
        if connection is not None:
            connection.close()
            self._past.publishes += connection.n_acked
            self._past.bytes_out += connection.bytes_out

    async def _serve(self, work: Callable[[Publish], Awaitable[None]]) -> None:
        worker = asyncio.ensure_future(work(self._publish))
        watcher = asyncio.ensure_future(self._watch_files())
        try:
            while True:
                assert self._connection is not None
                await asyncio.wait({worker, watcher, self._connection.lost}, return_when=asyncio.FIRST_COMPLETED)
                if worker.done():
                    worker.result()
                    await self._goodbye()
                    return
                if self._connection.lost.done():
                    self._connection.lost.result()
                watcher.result()
                await self._anew()
                watcher = asyncio.ensure_future(self._watch_files())
        except asyncio.CancelledError:
            self._tell(False, since=round(self._unix()), reason="stopped")
            raise
        finally:
            for task in (worker, watcher):
                task.cancel()
            await asyncio.gather(worker, watcher, return_exceptions=True)

    async def _goodbye(self) -> None:
        self._tell(False, since=round(self._unix()), reason="stopped")
        assert self._connection is not None
        await self._connection.drained(GOODBYE_S)

    # Publishing

    def _publish(
        self, topic: str, payload: bytes, content_type: str, properties: Mapping[str, str] = {}, retain: bool = False
    ) -> asyncio.Future[None]:
        key = (content_type, tuple(properties.items()))
        packed = self._packed.get(key)
        if packed is None:
            if len(self._packed) >= _PACKED_MAX:
                self._packed.clear()
            packed = self._packed[key] = Packed(content_type, properties)
        if self._held is not None:
            return self._hold(topic, payload, packed, retain)
        assert self._connection is not None
        return self._connection.publish(topic, payload, packed, retain)

    def _hold(self, topic: str, payload: bytes, packed: Packed, retain: bool) -> asyncio.Future[None]:
        """Keep it for the next connection."""
        outer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def send() -> None:
            assert self._connection is not None
            self._connection.publish(topic, payload, packed, retain).add_done_callback(done)

        def done(inner: asyncio.Future[None]) -> None:
            error = inner.exception()
            if outer.done():
                return
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(None)

        assert self._held is not None
        self._held.append(send)
        return outer

    # Status

    def _state(self, online: bool, **more: int | str) -> bytes:
        return json.dumps({"online": online, "version": _version(), **more}).encode()

    def _tell(self, online: bool, **more: int | str) -> None:
        """Our status, retained; a broker that refuses it gets the readings all the same."""
        connection = self._connection
        if self._status and connection is not None:
            told = connection.publish(self._status, self._state(online, **more), Packed("application/json", {}), True)
            told.add_done_callback(_told)

    # Certificates

    async def _watch_files(self) -> None:
        """Returns when there are new certificates, and they can be used."""
        while not self._look():
            await self._pause(FILES_S)

    def _look(self) -> bool:
        """Are there new certificates that can be used? Bad ones are named, and those before stay in force."""
        if not self._trust.changed():
            return False
        try:
            self._trust.load()
        except HostError as error:
            self._on_state(error.name, f"{error.what} {error.where}")
            return False
        return True

    async def _anew(self) -> None:
        """Let the broker acknowledge what is under way, then connect with the new certificates; `work` sees nothing of it."""
        assert self._connection is not None
        log.info("%s: new certificates", self._config.url)
        self._held = []
        await self._connection.drained(DRAIN_S)
        held = self._held
        self._close()
        self._held = held
        await self._open()
        self._held = None
        for send in held:
            send()


def _told(future: asyncio.Future[None]) -> None:
    if not future.cancelled() and isinstance(error := future.exception(), HostError):
        log.warning("the broker takes no status of us: %s", error.what)


def _version() -> str:
    try:
        return version("jourdain")
    except PackageNotFoundError:
        return "0"


def _end_of(messages: asyncio.Queue[Message | None], _: asyncio.Future[None]) -> None:
    messages.put_nowait(None)


async def subscribe(
    config: Broker, topics: Iterable[str], password: str | None, on_state: OnState
) -> AsyncGenerator[Message, None]:
    """Messages of these topics, QoS 1, for ever; after a lost connection a new one is made, as in Session.

    Raises HostError (broker_refused, bad_certificate) when the first connection cannot be made.
    """
    topics = tuple(topics)
    ever = False
    tries = 0
    while True:
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        door = Door(config.host, config.tcp_port, "", config.username, password, Trust(config).context())
        connection = Connection(door, messages.put_nowait)
        try:
            await connection.open()
            await connection.subscribe(topics)
            on_state("connected", config.url)
            ever, tries = True, 0
            connection.lost.add_done_callback(partial(_end_of, messages))
            while (message := await messages.get()) is not None:
                yield message
            connection.lost.result()
        except (LostError, HostError) as error:
            if not ever:
                if isinstance(error, HostError):
                    raise
                hint = "is a broker with MQTT 5 running there?"
                raise HostError("broker_refused", str(error), config.url, hint) from None
            on_state("broker_lost", str(error))
        finally:
            connection.close()
        await asyncio.sleep(random.uniform(0, min(config.reconnect_max_s, BACKOFF_S * 2**tries)))
        tries = min(tries + 1, 20)
