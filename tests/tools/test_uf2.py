"""UF2 files before they are copied, and the drives of boards in BOOTSEL mode."""

import contextlib
import errno
import os
import random
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from loaders import INFO, block, kind, uf2_image

from gateway.errors import HostError
from tools.flash import uf2


def changed(data, at, value):
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


@pytest.mark.parametrize("name", ["pico", "pico-w", "pico2", "pico2-w"])
def test_a_right_image_passes(name):
    uf2.check(uf2_image(name), kind(name), "x")


FAMILY = 0xE48BFF56
WRONG = {
    "empty": (b"", "this is no UF2 file"),
    "cut": (uf2_image()[:-512], "block 0 of the UF2 is not the one"),
    "cut in a block": (uf2_image()[:-100], "this is no UF2 file, or not all of it"),
    "no UF2": (b"x" * 1024, "block 0 of the UF2 is damaged"),
    "first magic": (changed(uf2_image(), 512, 1), "block 1 of the UF2 is damaged"),
    "last magic": (changed(uf2_image(), 1020, 1), "block 1 of the UF2 is damaged"),
    "no family": (changed(uf2_image(), 8, 0), "for another chip"),
    "another chip": (uf2_image("pico2"), "for another chip"),
    "one block of another chip": (changed(uf2_image(), 5 * 512 + 28, 0xE48BFF59), "for another chip (family 0xe48bff59)"),
    "not for the flash": (changed(uf2_image(), 8, 0x2001), "block 0 of the UF2 is not the one"),
    "a block twice": (uf2_image()[:512] + uf2_image()[:-512], "block 1 of the UF2 is not the one"),
    "a payload too large": (changed(uf2_image(), 16, 476), "block 0 of the UF2 is not the one"),
    "below the flash": (changed(uf2_image(), 12, 0x0FFFFF00), "block 0 of the UF2 lies outside the flash"),
    "behind the flash": (changed(uf2_image(), 12, 0x10200000), "block 0 of the UF2 lies outside the flash"),
    "in RAM": (changed(uf2_image(), 12, 0x20000000), "block 0 of the UF2 lies outside the flash"),
    "between two pages": (changed(uf2_image(), 12, 0x10000010), "block 0 of the UF2 lies outside the flash"),
    "a place twice": (changed(uf2_image(), 12, 0x10000100), "writes a place twice"),
}


@pytest.mark.produces("bad_image")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_image_is_refused_by_name(name):
    data, what = WRONG[name]
    with pytest.raises(HostError) as caught:
        uf2.check(data, kind("pico"), "image.uf2")
    assert caught.value.name == "bad_image"
    assert what in caught.value.what
    assert caught.value.where == "image.uf2"


def test_only_the_block_for_the_erratum_may_stand_before_an_image_of_an_rp2350():
    good = uf2_image("pico2")
    absolute = block(b"", 0, 2, 0xE48BFF57, address=0x10001000, flags=0xA000)
    for data in (good[:512], absolute + good[512:], good[:512] + good, good[:512] + uf2_image("pico")):
        with pytest.raises(HostError, match="bad_image"):
            uf2.check(data, kind("pico2"), "x")
    with pytest.raises(HostError, match="bad_image"):
        uf2.check(good[:512] + uf2_image("pico"), kind("pico"), "x")


def test_damage_anywhere_is_refused_or_harmless():
    """Whatever a mutated image is, the checker names it or it still is whole, for this chip and inside the flash."""
    rng = random.Random(7)
    good = uf2_image(blocks=20)
    refused = before = 0
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.choice((1, 2, 5))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        del data[rng.choice((len(good), rng.randrange(len(good)))) :]
        with contextlib.suppress(HostError):
            refused += 1
            uf2.check(bytes(data), kind("pico"), "x")
            refused -= 1
        if refused > before:
            before = refused
            continue
        heads = [struct.unpack_from("<8I", data, at) for at in range(0, len(data), 512)]
        assert [head[5] for head in heads] == list(range(20))
        assert all(head[7] == FAMILY and 0x10000000 <= head[3] < 0x10200000 for head in heads)
    assert 200 < refused < 400


def put(folder, board_id):
    folder.mkdir(parents=True)
    (folder / "INFO_UF2.TXT").write_text(INFO[board_id])


def test_drives_are_found_by_what_stands_on_them(tmp_path, monkeypatch):
    """In the table of mounts, one that is gone left out, and where JOURDAIN_BOOTSEL says."""
    put(tmp_path / "media" / "a b", "RPI-RP2")
    put(tmp_path / "media" / "two", "RP2350")
    put(tmp_path / "gone", "RPI-RP2")
    put(tmp_path / "ext4", "RPI-RP2")
    (tmp_path / "media" / "stick").mkdir()
    (tmp_path / "mounts").write_text(
        f"/dev/null {tmp_path}/media/a\\040b vfat rw 0 0\n/dev/null {tmp_path}/media/two vfat rw 0 0\n"
        f"/dev/null {tmp_path}/media/stick vfat rw 0 0\n/dev/no-such {tmp_path}/gone vfat rw 0 0\n"
        f"/dev/null {tmp_path}/ext4 ext4 rw 0 0\nnonsense\n\n"
    )
    monkeypatch.setattr(uf2, "MOUNTS", tmp_path / "mounts")
    monkeypatch.delenv("JOURDAIN_BOOTSEL", raising=False)
    first = uf2.Drive(tmp_path / "media" / "a b", "RPI-RP2")
    assert uf2.bootsel(kind("pico")) == [first]
    assert [drive.folder.name for drive in uf2.bootsel(kind("pico2"))] == ["two"]
    put(tmp_path / "named" / "RPI-RP2", "RPI-RP2")
    for named in (tmp_path / "named", tmp_path / "named" / "RPI-RP2"):
        monkeypatch.setenv("JOURDAIN_BOOTSEL", str(named))
        assert uf2.bootsel(kind("pico-w")) == [first, uf2.Drive(tmp_path / "named" / "RPI-RP2", "RPI-RP2")]
    monkeypatch.setenv("JOURDAIN_BOOTSEL", str(tmp_path / "nowhere"))
    monkeypatch.setattr(uf2, "MOUNTS", tmp_path / "no table")
    assert uf2.bootsel(kind("pico")) == []


def test_the_copy_is_the_image_and_the_end_of_the_drive_is_its_success(tmp_path, monkeypatch):
    """The board starts with the last block: what comes after is an error that is none. Before it is one that counts."""
    data = uf2_image()
    assert len(data) > 4 * uf2.CHUNK
    put(tmp_path / "drive", "RPI-RP2")
    drive = uf2.Drive(tmp_path / "drive", "RPI-RP2")
    steps = []
    uf2.copy(data, drive, steps.append)
    assert (drive.folder / "micropython.uf2").read_bytes() == data
    assert steps[-1] == "MicroPython: 100 %"
    last = -(-len(data) // uf2.CHUNK)

    def fails(at, error):
        """Copy, the drive failing at the `at`-th piece."""
        left = iter(range(1, at))

        def fsync(_handle):
            if next(left, None) is None:
                raise OSError(error, os.strerror(error))

        monkeypatch.setattr(os, "fsync", fsync)
        uf2.copy(data, drive, steps.append)

    fails(last, errno.EIO)
    fails(last, errno.ENODEV)
    for at, error in ((last, errno.ENOSPC), (2, errno.EIO), (1, errno.EROFS)):
        with pytest.raises(HostError) as caught:
            fails(at, error)
        assert (caught.value.name, caught.value.where) == ("transfer", str(drive.folder))
        assert "BOOTSEL" in caught.value.hint
