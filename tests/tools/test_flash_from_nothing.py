"""`jourdain flash` onto boards without MicroPython, or with an old one: all of it in one command, out of a bundle."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bundling import made
from flashing import BARE, ROOT, UID, three_lines
from loaders import MACHINES, VFS, Pico
from pty_board import PtyBoard
from test_esp import Esp

from tools.flash import build, connect, ports, uf2

TOWN = ROOT / "boards.yaml"


@pytest.fixture
def put(jourdain, secrets, bundle, monkeypatch, tmp_path):
    """`put(board, *words) -> (exit code, stdout, stderr)` of `jourdain flash`, mpy-cross not at hand."""

    def gone():
        raise AssertionError("mpy-cross is not here")

    build.bytecode.cache_clear()
    monkeypatch.setattr(uf2, "MOUNTS", tmp_path / "no mounts")
    monkeypatch.setattr(build, "compiler", gone)
    monkeypatch.setattr(build, "compiler_version", gone)

    def run(board, *words):
        told = ("--inventory", TOWN, "--secrets", secrets, "--bundle", bundle, "--no-label", "--record", tmp_path / "record")
        return jourdain("flash", board, *told, *BARE, "--json", "-y", *words)

    yield run
    build.take_from(None)


def pico_on_the_desk(monkeypatch, pico):
    monkeypatch.setenv("JOURDAIN_BOOTSEL", str(pico.media))
    monkeypatch.setattr(ports, "candidates", pico.candidates)


@pytest.mark.share("flash")
@pytest.mark.parametrize("runs", [None, (1, 22, 2)])
def test_a_pico_comes_into_service(tmp_path, put, monkeypatch, runs):
    """Empty and in BOOTSEL mode, without a port to name; with a MicroPython that is too old, at its port."""
    with Pico(tmp_path, UID, runs=runs) as pico:
        pico_on_the_desk(monkeypatch, pico)
        code, out, err = put("bin-capitainerie", *(("--port", pico.port) if runs else ()))
        assert code == 0, err
        assert pico.taken == [made("RPI_PICO")]
        code, _out, err = put("bin-capitainerie")
        assert code == 0, err
        assert len(pico.taken) == 1  # nothing is put on a second time
    assert UID in out
    assert "1.29.0" in out


def test_a_pico_that_is_another_one_gets_nothing_of_ours(tmp_path, put, monkeypatch):
    """In BOOTSEL mode none could tell: so MicroPython is on it, and that is all."""
    with Pico(tmp_path, "e6614c311b7effff") as pico:
        pico_on_the_desk(monkeypatch, pico)
        code, _out, err = put("bin-capitainerie")
        assert (code, three_lines(err, "mismatch")) == (6, True), err
        connection = connect.Connection(pico.port)
        assert connection.run("import os\nprint(os.listdir('/'))").strip() == "[]"
        connection.close()


class Silent:
    """An ESP32 at a port where nothing answers until its flash holds MicroPython. So long, nobody waits long for an answer."""

    def __init__(self, folder, uid, patch):
        self._patience = {name: getattr(connect, name) for name in ("ANSWERS_S", "LOOKS", "LOOK_S")}
        self._patch = patch
        self.port, self.chip, self.uid = str(folder / "ttyUSB0"), None, uid
        self._folder, self._over = folder, threading.Event()

    def __enter__(self):
        for name, less in zip(self._patience, ((0.2,), 2, 0.1), strict=True):
            self._patch.setattr(connect, name, less)
        (self._folder / "empty").mkdir()
        self._boards = [PtyBoard(self._folder / "empty", self.uid, deaf=True).__enter__()]
        Path(self.port).symlink_to(self._boards[0].port)
        self.chip = Esp(self._folder, self.port, "esp32")
        self.chip.set(mac=":".join(self.uid[at : at + 2] for at in range(0, 12, 2)))
        self._thread = threading.Thread(target=self._boot, daemon=True)
        self._thread.start()
        return self

    def _boot(self):
        image = made("ESP32_GENERIC")
        while self.chip.at(0x1000, len(image)) != image:
            if self._over.wait(0.05):
                return
        for name, value in self._patience.items():
            self._patch.setattr(connect, name, value)
        board = PtyBoard(self._folder, self.uid, machine=MACHINES["ESP32"], platform="esp32").__enter__()
        self._boards.append(board)
        link = Path(self.port + ".new")
        link.symlink_to(board.port)
        link.rename(self.port)

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)
        for board in self._boards:
            board.__exit__()


@pytest.mark.share("flash")
def test_an_empty_esp32_comes_into_service(tmp_path, put, monkeypatch, town):
    monkeypatch.setenv("JOURDAIN_ESPTOOL", shutil.which("fake_esptool.py", path=str(Path(__file__).parent)))
    monkeypatch.setenv("FAKE_ESPTOOL", str(tmp_path / "esptool.json"))
    monkeypatch.setattr(ports, "candidates", list)
    with Silent(tmp_path, town.boards["bay-eglise"].uid, monkeypatch) as esp32:
        code, out, err = put("bay-eglise", "--port", esp32.port)
        assert code == 0, err
        assert [call[0] for call in esp32.chip.asked()[0]] == ["chip-id", "read-flash", "write-flash"]
        assert esp32.chip.at(VFS, 16) == b"\xff" * 16
    assert json.loads(out)["board"] == "bay-eglise"
