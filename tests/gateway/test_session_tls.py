"""The MQTT connection against a real Mosquitto: certificates, limits, status, and not a byte in clear."""

import asyncio
import json
import os
import signal

import brokers
import gatedesk as desk
import pytest
from click.testing import CliRunner

from gateway import command
from gateway.config import Upstream
from gateway.errors import HostError
from gateway.upstream import connection, session

TOPIC = "jourdain/plage/poste/senml"
STATUS = "jourdain/plage/poste/status"
CBOR = "application/senml+cbor"


class Stage:
    """A session with the broker's certificates, or others, and what it said."""

    def __init__(self, broker, port=None, **files):
        self.states = []
        cert, key = broker.client_files
        found = {"ca_file": broker.authority.file, "cert_file": cert, "key_file": key, **files}
        url = f"mqtts://localhost:{port or broker.port}"
        config = Upstream(url=url, username="u", reconnect_max_s=0.5, **found)
        self.session = session.Session(config, "poste", "SECRET", lambda *said: self.states.append(said), status=STATUS)

    @property
    def names(self):
        return [name for name, _ in self.states]

    def said(self, name):
        return [detail for found, detail in self.states if found == name]

    async def until(self, condition):
        """Run without work until then."""
        task = asyncio.create_task(self.session.run(_idle))
        while not condition():
            await asyncio.sleep(0.01)
            assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _idle(publish):
    await asyncio.Event().wait()


def run(work):
    asyncio.run(asyncio.wait_for(work, 30))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(session, "BACKOFF_S", 0.02)


@pytest.fixture
def reader(mosquitto):
    found = brokers.Subscriber(mosquitto)
    yield found
    found.close()


def payloads(reader):
    return [m.payload for m in reader.messages if m.topic == TOPIC]


def states(reader):
    return [json.loads(m.payload) for m in reader.messages if m.topic == STATUS]


def test_it_publishes_in_order_within_the_brokers_window(tmp_path):
    if brokers.binary() is None:
        pytest.skip("no mosquitto on this machine: apt install mosquitto")
    broker = brokers.Mosquitto(tmp_path, options=["max_inflight_messages 5", "max_packet_size 2000"])
    reader = brokers.Subscriber(broker)
    stage = Stage(broker)

    async def work(publish):
        assert stage.session.window == 5
        assert stage.session.packet_max_bytes == 2000
        with pytest.raises(HostError, match=r"batch_readings"):
            await publish(TOPIC, bytes(3000), CBOR)
        await asyncio.gather(*(publish(TOPIC, b"%d" % n, CBOR, {"lane": "live"}) for n in range(200)))

    run(stage.session.run(work))
    desk.until(lambda: len(payloads(reader)) == 200)
    assert payloads(reader) == [b"%d" % n for n in range(200)]
    found = reader.messages[-2].properties
    assert (found.ContentType, found.UserProperty) == (CBOR, [("lane", "live")])
    assert stage.names == ["connected"]
    counts = stage.session.counts
    assert (counts.connects, counts.publishes, counts.refused, counts.lost) == (1, 202, 0, 0)  # two of them status
    assert 200 * 60 < counts.bytes_out < 200 * 120
    reader.close()
    broker.close()


def test_whoever_asks_knows_whether_we_are_there(mosquitto, reader):
    stage = Stage(mosquitto)

    async def work(publish):
        while not states(reader):
            await asyncio.sleep(0.01)

    run(stage.session.run(work))
    desk.until(lambda: len(states(reader)) == 2)
    online, offline = states(reader)
    assert online["online"] is True
    assert (offline["online"], offline["reason"]) == (False, "stopped")
    assert offline["since"] >= online["since"]
    late = brokers.Subscriber(mosquitto, name="late")
    desk.until(lambda: states(late) == [offline])
    late.close()


@pytest.mark.parametrize("way", ["SIGKILL", "SIGTERM"])
def test_the_daemon_says_good_bye_or_has_it_said(bridge, start, mosquitto, reader, way):
    folder = bridge.path.parent
    files = desk.Files(folder, {"bridge": bridge.path}, mosquitto.url, f"{mosquitto.settings}batch_age_s = 0.1").write()
    daemon = start(files)
    bridge.hears(desk.frame(1, 1, {1: 3000}))
    desk.until(lambda: payloads(reader))
    if way == "SIGKILL":
        daemon.kill()
    else:
        assert daemon.stop() == 0
    desk.until(lambda: [s["online"] for s in states(reader)] == [True, False])
    assert states(reader)[-1]["reason"] == {"SIGKILL": "lost", "SIGTERM": "stopped"}[way]


