"""What stands before MicroPython: images of it, and a Pico whose boot ROM shows a drive (fake_esptool.py: an ESP32's loader)."""

import contextlib
import hashlib
import shutil
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pty_board import PtyBoard

from gateway.presets import presets
from tools.flash.micropython import Image
from tools.flash.ports import Candidate

HERE = Path(__file__).resolve().parent
INFO = {
    "RPI-RP2": "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n",
    "RP2350": "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n",
}
VFS = 0x200000
MACHINES = {
    "RP2040": "Raspberry Pi Pico with RP2040", "RP2350": "Raspberry Pi Pico2 with RP2350",
    "ESP32": "Generic ESP32 module with ESP32", "ESP32S3": "Generic ESP32S3 module with ESP32S3",
    "ESP32C3": "ESP32C3 module with ESP32C3",
}  # fmt: skip


def kind(name):
    return presets().boards[name]


def block(payload, number, count, family, *, address=None, flags=0x2000):
    """One block of a UF2."""
    at = 0x10000000 + 256 * number if address is None else address
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, at, 256, number, count, family)
    return head + payload.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def uf2_image(name="pico", version="1.29.0", blocks=600):
    """A UF2 for a type of board: its content is noise, but for what MicroPython says of itself."""
    family = kind(name).micropython.family
    noise = hashlib.shake_256(f"{name} {version}".encode()).digest(256 * blocks)
    text = f"MicroPython v{version} on 2026-08-24".encode()
    content = noise[:512] + text + noise[512 + len(text) :]
    body = b"".join(block(content[256 * n : 256 * n + 256], n, blocks, family) for n in range(blocks))
    if kind(name).chip == "RP2350":  # the block for the erratum E10, as the official images have it
        body = block(b"\xef" * 256, 0, 2, 0xE48BFF57, address=0x10FFFF00, flags=0xA000) + body
    return body


def esp_image(name="esp32-s3", version="1.29.0", size=0x18000):
    """An image for an ESP32: header, partition table, noise, and what MicroPython says of itself."""
    about = kind(name).micropython
    data = bytearray(hashlib.shake_256(f"{name} {version}".encode()).digest(size))
    data[0] = 0xE9
    data[12:14] = about.family.to_bytes(2, "little")
    rows = ((1, 2, 0x9000, 0x6000, b"nvs"), (0, 0, 0x10000, 0x1F0000, b"factory"), (1, 0x81, VFS, 0x200000, b"vfs"))
    table = b"".join(struct.pack("<2s2B2I16sI", b"\xaa\x50", *row, 0) for row in rows).ljust(0xC00, b"\xff")
    data[0x8000 - about.offset : 0x8C00 - about.offset] = table
    text = f"MicroPython v{version} on 2026-08-24".encode()
    data[0x10000 : 0x10000 + len(text)] = text
    return bytes(data)


def image(folder, name="pico", version="1.29.0"):
    """An Image, its file in `folder`."""
    esp = kind(name).platform == "esp32"
    data = (esp_image if esp else uf2_image)(name, version)
    path = Path(folder) / f"{kind(name).micropython.image}-20260824-v{version}.{'bin' if esp else 'uf2'}"
    path.write_bytes(data)
    return Image(path, tuple(map(int, version.split("."))), hashlib.sha256(data).hexdigest(), kind(name).micropython.image)


class Pico:
    """A Pico at a USB port: `with Pico(folder, runs=(1, 22, 2)) as pico: ...`; `runs` None: empty, and in BOOTSEL mode.

    port: where its console is while MicroPython runs, gone else; drive: the drive that its boot ROM shows, gone else; a whole
    image of the right family, block by block, is what starts it. taken: the images that the ROM took.
    """

    def __init__(self, folder, uid="e6614c311b7e6a01", *, name="pico", runs=None, in_bootsel=None):
        self.folder, self.uid, self.kind, self.runs = Path(folder), uid, kind(name), runs
        self.port = str(self.folder / "ttyACM0")
        self.media = self.folder / "media"
        self.drive = self.media / self.kind.micropython.drive
        self.media.mkdir(parents=True, exist_ok=True)
        self.taken = []
        self.boards = []
        self._link = None
        self._over = threading.Event()

    def __enter__(self):
        self._rom = threading.Thread(target=self._boot_rom, daemon=True)
        if self.runs:
            self._start(self.runs)
        else:
            self.show()
        self._rom.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._rom.join(30)
        for board in self.boards:
            board.__exit__()

    def candidates(self):
        """What list_ports says of it."""
        there = self._link is not None and self._link.exists()
        return [Candidate(str(self._link), self.uid, 0x2E8A, 5, "Board in FS mode")] if there else []

    def show(self):
        """The drive appears."""
        fresh = self.folder / "mounting"
        fresh.mkdir()
        (fresh / "INFO_UF2.TXT").write_text(INFO[self.kind.micropython.drive])
        fresh.rename(self.drive)

    def _start(self, version):
        board = PtyBoard(self.folder, self.uid, machine=MACHINES[self.kind.chip], version=version, in_loader=self._loader)
        board.__enter__()
        self.boards.append(board)
        self._link = Path(self.port)
        self._link.symlink_to(board.port)

    def _loader(self):
        self._link.unlink()
        self.show()

    def _boot_rom(self):
        while not self._over.wait(0.02):
            with contextlib.suppress(OSError):
                for path in self.drive.glob("*.uf2"):
                    self._take(path.read_bytes())

    def _take(self, data):
        family = struct.pack("<I", self.kind.micropython.family)
        blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
        ours = {b[20:24]: b for b in blocks if len(b) == 512 and b[28:32] == family}
        if ours and len(ours) == int.from_bytes(next(iter(ours.values()))[24:28], "little"):
            self.taken.append(data)
            shutil.rmtree(self.drive)
            said = b"".join(b[32:288] for b in ours.values()).partition(b"MicroPython v")[2].partition(b" ")[0]
            self._start(tuple(map(int, said.split(b"."))))


def wait(true, timeout_s=30):
    """Wait until `true()` is so."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
