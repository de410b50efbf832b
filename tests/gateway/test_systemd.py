"""The daemon as a service: what it tells the service manager, and the unit that the package brings."""

import configparser
import socket
import sys
from pathlib import Path

import gatedesk as desk
import pytest

from gateway import systemd

UNIT = Path(systemd.__file__).with_name("jourdain-gateway.service")


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The socket of a service manager."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield sock


def test_ready_alive_and_stopping_in_this_order(tmp_path, bridge, start, manager):
    daemon = start(desk.Files(tmp_path, {"bridge": bridge.path}).write())
    assert manager.recv(100) == b"READY=1"
    assert daemon.alive
    assert manager.recv(100) == b"WATCHDOG=1"
    assert manager.recv(100) == b"WATCHDOG=1"
    assert daemon.stop() == 0
    said = set()
    while b"STOPPING=1" not in said:
        said.add(manager.recv(100))
    assert said <= {b"WATCHDOG=1", b"STOPPING=1"}


def test_a_name_without_a_file(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0jourdain-test")
        monkeypatch.setenv("NOTIFY_SOCKET", "@jourdain-test")
        systemd.say(systemd.READY, "STATUS=well")
        assert sock.recv(100) == b"READY=1\nSTATUS=well"


def test_nobody_listens(tmp_path, monkeypatch):
    for where in ("", "relative", str(tmp_path / "nothing"), "@jourdain-nobody"):
        monkeypatch.setenv("NOTIFY_SOCKET", where)
        systemd.say(systemd.READY)


def test_the_unit_starts_what_there_is():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 60
    shut = {"ProtectSystem", "NoNewPrivileges", "SystemCallFilter", "CapabilityBoundingSet", "RestrictAddressFamilies"}
    assert shut <= set(service)
    program, *words = service["ExecStart"].split()
    assert program.endswith("/python")
    assert words[:3] == ["-P", "-m", "gateway"]
    import subprocess

    done = subprocess.run([sys.executable, *words[:4], "--help"], capture_output=True, text=True, check=True)
    assert words[4] in done.stdout
