"""MicroPython onto a Pico by its BOOTSEL drive: empty, with an old one, in BOOTSEL mode, the wrong one, two at once."""

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from loaders import INFO, MACHINES, Pico, image, kind, uf2_image
from pty_board import PtyBoard

from gateway.errors import HostError
from tools.flash import connect, micropython, ports, uf2

UID = "e6614c311b7e6a01"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    """This machine's own drives and ports are not those of the test."""
    monkeypatch.setattr(uf2, "MOUNTS", tmp_path / "no mounts")
    monkeypatch.setattr(uf2, "LABELS", tmp_path / "labels")
    monkeypatch.setattr(ports, "candidates", list)


@pytest.fixture
def desk(monkeypatch):
    """`desk(pico)`: this Pico is what the machine sees."""

    def put(*picos):
        monkeypatch.setenv("JOURDAIN_BOOTSEL", str(picos[0].media))
        monkeypatch.setattr(ports, "candidates", lambda: [each for pico in picos for each in pico.candidates()])

    return put


def refused(name, *arguments, **more):
    with pytest.raises(HostError) as caught:
        micropython.install(*arguments, **more)
    assert caught.value.name == name
    assert caught.value.where
    assert caught.value.hint
    return caught.value


def test_an_empty_pico_runs_micropython_and_is_asked_who_it_is(tmp_path, desk):
    steps, asked = [], []
    with Pico(tmp_path) as pico:
        desk(pico)
        assert [drive.folder for drive in micropython.bootsel(kind("pico"))] == [pico.drive]
        port = micropython.install(kind("pico"), image(tmp_path), "", steps.append, asked.append)
        assert port == pico.port
        assert pico.taken == [uf2_image()]
    assert asked == [UID]
    assert steps[-1] == "MicroPython: 100 %"


def test_an_old_micropython_is_brought_to_its_loader_and_found_again_by_its_id(tmp_path, desk):
    asked = []
    with Pico(tmp_path, runs=(1, 22, 2)) as pico:
        desk(pico)
        elsewhere = tmp_path / "ttyACM7"

        def check(uid):
            asked.append((uid, len(pico.taken)))
            pico.port = str(elsewhere)  # it comes back under another name

        before = pico.port
        port = micropython.install(kind("pico"), image(tmp_path), before, lambda _: None, check)
        assert port == str(elsewhere)
        assert len(pico.taken) == 1
        assert pico.boards[-1].who["version"] == (1, 29, 0)
    # Asked before anything was written, and again before anything of ours is.
    assert asked[0] == (UID, 0)
    assert asked[-1] == (UID, 1)


@pytest.mark.produces("mismatch")
def test_another_chip_is_refused_before_it_is_restarted_into_its_loader(tmp_path, desk):
    def check(uid):
        raise HostError("mismatch", f"{uid} is that of another", "boards.yaml:3", "flash that one")

    with Pico(tmp_path, runs=(1, 22, 2)) as pico:
        desk(pico)
        refused("mismatch", kind("pico"), image(tmp_path), pico.port, print, check)
        error = refused("mismatch", kind("pico2"), image(tmp_path, "pico2"), pico.port, print)
        assert "this chip is a RP2040, a pico2 has the RP2350" in error.what
        assert Path(pico.port).exists()
        assert not pico.drive.exists()
        assert pico.taken == []


def test_a_wrong_one_out_of_bootsel_mode_is_refused_as_soon_as_it_can_be_known(tmp_path, desk):
    def check(uid):
        raise HostError("mismatch", f"{uid} is that of another", "boards.yaml:3", "flash that one")

    with Pico(tmp_path) as pico:
        desk(pico)
        refused("mismatch", kind("pico"), image(tmp_path), None, lambda _: None, check)
        assert Path(pico.port).exists()


@pytest.mark.produces("ambiguous")
def test_two_boards_in_bootsel_mode_are_not_guessed_between(tmp_path, desk):
    with Pico(tmp_path) as pico:
        desk(pico)
        (pico.media / "RPI-RP21").mkdir()
        (pico.media / "RPI-RP21" / "INFO_UF2.TXT").write_text(INFO["RPI-RP2"])
        error = refused("ambiguous", kind("pico"), image(tmp_path), None, print)
        assert "RPI-RP2, " in error.where
        assert "RPI-RP21" in error.where
        assert pico.taken == []


