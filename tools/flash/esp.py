"""An ESP32's own loader, by the program esptool 5: it is GPL, so it is started and never imported.

Nothing is written before the chip and its MAC are known to be the right ones. A run that is killed leaves a chip that the
next run finds in its loader, or brings there.
"""

import importlib.util
import os
import queue
import re
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import NamedTuple

from gateway.errors import HostError
from gateway.presets import BoardType
from tools.flash import ports
from tools.i18n import _

# The second rate is for cables and bridges that lose bytes at the first.
BAUDS = (460_800, 115_200)
# So long without a word from esptool means that it hangs; its longest silence is the check of what was written.
SILENCE_S = 60.0
TRIES = 7

IMAGE_MAGIC, CHIP_AT = 0xE9, 12
TABLE, TABLE_BYTES = 0x8000, 0xC00  # the partition table in the flash
ENTRY = struct.Struct("<2s2B2I16sI")
SECTOR = 0x1000

# How esptool complains about its command line.
_USAGE = re.compile(r"No such |invalid choice|Invalid value|No module named|[Uu]sage:")

Step = Callable[[str], None]


class Chip(NamedTuple):
    """What the loader says: `ESP32S3`, and the MAC as 12 hexadecimal digits, which is the unique id that MicroPython tells."""

    name: str
    uid: str


def tool() -> list[str]:
    """How esptool is started: JOURDAIN_ESPTOOL, this interpreter's own, else the one on PATH. HostError (missing_tool)."""
    named = os.environ.get("JOURDAIN_ESPTOOL")
    if named:
        return [named]
    if importlib.util.find_spec("esptool"):
        return [sys.executable, "-m", "esptool"]
    found = which("esptool")
    if found is None:
        raise _missing(_("esptool is not installed"))
    return [found]


def _missing(what: str) -> HostError:
    return HostError("missing_tool", what, sys.executable, f"{sys.executable} -m pip install 'jourdain[esp]'")


def identify(port: str) -> Chip:
    """The chip at a port, by its loader; its program is started again. HostError: no_device, port_busy, missing_tool, timeout."""
    return _chip(_run(port, "auto", ["chip-id"]), port)


def _chip(said: str, port: str) -> Chip:
    name = re.search(r"^Connected to (\S+) on ", said, re.MULTILINE)
    mac = re.search(r"^BASE MAC:\s*(\S+)", said, re.MULTILINE) or re.search(r"^MAC:\s*(\S+)", said, re.MULTILINE)
    if name is None or mac is None:
        what = _("esptool does not say which chip this is: {said}").format(said=said.strip()[-80:] or "-")
        raise HostError("no_device", what, port, _("run the command again"))
    return Chip(name[1].upper().replace("-", ""), mac[1].replace(":", "").lower())


def install(kind: BoardType, path: Path, port: str, step: Step, check: Callable[[str], None] | None) -> Chip:
    """Write an image and have it verified; `check` is given the chip's uid before. HostError: mismatch, transfer, as identify."""
    found = identify(port)
    if found.name != kind.chip:
        what = _("this chip is a {found}, a {type} has the {chip}").format(found=found.name, type=kind.name, chip=kind.chip)
        raise HostError("mismatch", what, port, _("plug in the right board, or correct its type"))
    if check:
        check(found.uid)
    _make_room(kind, path.read_bytes(), port, step)
    words = ["write-flash", f"{kind.micropython.offset:#x}", str(path)]
    for baud in BAUDS:
        try:
            _run(port, kind.chip, words, step, baud)
            break
        except HostError as error:
            if error.name != "transfer" or baud == BAUDS[-1]:
                raise
            step(_("the line failed at {baud} baud; again, slower").format(baud=baud))
    return found


def _make_room(kind: BoardType, image: bytes, port: str, step: Step) -> None:
    """MicroPython makes its file system where the flash is empty, keeps one that is there, and does not start on anything
    else: what another program left at that place is erased."""
    place = file_system(image, kind.micropython.offset)
    if place is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "first"
        _run(port, kind.chip, ["read-flash", f"{place:#x}", f"{2 * SECTOR:#x}", str(out)])
        first = out.read_bytes()
    if not _mountable(first):
        step(_("erasing what another program left"))
        _run(port, kind.chip, ["erase-region", f"{place:#x}", f"{2 * SECTOR:#x}"])


def _mountable(first: bytes) -> bool:
    """Is it empty, littlefs (in either of its first two blocks) or FAT?"""
    littlefs = any(first[at + 8 : at + 16] == b"littlefs" for at in (0, SECTOR))
    return littlefs or first[510:512] == b"\x55\xaa" or first == b"\xff" * len(first)


