"""What hangs on USB, from sysfs: boards and the serial chips on them, their ports, their drivers. Linux alone.

`root` is the folder that stands for `/`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.doctor.report import FAIL, OK, SKIP, WARN, Check
from tools.i18n import _

CDC = "cdc_acm"
# USB vendor -> who makes the chip, and the kernel module that makes a serial port of it.
VENDORS = {
    0x2E8A: ("Raspberry Pi", CDC),
    0x303A: ("Espressif", CDC),
    0x10C4: ("CP210x", "cp210x"),
    0x1A86: ("CH340/CH9102", "ch341"),
    0x0403: ("FTDI", "ftdi_sio"),
    0x067B: ("Prolific", "pl2303"),
}
# Chips of WCH that need no driver of their own: CH343, CH9102.
_STANDARD = {(0x1A86, 0x55D3), (0x1A86, 0x55D4)}
# A Raspberry Pi chip whose BOOTSEL button was held: a drive, no port.
_BOOTSEL = {(0x2E8A, 0x0003): "RP2040", (0x2E8A, 0x000F): "RP2350"}
_NOT_A_BOARD = {(0x2E8A, 0x000C)}  # the debug probe of Raspberry Pi


class Device(NamedTuple):
    """A device on USB that is a board or a serial chip, or has a serial port. `ports`: the kernel's names, /dev/ttyACM0."""

    vid: int
    pid: int
    serial: str
    product: str
    ports: tuple[str, ...]

    @property
    def bootsel(self) -> str:
        """The chip that waits for its UF2, or nothing."""
        return _BOOTSEL.get((self.vid, self.pid), "")

    @property
    def module(self) -> str:
        """The kernel module that makes a port of it."""
        return CDC if (self.vid, self.pid) in _STANDARD else VENDORS.get(self.vid, ("", CDC))[1]

    def __str__(self) -> str:
        maker = VENDORS.get(self.vid, (self.product,))[0]
        said = f"{maker} {self.vid:04x}:{self.pid:04x}".lstrip()
        return f"{said} {self.serial}".rstrip()


def devices(root: Path = Path("/")) -> list[Device]:
    """Boards and serial chips on USB, by their place."""
    found = []
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        vid, pid = _number(folder / "idVendor"), _number(folder / "idProduct")
        ttys = {tty.name for form in ("*:*/tty/*", "*:*/ttyUSB*") for tty in folder.glob(form)}
        if (vid in VENDORS or ttys) and (vid, pid) not in _NOT_A_BOARD:
            ports = tuple(f"/dev/{name}" for name in sorted(ttys))
            found.append(Device(vid, pid, _text(folder / "serial"), _text(folder / "product"), ports))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    try:
        return int(text, 16)
    except ValueError:
        return 0


def running(root: Path, name: str) -> bool:
    """Does a process of this name run?"""
    return any(_text(file) == name[:15] for file in (root / "proc").glob("[0-9]*/comm"))


def check_ports(found: Sequence[Device]) -> Check:
    """Is there a board?"""
    told = [f"{port}: {device}" for device in found for port in device.ports]
    told += [_("{chip} in BOOTSEL mode").format(chip=device.bootsel) for device in found if device.bootsel]
    if told:
        return Check("usb", OK, "; ".join(told))
    if found:
        return Check("usb", FAIL, _("no port: {devices}").format(devices="; ".join(map(str, found))),
                     _("see `driver` below"), "no_device")  # fmt: skip
    return _nothing()


def check_named(ports: Sequence[str]) -> Check:
    """Ports that a person named, or where there is no sysfs those that the system names."""
    return Check("usb", OK, ", ".join(ports)) if ports else _nothing()


def _nothing() -> Check:
    hint = _("is its power light on? then another cable (some carry power only), another socket, and last the driver")
    return Check("usb", WARN, _("no board and no serial chip on USB"), hint)


def check_driver(found: Sequence[Device], root: Path = Path("/")) -> Check:
    """Has each device the driver that makes a port of it, and has /dev the port?"""
    without = [device for device in found if not device.ports and not device.bootsel]
    if not found:
        return Check("driver", SKIP, _("nothing on USB needs one"))
    if without:
        device = without[0]
        what = _("{device} has no port").format(device=device)
        if device.vid == 0x1A86 and running(root, "brltty"):
            return Check("driver", FAIL, _("{what}: brltty, for braille displays, takes it").format(what=what),
                         "sudo apt remove brltty", "no_device")  # fmt: skip
        if (root / "sys/module" / device.module).exists():
            hint = _("the driver {module} is there: pull the cable and plug it in again").format(module=device.module)
        else:
            hint = f"sudo modprobe {device.module}"
        return Check("driver", FAIL, what, hint, "no_device")
    absent = [port for device in found for port in device.ports if not (root / port[1:]).exists()]
    if absent:
        hint = _("in a container: hand the device to it; else: sudo systemctl restart systemd-udevd")
        return Check("driver", FAIL, _("the kernel has {port}, /dev has not").format(port=absent[0]), hint, "no_device")
    return Check("driver", OK, ", ".join(sorted({device.module for device in found if device.ports}) or ["-"]))