# Where the handshake and the first packets are cut: bytes of (client, broker).
CUTS = [(n, None) for n in (1, 5, 100, 700, 1500, 1800)] + [(None, n) for n in (1, 5, 200, 1000, 1500)]


def test_not_a_byte_in_clear_wherever_the_line_is_cut(mosquitto, reader):
    async def work():
        async with brokers.Tap(mosquitto.port, CUTS) as tap:
            stage = Stage(mosquitto, port=tap.port)

            async def publish_one(publish):
                await publish(TOPIC, b"x", CBOR)
                if len(tap.heard) <= len(CUTS):
                    await asyncio.Event().wait()

            await stage.session.run(publish_one)
            assert len(tap.heard) == len(CUTS) + 1
            for heard in tap.heard:
                assert brokers.records(heard)
                assert not [word for word in (b"MQTT", b"SECRET", b"jourdain") if word in heard]

    run(work())
    assert payloads(reader)


@pytest.mark.produces("bad_certificate")
def test_an_authority_that_is_not_the_brokers(mosquitto, reader, tmp_path):
    other = brokers.Authority(tmp_path / "other", "port")
    stage = Stage(mosquitto, ca_file=other.file)

    async def work():
        await stage.until(lambda: len(stage.said("bad_certificate")) >= 3)
        assert "the broker's certificate: " in stage.states[0][1]
        mosquitto.authority.file.rename(other.file)  # mended; the next try finds it
        await stage.until(lambda: "connected" in stage.names)

    run(work())


@pytest.mark.produces("bad_certificate")
def test_a_broker_whose_certificate_expired(mosquitto):
    mosquitto.server_files = mosquitto.authority.issue("broker", server=True, days=-1)
    mosquitto.restart()
    stage = Stage(mosquitto)
    run(stage.until(lambda: len(stage.states) >= 3))
    assert set(stage.names) == {"bad_certificate"}
    assert "certificate has expired" in stage.states[0][1]


def test_a_broker_of_another_name(mosquitto):
    mosquitto.server_files = mosquitto.authority.issue("broker", server=True, hosts=["elsewhere.example"])
    mosquitto.restart()
    stage = Stage(mosquitto)
    run(stage.until(lambda: stage.states))
    assert stage.names[0] == "bad_certificate"
    assert "Hostname mismatch" in stage.states[0][1]


@pytest.mark.parametrize("which", ["none", "of another authority"])
@pytest.mark.produces("bad_certificate")
def test_a_client_certificate_that_the_broker_does_not_take(mosquitto, tmp_path, which):
    files = {"cert_file": None, "key_file": None}
    if which != "none":
        files = dict(zip(files, brokers.Authority(tmp_path / "other", "port").issue("poste"), strict=True))
    stage = Stage(mosquitto, **files)
    run(stage.until(lambda: len(stage.states) >= 3))
    assert set(stage.names) == {"bad_certificate"}
    assert "the broker refuses our certificate" in stage.states[0][1]


@pytest.mark.parametrize("fault", ["expired", "open to others", "another's key", "no key"])
@pytest.mark.produces("bad_certificate")
def test_a_client_certificate_that_cannot_be_good(mosquitto, fault):
    cert, key = mosquitto.authority.issue("poste", days=-1 if fault == "expired" else 1)
    if fault == "open to others":
        key.chmod(0o644)
    elif fault == "another's key":
        _, key = mosquitto.authority.issue("other")
    elif fault == "no key":
        key.write_text("")
    stage = Stage(mosquitto, cert_file=cert, key_file=key)
    run(stage.until(lambda: len(stage.states) >= 2))
    assert set(stage.names) == {"bad_certificate"}
    where = cert if fault in ("expired", "another's key") else key
    assert str(where) in stage.states[0][1] or fault == "no key"
    assert {"expired": "expired on", "open to others": "0644"}.get(fault, "cannot be used") in stage.states[0][1]


async def _count(publish, sent, until):
    """Publish numbers, twenty under way, until then."""
    waiting = []
    while not until():
        waiting.append(publish(TOPIC, b"%d" % len(sent), CBOR))
        sent.append(len(sent))
        if len(waiting) >= 20:
            await waiting.pop(0)
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)


