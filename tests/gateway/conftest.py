"""Fixtures of the daemon's tests; the helpers themselves are in gatedesk.py."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import brokers
import gatedesk as desk

from tools.twin.broker import Embedded, Proxy


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """URL of an MQTT 5 broker on loopback."""
    embedded = Embedded(tmp_path_factory.mktemp("broker"))
    yield embedded.url
    embedded.close()


@pytest.fixture
def mosquitto(tmp_path):
    """A real Mosquitto of the test's own, TLS and client certificates (brokers.Mosquitto)."""
    if brokers.binary() is None:
        assert os.environ.get("CI", "") in ("", "false"), "CI has no mosquitto: apt install mosquitto"
        pytest.skip("no mosquitto on this machine: apt install mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    found = brokers.Mosquitto(folder)
    yield found
    found.close()


@pytest.fixture
def proxy(broker):
    """A way to the broker that can be cut."""
    found = Proxy(broker)
    yield found
    found.close()


@pytest.fixture
def listener(broker):
    """Who subscribes to everything; other tests' messages come too, so sites differ where that matters."""
    found = desk.Listener(broker)
    yield found
    found.close()


@pytest.fixture
def bridge(tmp_path):
    """A radio bridge on a pseudo terminal."""
    found = desk.Board(tmp_path)
    yield found
    found.close()


@pytest.fixture
def start():
    """`start(files, ...)` -> desk.Daemon, ended with the test."""
    running = []

    def begin(files, *options, **more):
        running.append(desk.Daemon(files, *options, **more))
        return running[-1]

    yield begin
    for daemon in running:
        daemon.close()