@pytest.mark.produces("no_device")
def test_a_person_is_told_how_to_reach_the_loader(tmp_path, monkeypatch):
    """No drive at all; one that nobody mounts."""
    error = refused("no_device", kind("pico"), image(tmp_path), None, print)
    assert "hold its button BOOTSEL" in error.hint
    assert "hold its button BOOTSEL" in refused("no_device", kind("pico"), image(tmp_path), str(tmp_path / "ttyACM0"), print).hint
    with PtyBoard(tmp_path, UID, deaf=True) as other:
        monkeypatch.setattr(connect, "ANSWERS_S", (0.2,))
        monkeypatch.setattr(connect, "LOOK_S", 0.1)
        error = refused("no_device", kind("pico"), image(tmp_path), other.port, print)
        assert "what runs there is no MicroPython" in error.what
        assert "hold its button BOOTSEL" in error.hint
    (tmp_path / "labels").mkdir()
    (tmp_path / "sda1").touch()
    (tmp_path / "labels" / "RPI-RP2").symlink_to(tmp_path / "sda1")
    error = refused("no_device", kind("pico"), image(tmp_path), None, print)
    assert error.where == str(tmp_path / "sda1")
    assert error.hint.startswith(f"udisksctl mount -b {tmp_path}/sda1")
    assert "hold its button BOOTSEL" in refused("no_device", kind("pico2"), image(tmp_path, "pico2"), None, print).hint


def test_a_run_that_was_killed_is_finished_by_the_next(tmp_path, desk):
    """Half of the image is on the drive, and the board still in BOOTSEL mode, its old port gone."""
    with Pico(tmp_path, runs=None) as pico:
        desk(pico)
        (pico.drive / "micropython.uf2").write_bytes(uf2_image()[:100_000])
        assert micropython.install(kind("pico"), image(tmp_path), pico.port, lambda _: None) == pico.port
        assert pico.taken == [uf2_image()]


@pytest.mark.produces("bad_image")
def test_a_wrong_image_comes_onto_no_drive(tmp_path, desk):
    good = image(tmp_path)
    other = image(tmp_path, "pico2")
    with Pico(tmp_path) as pico:
        desk(pico)
        refused("bad_image", kind("pico"), other, None, print)
        refused("bad_image", kind("pico"), good._replace(sha256=hashlib.sha256(b"x").hexdigest()), None, print)
        refused("bad_image", kind("pico"), good._replace(path=tmp_path / "none.uf2"), None, print)
        assert list(pico.drive.iterdir()) == [pico.drive / "INFO_UF2.TXT"]


@pytest.mark.produces("timeout", "transfer")
def test_a_board_that_does_not_come_back_is_named(tmp_path, desk, monkeypatch):
    monkeypatch.setattr(micropython, "ANSWER_S", 0.3)
    with Pico(tmp_path) as pico:
        desk(pico)
        monkeypatch.setattr(pico, "_start", lambda version: None)
        error = refused("timeout", kind("pico"), image(tmp_path), pico.port, lambda _: None)
        assert "unplug the board" in error.hint
    with PtyBoard(tmp_path, "e6614c311b7e6a02", machine=MACHINES["RP2040"], version=(1, 22, 2)) as old:
        places = micropython._Places(old.port, "", set())
        with pytest.raises(HostError, match=r"MicroPython 1.22.2 runs, 1.29.0 was written") as caught:
            micropython._answering(kind("pico"), image(tmp_path), places, None)
        assert caught.value.name == "transfer"


@pytest.mark.produces("no_image")
def test_without_a_bundle_there_is_no_image(tmp_path):
    for bundle in (None, tmp_path / "none.bundle"):
        with pytest.raises(HostError) as caught:
            micropython.image(bundle, kind("pico-w"))
        assert caught.value.name == "no_image"
        assert "RPI_PICO_W" in caught.value.what
        assert "jourdain bundle" in caught.value.hint
