"""Serial ports: which have a board on USB, which one is meant, and how one is opened without resetting what hangs there."""

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import HostError
from tools.i18n import _

BAUD = 115_200
# Bridges between USB and a UART: Silicon Labs, WCH, FTDI, Prolific. Their DTR and RTS go to the reset and boot pins of an ESP32.
BRIDGES = (0x10C4, 0x1A86, 0x0403, 0x067B)
# What a system lists beside boards. macOS gives Bluetooth and its console the looks of a serial port.
_NEVER = re.compile(r"bluetooth|debug-console|wlan-debug|/ttyS\d|/ttyAMA\d|rfcomm", re.I)


class Candidate(NamedTuple):
    """A USB device with a serial port. `serial`: its USB serial, empty where it has none; `vid`, `pid`: its USB ids."""

    device: str
    serial: str
    vid: int | None
    pid: int | None
    product: str

    def __str__(self) -> str:
        return f"{self.device} ({', '.join(said for said in (self.serial, self.product) if said) or '?'})"


def candidates() -> list[Candidate]:
    """The USB serial ports, sorted; of a device with several ports, or that two drivers list, the first."""
    from serial.tools import list_ports  # noqa: PLC0415

    found: dict[tuple[object, ...], Candidate] = {}
    for port in sorted(list_ports.comports(), key=lambda port: _natural(port.device)):
        if port.vid is None or _NEVER.search(f"{port.device} {port.description}"):
            continue
        place = (port.location or "").partition(":")[0] or port.serial_number or port.device
        product = port.product or (port.description if port.description != "n/a" else "") or ""
        device = _callout(port.device)
        found.setdefault((port.vid, port.pid, place), Candidate(device, port.serial_number or "", port.vid, port.pid, product))
    return list(found.values())


def resolve(wanted: str | None) -> str:
    """What pyserial opens: the only candidate ("auto", or nothing), the one with a USB serial ("id:SERIAL"), or what is named.

    Two candidates are never guessed between. HostError: no_device, ambiguous.
    """
    word, colon, serial = (wanted or "auto").partition(":")
    if wanted and wanted != "auto" and not (colon and word.lower() == "id"):
        return _callout(wanted)
    there = candidates()
    found = [each for each in there if not colon or _plain(each.serial) == _plain(serial)]
    if len(found) == 1:
        return found[0].device
    where = ", ".join(map(str, found or there))
    if found:
        what = _("several boards have the USB serial {serial}") if colon else _("several boards are plugged in")
        raise HostError("ambiguous", what.format(serial=serial), where, _("name one: --port PORT"))
    what = _("no board with the USB serial {serial} is plugged in") if colon else _("no board is plugged in")
    raise HostError("no_device", what.format(serial=serial), where, _("is it a data cable? some carry power only"))


def for_chip(uid: str) -> str | None:
    """The port of the candidate whose USB serial is this chip's unique id (hexadecimal); None where none says so.

    RP2 and ESP32 with USB of their own say it, the latter with colons; a bridge has a serial of its own.
    """
    found = [each.device for each in candidates() if uid and _plain(each.serial) == _plain(uid)]
    return found[0] if len(found) == 1 else None


def is_port(word: str) -> bool:
    """Does this word mean a port, and not a board's name?"""
    return word == "auto" or "/" in word or word.lower().startswith("id:") or re.fullmatch(r"COM\d+", word) is not None


def opened(port: str, timeout_s: float = 0) -> Any:
    """The port as an open `serial.Serial` that nobody else may open. HostError: no_device, port_busy.

    A pulse on RTS resets an ESP32 behind a bridge: its lines stay low. A board with USB of its own says nothing without DTR.
    """
    import serial  # noqa: PLC0415

    try:
        line = serial.serial_for_url(port, baudrate=BAUD, timeout=timeout_s, exclusive=True, do_not_open=True)
        bridge = is_bridge(port)
        if bridge:
            line.rts = False
        line.open()
        if bridge:
            # The system raises both on opening. RTS falls first: DTR low and RTS high together is what pulls the reset.
            line.dtr = False
        return line
    except (OSError, ValueError):
        raise _why_closed(port) from None


def is_bridge(port: str) -> bool:
    """Is this a bridge between USB and a UART?"""
    if "://" in port:
        return False
    real = os.path.realpath(port)  # /dev/serial/by-id/...
    return any(each.vid in BRIDGES and os.path.realpath(each.device) == real for each in candidates())


def _why_closed(port: str) -> HostError:
    """Ask again, for the reason."""
    import serial  # noqa: PLC0415

    if port.startswith("/") and not Path(port).exists():
        return HostError("no_device", _("there is no such port"), port, _("plugged in? is it a data cable?"))
    try:
        serial.serial_for_url(port, exclusive=True).close()
    except (OSError, ValueError) as error:
        if port.startswith("/") and not os.access(port, os.R_OK | os.W_OK):
            hint = _("as root: usermod -aG dialout {user}, then log in again").format(user=os.environ.get("USER", "USER"))
            return HostError("port_busy", _("you may not open this port"), port, hint)
        if "lock" in str(error) or getattr(error, "errno", None) == 16:
            hint = _("stop the gateway's daemon or the terminal that uses it")
            return HostError("port_busy", _("another program holds this port"), port, hint)
        return HostError("no_device", str(error), port, _("plugged in? is it a data cable?"))
    return HostError("port_busy", _("the port could not be opened"), port, _("run the command again"))


def _callout(device: str) -> str:
    """On macOS a tty.* waits for a carrier that no board gives; the cu.* beside it does not."""
    return device.replace("/dev/tty.", "/dev/cu.", 1) if sys.platform == "darwin" else device


def _natural(device: str) -> list[tuple[int, str]]:
    """So that ttyACM10 comes after ttyACM9."""
    return [(int(part or 0), "") if at % 2 else (0, part) for at, part in enumerate(re.split(r"(\d+)", device))]


def _plain(serial: str) -> str:
    return serial.replace(":", "").lower()
