"""The MQTT connection: the one file that knows the client library.

MQTT 5, QoS 1, a session that outlives the connection. Nothing is ever sent in clear where TLS was asked for.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config import Upstream
from gateway.errors import HostError

# What the client library says by itself: every reset connection as an error. We say it once, in our words.
library_log = logging.getLogger("gateway.mqtt")

BACKOFF_S = (0.5, 5.0)
ACK_TIMEOUT_S = 20.0
_KEEPALIVE_S = 20

# publish(topic, payload, content_type) returns when the broker has acknowledged.
Publish = Callable[[str, bytes, str], Coroutine[Any, Any, None]]


class Session:
    """Keeps a connection to the broker of `config`, for as long as `run` runs.

    `on_state(name, detail)` hears "connected", "broker_lost" and "broker_refused".
    """

    def __init__(self, config: Upstream, client_id: str, password: str | None, on_state: Callable[[str, str], None]) -> None:
        self._config = config
        self._client_id = client_id
        self._password = password
        self._on_state = on_state
        try:
            self._tls = ssl.create_default_context(cafile=config.ca_file) if config.tls else None
        except (OSError, ssl.SSLError) as error:
            hint = "it must hold certificates in PEM form"
            raise HostError("bad_config", f"ca_file cannot be used: {error}", str(config.ca_file), hint) from None

    async def run(self, work: Callable[[Publish], Awaitable[None]]) -> None:
        """Connect, `work(publish)` until the connection is lost, wait (longer each time, by chance), again. Ends when
        `work` returns by itself.
        """
        delay_s = BACKOFF_S[0]
        while True:
            connected = False
            client = self._client()
            try:
                async with client:
                    connected = True
                    delay_s = BACKOFF_S[0]
                    self._on_state("connected", self._config.url)
                    await self._serve(client, work)
                    return
            except aiomqtt.MqttError as error:
                self._on_state("broker_lost" if connected else "broker_refused", str(error))
            except HostError as error:
                if error.name != "broker_refused":
                    raise
                self._on_state(error.name, error.what)
            finally:
                if not connected:
                    client._client.disconnect()  # a half-open connection would stay for as long as the process
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, BACKOFF_S[1])

    def _client(self) -> aiomqtt.Client:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._config.session_expiry_s
        client = aiomqtt.Client(
            self._config.host,
            self._config.tcp_port,
            username=self._config.username,
            password=self._password,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            keepalive=_KEEPALIVE_S,
            max_inflight_messages=self._config.in_flight,
            tls_context=self._tls,
            logger=library_log,
        )
        # The window is ours: more calls than ten at a time are meant.
        client.pending_calls_threshold = 2 * self._config.in_flight
        _watch_closing(client)
        return client

    async def _serve(self, client: aiomqtt.Client, work: Callable[[Publish], Awaitable[None]]) -> None:
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _watch_refusals(client, refused)

        async def publish(topic: str, payload: bytes, content_type: str) -> None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = content_type
            await client.publish(topic, payload, qos=1, properties=properties, timeout=ACK_TIMEOUT_S)

        tasks: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(work(publish)),
            asyncio.ensure_future(_lost(client)),
            refused,
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def _lost(client: aiomqtt.Client) -> None:
    """Raise MqttError when the connection ends; nothing is subscribed, so no message comes."""
    async for _ in client.messages:
        pass
    raise aiomqtt.MqttError("the connection ended")


def _watch_closing(client: aiomqtt.Client) -> None:
    # A connection that is closed before the CONNACK would be waited for until its time is up.
    inner: Any = client._client
    theirs = inner.on_disconnect
    loop = asyncio.get_running_loop()

    def give_up() -> None:
        if not client._connected.done():
            client._connected.set_exception(aiomqtt.MqttError("closed before the broker answered"))

    def on_disconnect(*args: Any) -> None:
        theirs(*args)
        loop.call_soon_threadsafe(give_up)

    inner.on_disconnect = on_disconnect


def _watch_refusals(client: aiomqtt.Client, refused: asyncio.Future[None]) -> None:
    # aiomqtt takes every PUBACK for a yes; a broker may also answer "not authorized" or "quota exceeded".
    inner: Any = client._client
    accepted = inner.on_publish

    def on_publish(paho: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        if getattr(reason, "is_failure", False):
            if not refused.done():
                hint = "allow this client to publish on jourdain/#"
                refused.set_exception(HostError("broker_refused", f"the broker refused a batch: {reason}", hint=hint))
        else:
            accepted(paho, userdata, mid, reason, properties)

    inner.on_publish = on_publish


class Message(NamedTuple):
    """A message that the broker delivered."""

    topic: str
    payload: bytes
    content_type: str


async def subscribe(
    config: Upstream, topics: Iterable[str], password: str | None, on_state: Callable[[str, str], None]
) -> AsyncGenerator[Message, None]:
    """Messages of these topics, QoS 1, for ever; after a lost connection a new one is made, as in Session.

    Raises HostError (broker_refused) when the first connection cannot be made.
    """
    delay_s = BACKOFF_S[0]
    ever = False
    while True:
        client = aiomqtt.Client(
            config.host,
            config.tcp_port,
            username=config.username,
            password=password,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=_KEEPALIVE_S,
            tls_context=ssl.create_default_context(cafile=config.ca_file) if config.tls else None,
            logger=library_log,
        )
        try:
            async with client:
                for topic in topics:
                    await client.subscribe(topic, qos=1)
                on_state("connected", config.url)
                ever, delay_s = True, BACKOFF_S[0]
                async for message in client.messages:
                    content_type = getattr(message.properties, "ContentType", "")
                    payload = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
                    yield Message(str(message.topic), payload, content_type)
        except (aiomqtt.MqttError, ValueError) as error:
            if not ever:
                hint = "is a broker with MQTT 5 running there?"
                raise HostError("broker_refused", str(error), config.url, hint) from None
            on_state("broker_lost", str(error))
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
        delay_s = min(2 * delay_s, BACKOFF_S[1])
