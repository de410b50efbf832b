"""MicroPython itself onto a board: an ESP32's by esptool, a Pico's by UF2 on its BOOTSEL drive.

A run that is killed at any moment leaves a board that the same command repairs: the loader of both families is in ROM.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.errors import HostError
from gateway.presets import BoardType
from tools.flash import esp, identify, ports, uf2
from tools.flash.connect import Connection
from tools.flash.uf2 import Drive, bootsel
from tools.i18n import _

__all__ = ["Drive", "Image", "bootsel", "checked", "image", "install"]

# How long a Pico takes to show its drive, and a board to answer after its image is on it; its file system is made in that time.
DRIVE_S, ANSWER_S = 20.0, 60.0
# A drive that is plugged in but not mounted by then is mounted by nobody.
MOUNT_S = 8.0
POLL_S = 0.1
RASPBERRY_PI = 0x2E8A  # USB vendor of a Pico that runs MicroPython
# Two Picos in BOOTSEL mode cannot be told apart, so that only one is brought there at a time.
_one_pico = threading.Lock()

Step = Callable[[str], None]
Check = Callable[[str], None]


class Image(NamedTuple):
    """An image of MicroPython: the file, the version in it, its SHA-256 (hexadecimal), its name on the download site."""

    path: Path
    version: tuple[int, int, int]
    sha256: str
    name: str


def image(bundle: Path | None, kind: BoardType) -> Image:
    """The image for a type of board, out of a bundle. HostError: no_image, bad_bundle."""
    from tools.bundle.file import Bundle  # noqa: PLC0415 - without a bundle none of it is needed

    found = Bundle(bundle).image(kind) if bundle and bundle.exists() else None
    if found is None:
        what = _("there is no MicroPython for a {type} here ({image})").format(type=kind.name, image=kind.micropython.image)
        raise HostError("no_image", what, str(bundle or ""), _("once, with a network: jourdain bundle"))
    return found


def checked(kind: BoardType, image: Image) -> bytes:
    """The bytes of an image that is whole and for that chip. HostError (bad_image)."""
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise HostError("bad_image", _("the image cannot be read: {error}").format(error=error.strerror), str(image.path),
                        _("make it again: jourdain bundle")) from None  # fmt: skip
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise HostError("bad_image", _("the image is not what it was: its SHA-256 is another one"), str(image.path),
                        _("make it again: jourdain bundle"))  # fmt: skip
    (esp if kind.platform == "esp32" else uf2).check(data, kind, str(image.path))
    return data


def install(kind: BoardType, image: Image, port: str | None, step: Step, check: Check | None = None) -> str:
    """Put MicroPython on a board, and return the port where it then answers.

    `port`: where the board is now; None (or nothing there) for a Pico in BOOTSEL mode. `check` is given the chip's unique id
    and raises HostError (mismatch) for a wrong one: before anything is written where the chip tells it by then, which a Pico
    in BOOTSEL mode does not, and else before anything more is. `step` is told what happens.

    HostError: bad_image, no_device, port_busy, ambiguous (two BOOTSEL drives), mismatch, transfer, timeout, missing_tool.
    """
    data = checked(kind, image)
    if kind.platform == "esp32":
        if not port:
            raise HostError("no_device", _("no board is plugged in"), "", _("is it a data cable? some carry power only"))
        before = _devices()
        uid = esp.install(kind, image.path, port, step, check).uid
        return _answering(kind, image, _Places(port, uid, before), check)
    with _one_pico:
        drive, uid = _to_bootsel(kind, port, check)
        before = _devices()
        uf2.copy(data, drive, step)
        return _answering(kind, image, _Places(port, uid, before), check)


def _devices() -> set[str]:
    return {each.device for each in ports.candidates()}


def _to_bootsel(kind: BoardType, port: str | None, check: Check | None) -> tuple[Drive, str]:
    """The drive of a Pico, and its unique id where it told it; one that runs MicroPython is restarted into BOOTSEL mode."""
    if not port or not _is_there(port):
        return _wait(kind, [], 0), ""
    known = bootsel(kind)
    try:
        connection = Connection(port)
    except HostError as error:
        if error.name != "no_device":
            raise
        raise _by_hand(_("what runs there is no MicroPython, and cannot be asked to make way"), port) from None
    try:
        found = identify.ask(connection)
        _compare_chip(kind, found, port)
        if check:
            check(found.uid)
        _leave(connection)
    except BaseException:
        with contextlib.suppress(HostError):
            connection.restart()  # a board that is another one goes on with what it has
        raise
    finally:
        connection.close()
    return _wait(kind, known, DRIVE_S), found.uid


def _several(drives: list[Drive]) -> HostError:
    where = ", ".join(str(drive.folder) for drive in drives)
    what = _("several boards are in BOOTSEL mode, and none says which it is")
    return HostError("ambiguous", what, where, _("plug in one alone"))


def _leave(connection: Connection) -> None:
    """Its answer does not come any more: with the restart its USB is gone."""
    try:
        connection.run("import machine\nmachine.bootloader()")
    except HostError as error:
        if error.name != "transfer":
            raise


def _wait(kind: BoardType, known: list[Drive], timeout_s: float) -> Drive:
    """The drive that was not there before. HostError (no_device) with what a person can do, ambiguous."""
    began = time.monotonic()
    while True:
        new = [drive for drive in bootsel(kind) if drive not in known]
        if len(new) == 1:
            return new[0]
        if new:
            raise _several(new)
        waited_s = time.monotonic() - began
        device = uf2.unmounted(kind)
        if device and waited_s >= min(MOUNT_S, timeout_s) and not known:
            raise HostError("no_device", _("the board is in BOOTSEL mode, but its drive is not mounted"), str(device),
                            _("udisksctl mount -b {device}, and run the command again").format(device=device))  # fmt: skip
        if waited_s >= timeout_s:
            raise _by_hand(_("no BOOTSEL drive of a {type} is there").format(type=kind.name), kind.micropython.drive)
        time.sleep(POLL_S)


def _by_hand(what: str, where: str) -> HostError:
    hint = _("plug it in while you hold its button BOOTSEL, and run the command again")
    return HostError("no_device", what, where, hint)


def _is_there(port: str) -> bool:
    if "://" not in port:
        return Path(port).exists() or port in _devices()
    try:
        ports.opened(port).close()
    except HostError as error:
        return error.name == "port_busy"
    return True


class _Places(NamedTuple):
    """Where a board may come back: at its old port, at that of its unique id, or at one that was not there before."""

    port: str | None
    uid: str
    before: set[str]

    def now(self, kind: BoardType) -> list[str]:
        found = [ports.for_chip(self.uid)] if self.uid else []
        if self.port and _is_there(self.port):
            found.append(self.port)
        if not any(found) and kind.platform == "rp2":
            new = [each.device for each in ports.candidates() if each.device not in self.before and each.vid == RASPBERRY_PI]
            found += new if len(new) == 1 else []
        return list(dict.fromkeys(place for place in found if place))


def _answering(kind: BoardType, image: Image, places: _Places, check: Check | None) -> str:
    """The port at which the new MicroPython answers. HostError: mismatch, transfer (it is an old one), timeout."""
    old = None
    for device in _until(kind, places):
        try:
            found = _ask(device)
        except HostError:  # it boots, or makes its file system
            continue
        _compare_chip(kind, found, device)
        if check:
            check(found.uid)
        if found.version[:3] == image.version:
            return device
        what = _("MicroPython {found} runs, {wanted} was written").format(
            found=found.micropython, wanted=".".join(map(str, image.version)))  # fmt: skip
        old = HostError("transfer", what, device, _("run the command again"))
    raise old or HostError("timeout", _("the new MicroPython does not answer"), places.port or "",
                           _("unplug the board, plug it in again, and run the command again"))  # fmt: skip


def _until(kind: BoardType, places: _Places) -> Iterator[str]:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        yield from places.now(kind)
        time.sleep(POLL_S)


def _ask(device: str) -> identify.Found:
    connection = Connection(device)
    try:
        return identify.ask(connection)
    finally:
        connection.close()


def _compare_chip(kind: BoardType, found: identify.Found, port: str) -> None:
    if found.platform != kind.platform or found.chip != kind.chip:
        what = _("this chip is a {found}, a {type} has the {chip}").format(
            found=found.chip or found.platform, type=kind.name, chip=kind.chip)  # fmt: skip
        raise HostError("mismatch", what, port, _("plug in the right board, or correct its type"))
