"""MicroPython onto an ESP32 by esptool: what is asked of it, in which order, and what its troubles are called here."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tty
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from loaders import HERE, MACHINES, VFS, esp_image, image, kind, wait
from pty_board import PtyBoard

from gateway.errors import HostError
from tools.flash import bench, connect, esp, micropython, ports

MAC, UID = "24:6f:28:12:34:56", "246f28123456"
CHIPS = {"esp32": "ESP32", "esp32-s3": "ESP32-S3", "esp32-c3": "ESP32-C3"}
LITTLEFS = b"\x01\0\0\0\xf0\x0f\xff\xf7littlefs" + b"\xff" * 100


class Esp:
    """An ESP32 whose flash is a file and whose loader is fake_esptool.py."""

    def __init__(self, folder, port, name="esp32-s3"):
        self.folder, self.told, self.kind = folder, folder / "esptool.json", kind(name)
        self.flash, self.log = folder / "flash", folder / "esptool.log"
        self.flash.write_bytes(b"\xff" * (4 << 20))
        self.log.touch()
        self.set(port=port, chip=CHIPS[name], mac=MAC, flash=str(self.flash), log=str(self.log))

    def set(self, **told):
        known = json.loads(self.told.read_text()) if self.told.exists() else {}
        self.told.write_text(json.dumps(known | told))

    def asked(self):
        """The words behind the options of each call, and the options of the last."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [call[12:] for call in calls], dict(zip(calls[-1][:12:2], calls[-1][1:12:2], strict=True))

    def put(self, at, data):
        with self.flash.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def at(self, place, size):
        return self.flash.read_bytes()[place : place + size]


@pytest.fixture(autouse=True)
def fake(monkeypatch, tmp_path):
    monkeypatch.setenv("JOURDAIN_ESPTOOL", str(HERE / "fake_esptool.py"))
    monkeypatch.setenv("FAKE_ESPTOOL", str(tmp_path / "esptool.json"))
    monkeypatch.setattr(ports, "candidates", list)


@pytest.fixture
def chip(tmp_path):
    """A chip at a port that is there and silent."""
    (tmp_path / "ttyUSB0").touch()
    return Esp(tmp_path, str(tmp_path / "ttyUSB0"))


def refused(chip, *, check=None):
    with pytest.raises(HostError) as caught:
        esp.install(chip.kind, image(chip.folder, chip.kind.name).path, str(chip.folder / "ttyUSB0"), lambda _: None, check)
    assert caught.value.where
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", CHIPS)
def test_it_is_written_at_its_place_and_answers(tmp_path, name):
    """From the same call as every other board: identified, its room for files looked at, written, asked who it is."""
    steps, asked = [], []
    chip_name = kind(name).chip
    with PtyBoard(tmp_path, UID, machine=MACHINES[chip_name], platform="esp32") as board:
        chip = Esp(tmp_path, board.port, name)
        port = micropython.install(chip.kind, image(tmp_path, name), board.port, steps.append, asked.append)
        assert port == board.port
    place = {"ESP32": 0x1000}.get(chip_name, 0)
    calls, options = chip.asked()
    assert [call[0] for call in calls] == ["chip-id", "read-flash", "write-flash"]
    assert calls[1][1:3] == [hex(VFS), "0x2000"]
    assert calls[2][1] == hex(place)
    assert options == {"--chip": chip_name.lower(), "--port": port, "--baud": "460800", "--before": "default-reset",
                       "--after": "hard-reset", "--connect-attempts": "7"}  # fmt: skip
    written = esp_image(name)
    assert chip.at(place, len(written)) == written
    assert chip.at(VFS, 0x2000) == b"\xff" * 0x2000
    assert asked == [UID, UID]
    percents = [int(step.split()[1]) for step in steps if step.startswith("MicroPython: ")]
    assert percents == sorted(percents)
    assert len(percents) > 4


@pytest.mark.parametrize("there", [LITTLEFS, b"\xff" * 0x1000 + LITTLEFS, b"\0" * 510 + b"\x55\xaa"])
def test_files_that_are_there_stay(chip, there):
    chip.put(VFS, there)
    esp.install(chip.kind, image(chip.folder, "esp32-s3").path, str(chip.folder / "ttyUSB0"), lambda _: None, None)
    assert chip.at(VFS, len(there)) == there
    assert "erase-region" not in [call[0] for call in chip.asked()[0]]


