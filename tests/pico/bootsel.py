"""The drive that a Pico's boot ROM shows: a folder, whose files are programmed into the flash as they come."""

import shutil
import struct
from pathlib import Path

from emulator import FLASH_BYTES

INFO = {
    "INFO_UF2.TXT": "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n",
    "INDEX.HTM": "<html><head></head><body>Raspberry Pi RP2</body></html>\r\n",
}
FLASH_AT = 0x10000000
SECTOR, PAGE = 4096, 256
# Magic, magic, flags, address, bytes, number, count, family, content, magic.
BLOCK = struct.Struct("<8I476sI")
MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
NOT_FLASH, HAS_FAMILY = 0x0001, 0x2000
RP2040 = 0xE48BFF56


class Drive:
    """The drive RPI-RP2 in `folder`, which is there from `show` to `hide`; `flash`: what it programs.

    As the ROM does it: whatever a file is called and in whatever order its blocks come, each one that is meant for this chip
    is programmed at once, its sector erased before the first of it; all else is ignored. `look` says when the last has come.
    """

    def __init__(self, folder: Path, flash: memoryview) -> None:
        self._folder, self._flash = folder, flash
        self._sizes: dict[str, int] = {}
        self._count = 0
        self._pages: set[int] = set()
        self._erased: set[int] = set()

    def show(self) -> None:
        """The drive appears."""
        self._sizes, self._count = {}, 0
        fresh = self._folder.with_suffix(".mounting")
        fresh.mkdir(exist_ok=True)
        for name, text in INFO.items():
            (fresh / name).write_text(text)
        fresh.rename(self._folder)

    def hide(self) -> None:
        """The drive disappears, with whatever was copied there."""
        while self._folder.exists():  # a copy may still be under way
            shutil.rmtree(self._folder, ignore_errors=True)

    def look(self) -> bool:
        """Program what has come since the last look; True when all blocks of a file are in."""
        for path in self._folder.iterdir():
            if path.name not in INFO and path.is_file() and self._sizes.get(path.name) != path.stat().st_size:
                data = path.read_bytes()
                self._sizes[path.name] = len(data)
                for at in range(0, len(data) - BLOCK.size + 1, BLOCK.size):
                    self._take(data[at : at + BLOCK.size])
                if self._count and len(self._pages) == self._count:
                    return True
        return False

    def _take(self, block: bytes) -> None:
        first, second, flags, address, size, number, count, family, content, last = BLOCK.unpack(block)
        if (first, second, last) != MAGIC or flags & NOT_FLASH or not flags & HAS_FAMILY or family != RP2040:
            return
        at = address - FLASH_AT
        if size != PAGE or at % PAGE or not 0 <= at < FLASH_BYTES or number >= count:
            return
        if count != self._count:  # another file
            self._count, self._pages, self._erased = count, set(), set()
        if number in self._pages:
            return
        sector = at // SECTOR * SECTOR
        if sector not in self._erased:
            self._erased.add(sector)
            self._flash[sector : sector + SECTOR] = b"\xff" * SECTOR
        self._flash[at : at + PAGE] = content[:PAGE]
        self._pages.add(number)
