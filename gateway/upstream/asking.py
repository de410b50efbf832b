"""Ask a broker for what is retained under one topic, and know when nothing is."""

from __future__ import annotations

import asyncio
import logging
import secrets

from gateway.config import Upstream
from gateway.errors import HostError
from gateway.upstream.client import Packed
from gateway.upstream.connection import Connection, Door, LostError, Message
from gateway.upstream.tls import Trust

log = logging.getLogger("gateway.upstream")

RETRY_S = 0.5
GRACE_S = 0.2  # a broker may hand out what is retained beside what is new


async def ask(config: Upstream, password: str | None, topic: str, within_s: float) -> bytes | None:
    """The retained message of `topic`, b"" when the broker has none; None: it could not be asked `within_s` seconds."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await _once(config, password, topic)
                except (LostError, HostError) as error:
                    log.info("%s: cannot be asked for %s: %s", config.name, topic, error)
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        return None


async def _once(config: Upstream, password: str | None, topic: str) -> bytes:
    """A message of our own comes back behind everything that the broker had for us before."""
    came: asyncio.Queue[Message | None] = asyncio.Queue()
    door = Door(config.host, config.tcp_port, "", config.username, password, Trust(config).context())
    connection = Connection(door, came.put_nowait)
    mine, token = topic + "/asked", secrets.token_bytes(8)
    found = b""
    try:
        await connection.open()
        await connection.subscribe([topic, mine])
        connection.lost.add_done_callback(lambda _: came.put_nowait(None))
        connection.publish(mine, token, Packed("application/octet-stream", {}))
        while message := await came.get():
            if message.topic == topic:
                found = message.payload
            elif message.payload == token:
                if not found:
                    await asyncio.sleep(GRACE_S)
                    while not came.empty() and (late := came.get_nowait()) and late.topic == topic:
                        found = late.payload
                return found
        connection.lost.result()
        raise LostError("the connection has ended")
    finally:
        connection.close()