def test_what_another_program_left_in_their_place_does_not(chip):
    chip.put(VFS, b"Meshtastic" * 1000)
    esp.install(chip.kind, image(chip.folder, "esp32-s3").path, str(chip.folder / "ttyUSB0"), lambda _: None, None)
    assert chip.at(VFS, 0x2000) == b"\xff" * 0x2000
    assert chip.asked()[0][2] == ["erase-region", hex(VFS), "0x2000"]


@pytest.mark.produces("mismatch")
def test_the_wrong_chip_is_refused_before_anything_is_written(chip):
    def check(uid):
        raise HostError("mismatch", f"{uid} is that of another", "boards.yaml:3", "flash that one")

    assert refused(chip, check=check).what == f"{UID} is that of another"
    chip.set(chip="ESP32-C3")
    error = refused(chip)
    assert (error.name, error.what) == ("mismatch", "this chip is a ESP32C3, a esp32-s3 has the ESP32S3")
    assert [call[0] for call in chip.asked()[0]] == ["chip-id", "chip-id"]
    assert chip.flash.read_bytes() == b"\xff" * (4 << 20)


TROUBLES = {
    "deaf": ("no_device", "No serial data received", "hold BOOT, press RESET"),
    "busy": ("no_device", "", "data cable"),
    "breaks": ("transfer", "Serial noise", "check the cable"),
    "unverified": ("transfer", "does not hold what was written", "worn out"),
    "old": ("missing_tool", "5.0 or newer is needed", "jourdain[esp]"),
}


@pytest.mark.produces("no_device", "transfer", "missing_tool")
@pytest.mark.parametrize("fails", TROUBLES)
def test_its_troubles_have_our_names_and_a_way_out(chip, fails):
    name, what, hint = TROUBLES[fails]
    chip.set(fails=fails)
    error = refused(chip)
    assert error.name == name
    assert what in error.what
    assert hint in error.hint


def test_a_port_that_is_gone_or_taken_is_told_apart(tmp_path):
    chip = Esp(tmp_path, "/dev/none")
    with pytest.raises(HostError, match="there is no such port"):
        esp.identify(str(tmp_path / "ttyUSB1"))
    with PtyBoard(tmp_path, UID, deaf=True) as board:
        held = ports.opened(board.port)
        with pytest.raises(HostError, match="another program holds this port"):
            esp.identify(board.port)
        held.close()
    assert [call[0] for call in chip.asked()[0]] == ["chip-id", "chip-id"]


@pytest.mark.produces("timeout")
def test_a_silent_esptool_is_ended(chip, monkeypatch):
    monkeypatch.setattr(esp, "SILENCE_S", 1.0)
    chip.set(fails="hangs")
    assert refused(chip).name == "timeout"


def test_a_line_that_fails_is_tried_slower(chip):
    chip.set(fails="breaks_fast")
    steps = []
    esp.install(chip.kind, image(chip.folder, "esp32-s3").path, str(chip.folder / "ttyUSB0"), steps.append, None)
    calls, options = chip.asked()
    assert [call[0] for call in calls] == ["chip-id", "read-flash", "write-flash", "write-flash"]
    assert options["--baud"] == "115200"
    assert "the line failed at 460800 baud; again, slower" in steps
    assert chip.at(0, 0x18000) == esp_image("esp32-s3")


def test_empty_ones_are_told_apart_by_their_loaders(tmp_path, town, monkeypatch):
    """Several at once, none of which says anything: a board is where the loader tells its chip."""
    monkeypatch.setattr(connect, "ANSWERS_S", (0.2,))
    monkeypatch.setattr(connect, "LOOK_S", 0.1)
    boards = [board for board in town.boards.values() if kind(board.type).platform == "esp32"]
    with contextlib.ExitStack() as stack:
        told = {}
        for board in [*boards, None]:
            folder = tmp_path / (board.name if board else "nobody")
            folder.mkdir()
            port = stack.enter_context(PtyBoard(folder, UID, deaf=True)).port
            chip = Esp(folder, port, board.type if board else "esp32")
            chip.set(mac=":".join(board.uid[at : at + 2] for at in range(0, 12, 2)) if board else MAC)
            told[port] = chip
        monkeypatch.setenv("FAKE_ESPTOOL", os.pathsep.join(str(chip.told) for chip in told.values()))
        found = bench.assign(town, boards, list(told))
        assert [told[found.places[board.name].port].folder.name for board in boards] == [board.name for board in boards]
        assert [(place.uid, told[place.port].folder.name) for place in found.others] == [(UID, "nobody")]
        # None is asked where no such board is sought.
        picos = [board for board in town.boards.values() if board.type == "pico"][:2]
        assert len(bench.assign(town, picos, list(told)).faults) == 2
    assert [[call[0] for call in chip.asked()[0]] for chip in told.values()] == [["chip-id"]] * len(told)


