"""The client library's quick ways: what is read at once, written at once, and acknowledged without a reason."""

import asyncio

import pytest

from gateway.errors import HostError
from gateway.upstream.client import Client, Packed
from gateway.upstream.connection import Connection, Door, LostError

CONNACK = b"\x20\x03\x00\x00\x00"
PLAIN = Packed("text/plain", {})


class Broker:
    """One who says what it is told to say, to one client."""

    def __init__(self):
        self.came = asyncio.Queue()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.say = writer.write
        await reader.read(1024)
        self.say(CONNACK)
        while data := await reader.read(65536):
            self.came.put_nowait(data)
        writer.close()

    async def numbers(self, n):
        """Of the next n publishes, as they were packed: topic "t", no properties but the content type, payload "x"."""
        data = b""
        while len(data) < n * len(b"\x32\x14\x00\x01t..\x0d\x03\x00\x0atext/plainx"):
            data += await self.came.get()
        size = len(data) // n
        return [data[i + 5 : i + 7] for i in range(0, len(data), size)]


def run(work):
    async def whole():
        async with Broker() as broker:
            connection = Connection(Door("127.0.0.1", broker.port, "one"))
            await connection.open()
            try:
                async with asyncio.timeout(10):
                    await work(broker, connection)
            finally:
                connection.close()

    asyncio.run(whole())


def test_acknowledgements_cut_anywhere():
    async def work(broker, connection):
        for cut in range(1, 20):
            futures = [connection.publish("t", b"x", PLAIN) for _ in range(5)]
            answers = b"".join(b"\x40\x02" + number for number in await broker.numbers(5))
            broker.say(answers[:cut])
            await asyncio.sleep(0)
            broker.say(answers[cut:])
            await asyncio.gather(*futures)

    run(work)


def test_reasons_are_heard_between_plain_ones():
    async def work(broker, connection):
        futures = [connection.publish("t", b"x", PLAIN) for _ in range(4)]
        a, b, c, d = await broker.numbers(4)
        nobody_listens, not_authorized = b"\x40\x03" + b + b"\x10", b"\x40\x04" + c + b"\x87\x00"
        broker.say(b"\x40\x02" + a + nobody_listens + not_authorized + b"\x40\x02" + b"\xff\xff" + b"\x40\x02" + d)
        await asyncio.gather(futures[0], futures[1], futures[3])
        with pytest.raises(HostError) as caught:
            await futures[2]
        assert caught.value.name == "broker_refused"

    run(work)


def test_what_is_published_at_once_leaves_at_once(monkeypatch):
    sizes, plain = [], []
    send, ack = Client._sock_send, Client._do_on_publish
    monkeypatch.setattr(Client, "_sock_send", lambda self, data: sizes.append(len(data)) or send(self, data))
    monkeypatch.setattr(Client, "_do_on_publish", lambda self, mid, *more: plain.append(more[1] is None) or ack(self, mid, *more))

    async def work(broker, connection):
        sizes.clear()
        futures = [connection.publish("t", b"x", PLAIN) for _ in range(5)]
        numbers = await broker.numbers(5)
        assert len(sizes) == 1, "one system call"
        broker.say(b"".join(b"\x40\x03" + number + b"\x10" for number in numbers))  # nobody listens
        await asyncio.gather(*futures)
        assert plain == [True] * 5, "this version of the library calls the quick way"

    run(work)


def test_the_end_between_two_bytes():
    async def work(broker, connection):
        future = connection.publish("t", b"x", PLAIN)
        (number,) = await broker.numbers(1)
        broker.say(b"\x40\x02" + number[:1])
        await asyncio.sleep(0)
        broker._server.close()
        broker.say(b"\xe0\x02")  # nonsense after half a PUBACK
        connection._drop(LostError("cut"))
        with pytest.raises(LostError):
            await future

    run(work)
