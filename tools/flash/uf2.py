"""A Pico's own loader: the drive that it shows in BOOTSEL mode, and the UF2 files that the drive takes.

The drive says which chip it is (INFO_UF2.TXT) but not which one: the chip's unique id is asked for as soon as MicroPython runs.
"""

import errno
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.errors import HostError
from gateway.presets import BoardType
from tools.i18n import _

INFO = "INFO_UF2.TXT"
MOUNTS = Path("/proc/self/mounts")
LABELS = Path("/dev/disk/by-label")
VOLUMES = Path("/Volumes")

# The UF2 format: 512 bytes a block, of which 256 are written.
BLOCK, PAYLOAD = 512, 256
HEAD = struct.Struct("<8I")  # two magic numbers, flags, address, payload size, number, count, family
MAGIC = (0x0A324655, 0x9E5D5157)
MAGIC_END = (0x0AB16F30).to_bytes(4, "little")
HAS_FAMILY = 0x2000
FLASH = 0x1000_0000
# Images for the RP2350 begin with a block for its erratum E10: flags, address, size, number, count, family.
E10 = (0xA000, 0x10FF_FF00, PAYLOAD, 0, 2, 0xE48B_FF57)
RP2350 = 0xE48B_FF59

CHUNK = 64 * 1024
REFUSED = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM)


class Drive(NamedTuple):
    """A board in BOOTSEL mode: where its drive is mounted, and the Board-ID on it (RPI-RP2, RP2350)."""

    folder: Path
    board_id: str


def bootsel(kind: BoardType) -> list[Drive]:
    """The mounted BOOTSEL drives of a board's chip; JOURDAIN_BOOTSEL names a further folder to look at, and into."""
    found = {}
    for folder in _folders():
        board_id = _board_id(folder)
        if board_id == kind.micropython.drive:
            found[folder.resolve()] = Drive(folder, board_id)
    return [found[folder] for folder in sorted(found)]


def unmounted(kind: BoardType) -> Path | None:
    """The block device of a drive that is plugged in but not mounted, where this machine tells: `/dev/sda1`."""
    label = LABELS / kind.micropython.drive
    return label.resolve() if label.exists() else None


def _folders() -> Iterator[Path]:
    named = os.environ.get("JOURDAIN_BOOTSEL")
    if named:
        yield Path(named)
        yield from _below(Path(named))
    if sys.platform == "darwin":
        yield from _below(VOLUMES)
    else:
        yield from _mounted()


def _below(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _mounted() -> Iterator[Path]:
    """Where FAT file systems are mounted: below /media, /run/media or wherever somebody put them."""
    try:
        table = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in table.splitlines():
        # A blank is written as \040. A drive that was pulled out stays in the table where nobody unmounts it.
        device, place, kind = [re.sub(r"\\([0-7]{3})", _octal, word) for word in (*line.split(" "), "", "", "")[:3]]
        if kind in ("vfat", "msdos", "fuseblk") and not (device.startswith("/dev/") and not Path(device).exists()):
            yield Path(place)


def _octal(digits: re.Match[str]) -> str:
    return chr(int(digits[1], 8))


def _board_id(folder: Path) -> str:
    try:
        with (folder / INFO).open("rb") as file:
            text = file.read(4096).decode("ascii", "replace")
    except OSError:
        return ""
    found = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def check(data: bytes, kind: BoardType, where: str) -> None:
    """Is this a whole UF2 for that chip, which writes nothing but its flash? Raises HostError (bad_image)."""
    count, rest = divmod(len(data), BLOCK)
    if rest or not count:
        raise _bad(_("this is no UF2 file, or not all of it"), kind, where)
    first = 1 if kind.micropython.family == RP2350 and _is_e10(data) else 0
    total = count - first
    addresses = set()
    for number in range(total):
        block = data[(first + number) * BLOCK : (first + number + 1) * BLOCK]
        *magic, flags, address, size, named, of, family = HEAD.unpack_from(block)
        if tuple(magic) != MAGIC or block[-4:] != MAGIC_END:
            raise _bad(_("block {number} of the UF2 is damaged").format(number=number), kind, where)
        if not flags & HAS_FAMILY or family != kind.micropython.family:
            raise _bad(_("this UF2 is for another chip (family 0x{family:08x})").format(family=family), kind, where)
        if (named, of, size) != (number, total, PAYLOAD) or flags & 1:
            raise _bad(_("block {number} of the UF2 is not the one that should stand there").format(number=number), kind, where)
        addresses.add(address)
        if address % PAYLOAD or not FLASH <= address <= FLASH + kind.micropython.flash_bytes - PAYLOAD:
            raise _bad(_("block {number} of the UF2 lies outside the flash").format(number=number), kind, where)
    if total == 0 or len(addresses) != total:
        raise _bad(_("the UF2 writes a place twice, or none"), kind, where)


def _is_e10(data: bytes) -> bool:
    *magic, flags, address, size, named, of, family = HEAD.unpack_from(data)
    ends = data[BLOCK - 4 : BLOCK] == MAGIC_END
    return tuple(magic) == MAGIC and ends and (flags, address, size, named, of, family) == E10


def _bad(what: str, kind: BoardType, where: str) -> HostError:
    return HostError("bad_image", what, where, _("take the image {image}: jourdain bundle").format(image=kind.micropython.image))


def copy(data: bytes, drive: Drive, step: Callable[[str], None]) -> None:
    """Copy an image onto a drive. The board starts with the last block, and the drive is gone before the file is closed:
    that is no fault. HostError (transfer) when it goes earlier, or takes no file."""
    sent = 0
    try:
        with (drive.folder / "micropython.uf2").open("wb", buffering=0) as file:
            while sent < len(data):
                piece = data[sent : sent + CHUNK]
                sent += len(piece)
                file.write(piece)
                os.fsync(file.fileno())
                step(_("MicroPython: {percent} %").format(percent=sent * 100 // len(data)))
    except OSError as error:
        if sent < len(data) or error.errno in REFUSED:
            what = _("the BOOTSEL drive does not take the image: {error}").format(error=error.strerror or error)
            hint = _("plug the board in again while you hold BOOTSEL, and run the command again")
            raise HostError("transfer", what, str(drive.folder), hint) from None
