"""`jourdain doctor`: each check of this machine, against real files, processes and ptys."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from doctoring import a_pty, holding, plug
from loaders import INFO

from gateway import inventory
from gateway.clock import EARLIEST_UNIX_S
from tools.doctor import access, fleet, machine, report, usb
from tools.doctor.report import FAIL, OK, SKIP, WARN

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534


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
    with a_pty() as name:
        yield name


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


def test_what_a_user_may_not_see_is_said(line):
    found = as_a_user(lambda: access.check_holder([line]))
    if os.getuid() == 0:
        assert "of others" in found[2]
        assert "not looked at" in found[2]
    assert found[1] in (OK, WARN)