def file_system(image: bytes, offset: int) -> int | None:
    """Where MicroPython's file system begins, by the partition table inside its image; None where there is none."""
    table = image[TABLE - offset : TABLE - offset + TABLE_BYTES]
    for at in range(0, len(table) - ENTRY.size + 1, ENTRY.size):
        magic, _type, _subtype, start, _size, label, _flags = ENTRY.unpack_from(table, at)
        if magic == b"\xaa\x50" and label.rstrip(b"\0") == b"vfs":
            return int(start)
    return None


def check(data: bytes, kind: BoardType, where: str) -> None:
    """Is this an image for that chip, with a partition table? Raises HostError (bad_image)."""
    hint = _("take the image {image}: jourdain bundle").format(image=kind.micropython.image)
    if len(data) < CHIP_AT + 2 or data[0] != IMAGE_MAGIC:
        raise HostError("bad_image", _("this is no image for an ESP32"), where, hint)
    chip = int.from_bytes(data[CHIP_AT : CHIP_AT + 2], "little")
    if chip != kind.micropython.family:
        raise HostError("bad_image", _("this image is for another chip (number {chip})").format(chip=chip), where, hint)
    if file_system(data, kind.micropython.offset) is None:
        raise HostError("bad_image", _("this image has no partition for files"), where, hint)


def _run(port: str, chip: str, words: list[str], step: Step | None = None, baud: int = BAUDS[0]) -> str:
    """Run esptool and return what it said; its progress goes to `step`. Its errors become ours."""
    command = [
        *tool(), "--chip", chip.lower(), "--port", port, "--baud", str(baud), "--before", "default-reset",
        "--after", "hard-reset", "--connect-attempts", str(TRIES), *words,
    ]  # fmt: skip
    # Whole lines as they come, without colours: it wraps at the width of a terminal where it is told none.
    plain = {"COLUMNS": "1000", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    env = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | plain
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    except OSError as error:
        raise _missing(_("esptool cannot be started: {error}").format(error=error.strerror)) from None
    said = ""
    try:
        for text in _words(process):
            said += text
            percent = re.search(r"(\d{1,3})(?:\.\d+)?%", text)
            if step and percent:
                step(_("MicroPython: {percent} %").format(percent=percent[1]))
        code = process.wait(SILENCE_S)
    except (queue.Empty, subprocess.TimeoutExpired):
        hint = _("unplug the board, plug it in again, and run the command again")
        raise HostError("timeout", _("esptool says nothing any more"), port, hint) from None
    finally:
        process.kill()
        process.wait()
    if code != 0:
        raise _fault(said, port)
    return said


def _words(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """The output of a process in pieces, each a line or a state of its progress bar; queue.Empty when it is silent too long."""
    pieces: queue.Queue[bytes] = queue.Queue()
    assert process.stdout is not None
    stream = process.stdout

    def read() -> None:
        while True:
            data = os.read(stream.fileno(), 4096)
            pieces.put(data)
            if not data:
                return

    threading.Thread(target=read, daemon=True).start()
    kept = b""
    while data := pieces.get(timeout=SILENCE_S):
        *whole, kept = re.split(rb"(?<=[\r\n])", kept + data)
        for piece in whole:
            yield piece.decode("utf-8", "replace").replace("\r", "\n")
    yield kept.decode("utf-8", "replace")


def _why_closed(port: str, text: str) -> HostError:
    """Open it ourselves, for the reason."""
    try:
        ports.opened(port).close()
    except HostError as error:
        return error
    return HostError("port_busy", text, port, _("run the command again"))


def _fault(said: str, port: str) -> HostError:
    """Our error for what esptool said before it ended."""
    fatal = re.search(r"A fatal error occurred: ([^\n]*)", said)
    text = fatal[1].strip() if fatal else (said.strip().splitlines() or ["?"])[-1]
    if "Could not open" in text:
        return _why_closed(port, text)
    complaints = [line for line in said.splitlines() if _USAGE.search(line)]
    if complaints and not fatal:
        what = _("esptool does not understand what it is asked, 5.0 or newer is needed: {said}")
        return _missing(what.format(said=complaints[-1].strip("│ ")[:120]))
    if re.search(r"This chip is|Unexpected chip|chip argument", text):
        return HostError("mismatch", text, port, _("plug in the right board, or correct its type"))
    if re.search(r"Failed to connect|No serial data|Wrong boot mode|sync reply|download mode", text):
        hint = _("hold BOOT, press RESET, let BOOT go, run the command again; is it a data cable?")
        return HostError("no_device", _("the chip's loader does not answer: {said}").format(said=text), port, hint)
    if re.search(r"MD5|region is empty|[Vv]erif", text):
        what = _("the flash does not hold what was written: {said}").format(said=text)
        return HostError("transfer", what, port, _("run the command again; if it happens again the flash is worn out"))
    what = _("esptool ended with: {error}").format(error=text)
    return HostError("transfer", what, port, _("check the cable and run the command again"))
