"""The desk itself: what the computer sees of a Pico from its empty flash on, before our own command is let near it."""

import errno
import os
import shutil
import socket

import pytest

pytestmark = pytest.mark.timeout(300)

FAMILY_AT = 28  # of a block
RP2350 = (0xE48BFF59).to_bytes(4, "little")
BOOT_S, ANSWER_S = 60, 60


def repl(port):
    """The raw REPL at a port, by mpremote; nothing is restarted."""
    from mpremote.transport_serial import SerialTransport

    line = SerialTransport(port, timeout=ANSWER_S)
    line.enter_raw_repl(soft_reset=False, timeout_overall=ANSWER_S)
    return line


def refused(port):
    """Does the port refuse to be opened?"""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port.rpartition(":")[2]))) == errno.ECONNREFUSED


def test_the_boot_rom_programs_what_is_meant_for_this_chip_and_ignores_all_else(uf2, tmp_path):
    from bootsel import BLOCK, Drive

    flash = bytearray(b"\x00" * (2 << 20))
    drive = Drive(tmp_path / "RPI-RP2", memoryview(flash))
    drive.show()
    image = uf2.read_bytes()
    other = bytearray(image)
    for at in range(FAMILY_AT, len(other), BLOCK.size):
        other[at : at + 4] = RP2350
    (tmp_path / "RPI-RP2" / "other.uf2").write_bytes(other)
    (tmp_path / "RPI-RP2" / "notes.txt").write_text("no firmware " * 100)
    assert not drive.look()
    assert not any(flash)
    growing = tmp_path / "RPI-RP2" / "half"
    growing.write_bytes(image[: len(image) // 2 + 100])
    assert not drive.look()
    assert flash[:256] == image[32 : 32 + 256]
    assert flash[len(image) // 4 + 8192 :].count(0) == len(flash) - len(image) // 4 - 8192  # what has not come is untouched
    growing.write_bytes(image)
    assert drive.look()
    assert flash[:0x50000].count(0xFF) < 0x50000 // 2
    assert not any(flash[0xA0000:])  # and so is the file system
    drive.hide()
    assert os.listdir(tmp_path) == []


def test_an_empty_pico_becomes_one_with_a_repl_and_keeps_its_files(uf2, tmp_path):
    from desk import Desk

    with Desk(tmp_path) as desk:
        desk.wait(desk.drive.exists, BOOT_S)
        assert "RPI-RP2" in (desk.drive / "INFO_UF2.TXT").read_text()
        assert refused(desk.port)
        shutil.copyfile(uf2, desk.drive / "any name.uf2")
        desk.wait(lambda: desk.there, BOOT_S)
        assert not desk.drive.exists()
        line = repl(desk.port)
        assert b"RP2040 " + b"ff" * 8 in line.exec(
            "import machine, sys\nprint(sys.implementation._machine[-6:], machine.unique_id().hex())"
        )
        line.fs_writefile("/kept", bytes(range(256)) * 4, chunk_size=512)
        with pytest.raises(OSError, match="disconnected"):
            leave(line, "machine.reset()")  # the chip leaves the bus
        line.close()
        desk.wait(lambda: desk.there, BOOT_S)
        line = repl(desk.port)
        with socket.create_connection(("127.0.0.1", int(desk.port.rpartition(":")[2])), 10) as second:
            second.settimeout(10)
            assert second.recv(1) == b""  # a port has one owner
        with pytest.raises(OSError, match="disconnected"):
            leave(line, "machine.bootloader()")
        line.close()
        desk.wait(desk.drive.exists, BOOT_S)
        shutil.copyfile(uf2, desk.drive / "again.uf2")
        desk.wait(lambda: desk.there, BOOT_S)
        desk.pull()
        desk.wait(lambda: not desk.there, BOOT_S)
        assert refused(desk.port)
        desk.plug()
        desk.wait(lambda: desk.there, BOOT_S)
        line = repl(desk.port)
        assert b"True" in line.exec("print(open('/kept', 'rb').read() == bytes(range(256)) * 4)")
        line.close()
        assert [what for _, what in desk.figures].count("boot") == 4


def leave(line, word):
    """Say a last word, and read until the port breaks."""
    line.serial.write(f"import machine\n{word}\x04".encode())
    while True:
        line.serial.read(1)
