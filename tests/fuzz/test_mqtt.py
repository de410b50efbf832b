"""A hostile broker: whatever it sends, its connection ends by name, and everything else goes on."""

import asyncio
import random
import socket

import door
import paho.mqtt.client as paho
import pytest

from gateway.errors import HostError
from gateway.upstream.client import Packed
from gateway.upstream.connection import Connection, Door, LostError

CONNACK = bytes.fromhex("20 03 00 00 00")
CONNACK_FULL = bytes.fromhex("20 12 00 00 0f 21 00 14 27 00 01 00 00 22 00 0a 24 01 25 01")
NOT_TODAY = bytes.fromhex("20 03 00 87 00")
PUBACK, PUBACK_NO = bytes.fromhex("40 02 00 01"), bytes.fromhex("40 04 00 01 97 00")
SUBACK = bytes.fromhex("90 04 00 02 00 01")
PUBLISH_0 = bytes.fromhex("30 09 00 03 612f62 00 80 81 05")
PUBLISH_1 = bytes.fromhex("32 20 00 03 612f62 00 07 15 03 00 04 63626f72 26 00 04 6c616e65 00 04 6c697665 81 05")
PUBLISH_2 = bytes.fromhex("34 0a 00 03 612f62 00 09 00 81 05")
PUBREL, PUBREC = bytes.fromhex("62 02 00 09"), bytes.fromhex("50 02 00 01")
PING, GOODBYE, AUTH = bytes.fromhex("d0 00"), bytes.fromhex("e0 02 8b 00"), bytes.fromhex("f0 00")
SEEDS = [
    CONNACK + PUBACK + PING,
    CONNACK_FULL + PUBACK + SUBACK + PUBLISH_0 + PUBLISH_1,
    CONNACK + PUBLISH_2 + PUBREL + PUBACK_NO,
    CONNACK + GOODBYE,
    CONNACK + PUBREC + AUTH,
    NOT_TODAY,
]
WORDS = [b"\x20\x03\x00\x00\x00", b"\x40\x02", b"\x32\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80", b"\x26\x00", b"\x0b\x01"]


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield made
    asyncio.set_event_loop(None)
    made.close()


def test_a_hostile_broker(loop, monkeypatch):
    """Bytes for the client instead of a broker's, over a socket in memory."""
    ours = []
    messages = []

    class Ours(socket.socket):
        def setsockopt(self, *_):
            """There is no TCP to set."""

    monkeypatch.setattr(paho.Client, "_create_socket", lambda _: ours.pop())

    async def serve(data):
        end, theirs = socket.socketpair()
        ours.append(Ours(fileno=end.detach()))
        connack = data[:1] == b"\x20" and data[3:4] == b"\0" and data[1] < 0x80  # which is answered
        head = 2 + data[1] if connack else len(data)
        theirs.sendall(data[:head])
        if head >= len(data):
            theirs.shutdown(socket.SHUT_WR)
        connection = Connection(Door("broker", 1883), messages.append)
        try:
            await connection.open()
            sent = connection.publish("jourdain/a/b/senml", b"\x80", Packed("application/senml+cbor", {}))
            if head < len(data):
                theirs.sendall(data[head:60_000])
                theirs.shutdown(socket.SHUT_WR)
            await asyncio.wait({connection.lost}, timeout=5)
            assert connection.lost.done(), "a connection that ended is not noticed"
            assert sent.done(), "who publishes waits for ever"
            return "refused" if isinstance(sent.exception(), HostError) else "acknowledged" if not sent.exception() else "ended"
        except LostError:
            return "lost"
        finally:
            connection.close()
            theirs.close()

    def mqtt(data):
        messages.clear()
        return loop.run_until_complete(serve(data))

    outcomes = door.run(mqtt, SEEDS, door.COUNT, random.Random(9), tokens=WORDS)
    print(dict(outcomes.most_common()))
    assert outcomes.total() == door.COUNT + len(SEEDS)
    assert outcomes.keys() >= {"lost", "broker_refused", "acknowledged", "ended"}
    assert outcomes.keys() <= {"lost", "broker_refused", "acknowledged", "refused", "ended"}