INSTALL = """
import sys
from pathlib import Path
from gateway.presets import presets
from tools.flash import esp
esp.install(presets().boards["esp32-s3"], Path(sys.argv[1]), sys.argv[2], print, None)
"""


def test_a_run_that_is_killed_is_finished_by_the_next(chip):
    """With kill -9 in the middle of the writing: esptool ends too, the files on the chip stay."""
    chip.put(VFS, LITTLEFS)
    chip.set(pause_s=0.3)
    path, port = image(chip.folder, "esp32-s3").path, str(chip.folder / "ttyUSB0")
    run = subprocess.Popen([sys.executable, "-P", "-c", INSTALL, str(path), port], stdout=subprocess.DEVNULL)
    written = esp_image("esp32-s3")
    wait(lambda: chip.at(0, 16384) == written[:16384])
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert chip.at(0, len(written)) != written
    chip.set(pause_s=0)
    esp.install(chip.kind, path, port, lambda _: None, None)
    assert chip.at(0, len(written)) == written
    assert chip.at(VFS, len(LITTLEFS)) == LITTLEFS


@pytest.mark.produces("missing_tool")
def test_where_esptool_is_found(monkeypatch, tmp_path):
    """JOURDAIN_ESPTOOL, then this interpreter's own, then the one on PATH."""
    assert esp.tool() == [str(HERE / "fake_esptool.py")]
    monkeypatch.delenv("JOURDAIN_ESPTOOL")
    monkeypatch.setattr(esp.importlib.util, "find_spec", lambda name: name)
    assert esp.tool() == [sys.executable, "-m", "esptool"]
    monkeypatch.setattr(esp.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "esptool").write_text("#!/bin/sh\n")
    (tmp_path / "esptool").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert esp.tool() == [str(tmp_path / "esptool")]
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    for start in (None, str(tmp_path / "none")):
        if start:
            monkeypatch.setenv("JOURDAIN_ESPTOOL", start)
        with pytest.raises(HostError) as caught:
            esp.identify("/dev/ttyUSB0")
        assert caught.value.name == "missing_tool"
        assert caught.value.hint == f"{sys.executable} -m pip install 'jourdain[esp]'"


@pytest.mark.produces("bad_image")
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "no image for an ESP32"),
        (b"UF2\n" * 1000, "no image for an ESP32"),
        (esp_image("esp32-c3"), "another chip (number 5)"),
        (esp_image("esp32-s3")[:0x8000], "no partition for files"),
        (esp_image("esp32"), "another chip (number 0)"),
    ],
)
def test_a_wrong_image_is_refused_by_name(data, what):
    with pytest.raises(HostError) as caught:
        esp.check(data, kind("esp32-s3"), "image.bin")
    assert caught.value.name == "bad_image"
    assert what in caught.value.what


REAL = [("auto", ["chip-id"]), ("ESP32", ["read-flash", "0x200000", "0x2000", "out"]),
        ("ESP32C3", ["erase-region", "0x200000", "0x2000"]), ("ESP32S3", ["write-flash", "0x0", "image"])]  # fmt: skip


@pytest.mark.parametrize(("name", "words"), REAL)
def test_the_real_esptool_knows_every_word_that_we_send(monkeypatch, tmp_path, name, words):
    """Where it is installed (make esp), at a port at which nothing answers: it must get as far as that."""
    monkeypatch.delenv("JOURDAIN_ESPTOOL")
    try:
        esp.tool()
    except HostError:
        pytest.skip("esptool is not installed: make esp")
    monkeypatch.setattr(esp, "TRIES", 1)
    (tmp_path / "image").write_bytes(esp_image("esp32-s3"))
    monkeypatch.chdir(tmp_path)
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with pytest.raises(HostError) as caught:
            esp._run(os.ttyname(slave), name, words)
    finally:
        os.close(master)
        os.close(slave)
    assert caught.value.name == "no_device"
    assert re.search(r"does not answer: Failed to connect to .*: No serial data received\.", caught.value.what)
