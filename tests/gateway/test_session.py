"""The MQTT connection against a real broker, against none, and against one that says no."""

import asyncio
import socket
import time

import gatedesk as desk
import pytest

from gateway.config import Upstream
from gateway.upstream import connection, session
from tools.twin.broker import free_port


class Stage:
    """A session with what it said."""

    def __init__(self, url, **settings):
        self.states = []
        config = Upstream(url=url, **{"reconnect_max_s": 0.5, **settings})
        self.session = session.Session(config, "jourdain-test", None, lambda *said: self.states.append(said))

    @property
    def names(self):
        return [name for name, _ in self.states]


def run(work):
    asyncio.run(asyncio.wait_for(work, 30))


@pytest.fixture
def quick(monkeypatch):
    """Half a second is long for a test."""
    monkeypatch.setattr(session, "BACKOFF_S", 0.02)


def test_publish_is_done_when_the_broker_says_so(broker, listener):
    stage = Stage(broker)

    async def work(publish):
        await asyncio.gather(*(publish("jourdain/a/b/frames", b"\x80", "application/cbor") for _ in range(50)))

    run(stage.session.run(work))
    desk.until(lambda: len(listener.messages) == 50)
    assert {m.properties.ContentType for m in listener.messages} == {"application/cbor"}
    assert stage.names == ["connected"]


@pytest.mark.parametrize("silent", [True, False], ids=["idle", "with batches in flight"])
def test_a_cut_is_noticed_and_mended(proxy, listener, quick, silent):
    stage = Stage(proxy.url)
    lives = []

    async def work(publish):
        lives.append(time.monotonic())
        if len(lives) == 1:
            proxy.cut()
            asyncio.get_running_loop().call_later(0.5, proxy.mend)
            if silent:
                await asyncio.sleep(30)
            while True:
                await publish("jourdain/a/b/frames", b"\x80", "application/cbor")
                await asyncio.sleep(0.01)
        await publish("jourdain/a/b/frames", b"\x81\x01", "application/cbor")

    run(stage.session.run(work))
    assert stage.names[0] == "connected"
    assert stage.names[1] == "broker_lost"
    assert stage.names[-1] == "connected"
    assert lives[1] - lives[0] < 3
    desk.until(lambda: any(m.payload == b"\x81\x01" for m in listener.messages))


@pytest.mark.produces("broker_refused")
def test_no_broker_there(quick):
    port = free_port()
    stage = Stage(f"mqtt://127.0.0.1:{port}")

    async def work():
        task = asyncio.create_task(stage.session.run(lambda publish: None))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(work())
    assert set(stage.names) == {"broker_refused"}
    assert 4 <= len(stage.names) <= 20, "again and again, but not at once"


class Refusing:
    """An MQTT 5 broker of forty lines that refuses: a connection, or a batch."""

    def __init__(self, connack, puback):
        self.connack, self.puback = connack, puback
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                kind = (await reader.readexactly(1))[0]
                length = (await reader.readexactly(1))[0]
                assert length < 128
                body = await reader.readexactly(length)
                if kind == 0x10:
                    writer.write(bytes((0x20, 3, 0, self.connack, 0)))
                elif kind == 0x32:
                    at = 2 + int.from_bytes(body[:2], "big")
                    writer.write(bytes((0x40, 4)) + body[at : at + 2] + bytes((self.puback, 0)))
                elif kind == 0xE0:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@pytest.mark.produces("broker_refused")
@pytest.mark.parametrize(("connack", "puback", "words"), [(0x87, 0, "Not authorized"), (0, 0x97, "Quota exceeded")])
def test_a_broker_that_says_no_has_not_taken_the_batch(quick, connack, puback, words):
    async def work():
        async with Refusing(connack, puback) as broker:
            stage = Stage(broker.url)
            taken = []

            async def connected(publish):
                await publish("jourdain/a/b/senml", b"\x80", "application/senml+cbor")
                taken.append("taken")

            task = asyncio.create_task(stage.session.run(connected))
            while broker.connections < 3:
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert taken == []
            assert words in " ".join(detail for name, detail in stage.states if name == "broker_refused")

    run(work())


@pytest.mark.produces("broker_refused")
def test_tls_is_never_given_up_for_clear_text(quick):
    """A server that answers the handshake with nonsense: what it sees of us is a handshake, again and again."""

    async def work():
        seen = []

        async def serve(reader, writer):
            seen.append(await reader.read(3))
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        stage = Stage(f"mqtts://localhost:{server.sockets[0].getsockname()[1]}", username="u")
        task = asyncio.create_task(stage.session.run(lambda publish: None))
        while len(seen) < 4:
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        assert {first[:2] for first in seen if first} == {b"\x16\x03"}
        assert set(stage.names) == {"broker_refused"}

    run(work())


def test_tries_spread_by_chance_ever_wider(monkeypatch):
    asked = []
    monkeypatch.setattr(session.random, "uniform", lambda low, high: asked.append((low, high)) or 0.0)
    stage = Stage(f"mqtt://127.0.0.1:{free_port()}", reconnect_max_s=20)

    async def work():
        task = asyncio.create_task(stage.session.run(lambda publish: None))
        while len(asked) < 9:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(work())
    assert asked[:9] == [(0, s) for s in (0.5, 1, 2, 4, 8, 16, 20, 20, 20)]


def test_a_broker_that_says_nothing_holds_nobody_back(quick):
    """TCP opens, then silence: who ends the daemon does not wait for the dialling to give up."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        stage = Stage(f"mqtts://127.0.0.1:{mute.getsockname()[1]}")

        async def work():
            task = asyncio.create_task(stage.session.run(lambda publish: None))
            await asyncio.get_running_loop().run_in_executor(None, mute.accept)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        start = time.monotonic()
        run(work())
        assert time.monotonic() - start < connection.CONNECT_TIMEOUT_S / 2


@pytest.mark.produces("bad_certificate")
def test_a_certificate_that_is_none_is_named_again_and_again(tmp_path, quick):
    """It may come right by itself: the daemon goes on receiving."""
    (tmp_path / "ca.pem").write_text("no certificate")
    stage = Stage("mqtts://localhost:1", ca_file=tmp_path / "ca.pem")

    async def work():
        task = asyncio.create_task(stage.session.run(lambda publish: None))
        while len(stage.states) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(work())
    assert set(stage.names) == {"bad_certificate"}
    assert "cannot be used" in stage.states[0][1]
    assert str(tmp_path / "ca.pem") in stage.states[0][1]