def test_new_certificates_are_taken_without_losing_or_repeating_anything(mosquitto, reader):
    stage = Stage(mosquitto)
    sent = []

    async def work(publish):
        await _count(publish, sent, lambda: len(sent) >= 100)
        _replace(mosquitto.client_files, mosquitto.authority.issue("poste-2"))
        stage.session.renew()
        await _count(publish, sent, lambda: "u'poste-2'" in mosquitto.log and len(sent) > 300)

    run(stage.session.run(work))
    desk.until(lambda: len(payloads(reader)) >= len(sent))
    assert payloads(reader) == [b"%d" % n for n in sent]
    assert stage.names == ["connected", "connected"]
    assert [s["online"] for s in states(reader)] == [True, True, False], "nobody was told that we had gone"


def test_the_daemon_takes_new_certificates_at_sighup(bridge, start, mosquitto, reader):
    folder = bridge.path.parent
    files = desk.Files(folder, {"bridge": bridge.path}, mosquitto.url, f"{mosquitto.settings}batch_age_s = 0.1").write()
    daemon = start(files)
    bridge.hears(desk.frame(1, 1, {1: 3000}))
    desk.until(lambda: payloads(reader))
    _replace(mosquitto.client_files, mosquitto.authority.issue("poste-2"))
    os.kill(daemon.pid, signal.SIGHUP)
    desk.until(lambda: "u'poste-2'" in mosquitto.log)
    bridge.hears(desk.frame(1, 2, {1: 3000}))
    desk.until(lambda: len(payloads(reader)) == 2)
    assert daemon.stop() == 0


@pytest.mark.produces("bad_certificate")
def test_check_reads_the_certificates(bridge, mosquitto):
    folder = bridge.path.parent
    files = desk.Files(folder, {"bridge": bridge.path}, mosquitto.url, mosquitto.settings).write()
    found = CliRunner().invoke(command.gateway, ["check", "--config", str(files.config)])
    assert found.exit_code == 0, found.output
    mosquitto.authority.issue("poste", days=-1)
    found = CliRunner().invoke(command.gateway, ["check", "--config", str(files.config)])
    assert found.exception.name == "bad_certificate"


def _replace(old, new):
    for was, now in zip(old, new, strict=True):
        os.replace(now, was)


@pytest.mark.produces("bad_certificate")
def test_new_certificates_that_are_bad_leave_the_old_ones_in_force(mosquitto, reader, tmp_path):
    stage = Stage(mosquitto)
    other = brokers.Authority(tmp_path / "other", "port")

    async def work(publish):
        await publish(TOPIC, b"1", CBOR)
        if stage.session.counts.connects == 1:
            mosquitto.client_files[0].write_text("half a certif")
            stage.session.renew()
            while not stage.said("bad_certificate"):
                await publish(TOPIC, b"2", CBOR)
            _replace(mosquitto.client_files, other.issue("poste"))  # good to look at, and the broker does not take them
            stage.session.renew()
            await asyncio.Event().wait()

    run(stage.session.run(work))
    assert stage.names == ["connected", "bad_certificate", "bad_certificate", "connected"]
    assert "the broker refuses our certificate" in stage.said("bad_certificate")[1]


def test_a_broker_that_has_stopped_answering_is_left(mosquitto, reader, monkeypatch):
    monkeypatch.setattr(connection, "ACK_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(connection, "_TICK_S", 0.05)
    stage = Stage(mosquitto)

    async def work(publish):
        if stage.session.counts.connects == 1:
            mosquitto.pause()
            asyncio.get_running_loop().call_later(1.0, mosquitto.resume)
        await publish(TOPIC, b"x", CBOR)

    run(stage.session.run(work))
    assert stage.names[:2] == ["connected", "broker_lost"]
    assert "none acknowledged" in stage.states[1][1]
    assert stage.names[-1] == "connected"


def test_publishing_waits_for_nothing_but_the_broker(mosquitto):
    """Synchronous: what was called first is written first, and the future is there at once."""
    stage = Stage(mosquitto)

    async def work(publish):
        futures = [publish(TOPIC, b"x", CBOR) for _ in range(50)]
        assert not any(future.done() for future in futures)
        await asyncio.gather(*futures)

    run(stage.session.run(work))
