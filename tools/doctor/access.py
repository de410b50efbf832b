"""May I open a port, and who has it open already? Asked of the file system and of /proc, without opening anything."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.doctor.report import FAIL, OK, SKIP, WARN, Check
from tools.doctor.usb import running
from tools.i18n import _, n_


class Holder(NamedTuple):
    """A process that has a port open."""

    pid: int
    name: str
    gateway: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


class Group(NamedTuple):
    """A row of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


def check_permission(ports: Sequence[str], root: Path = Path("/")) -> Check:
    """May I read and write these ports? If not, the exact command."""
    if not ports:
        return Check("permission", SKIP, _("no port"))
    for port in ports:
        file = root / port[1:]
        try:
            stat = file.stat()
        except OSError:
            return Check("permission", FAIL, _("there is no {port}").format(port=port), _("plugged in?"), "no_device")
        if not os.access(file, os.R_OK | os.W_OK):
            return _refused(port, stat, root)
    return Check("permission", OK, _("you may use {ports}").format(ports=", ".join(ports)))


def _refused(port: str, stat: os.stat_result, root: Path) -> Check:
    me = _user(root)
    group = _group(root, stat.st_gid)
    of_group = stat.st_mode & 0o060 == 0o060
    if of_group and me in group.members:
        what = _("{user} is in the group {group} of {port}, but this login does not know it yet")
        hint = _("log out and in again, or now: newgrp {group}").format(group=group.name)
    elif of_group:
        what = _("{port} belongs to the group {group}, and {user} is not in it")
        hint = _("sudo usermod -aG {group} {user}, then log out and in again").format(group=group.name, user=me)
    else:
        what = _("{port} lets nobody in but its owner")
        hint = f"sudo chgrp dialout {port} && sudo chmod 660 {port}"
    return Check("permission", FAIL, what.format(user=me, group=group.name, port=port), hint, "port_busy")


def _user(root: Path) -> str:
    for row in _rows(root / "etc/passwd"):
        if len(row) > 2 and row[2] == str(os.getuid()):
            return row[0]
    return os.environ.get("USER", str(os.getuid()))


def _group(root: Path, gid: int) -> Group:
    for row in _rows(root / "etc/group"):
        if len(row) > 3 and row[2] == str(gid):
            return Group(row[0], gid, tuple(filter(None, row[3].split(","))))
    return Group(str(gid), gid, ())


def _rows(path: Path) -> list[list[str]]:
    try:
        return [line.split(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []


def holders(port: str, root: Path = Path("/")) -> tuple[list[Holder], int]:
    """(who has the port open, how many processes would not be looked at). We ourselves do not count."""
    device = os.path.realpath(root / port[1:])
    found, closed = [], 0
    for folder in sorted((root / "proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(folder.name) == os.getpid():
            continue
        try:
            files = list((folder / "fd").iterdir())
        except PermissionError:
            closed += 1
            continue
        except OSError:  # it has ended meanwhile
            continue
        if any(_target(file) == device for file in files) and not _serves(folder, files, device):
            found.append(_holder(folder))
    return found, closed


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _serves(folder: Path, files: Sequence[Path], device: str) -> bool:
    """Is this process behind a pseudo terminal, as an emulated board is? Then it is the device, and nobody's rival."""
    number = device.removeprefix("/dev/pts/")
    masters = [file.name for file in files if _target(file) in ("/dev/ptmx", "/dev/pts/ptmx")] if number != device else []
    return any(f"tty-index:\t{number}\n" in _info(folder / "fdinfo" / name) for name in masters)


def _info(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _holder(folder: Path) -> Holder:
    try:
        name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        name, words = "?", []
    return Holder(int(folder.name), name, b"gateway" in words and b"run" in words)


def check_holder(ports: Sequence[str], root: Path = Path("/")) -> Check:
    """Does another program hold one of these ports?"""
    if not ports:
        return Check("holder", SKIP, _("no port"))
    if not (root / "proc").is_dir():
        return Check("holder", SKIP, _("this system has no /proc"))
    closed = 0
    for port in ports:
        who, closed = holders(port, root)
        if who:
            what = _("{port} is held by {who}").format(port=port, who=", ".join(map(str, who)))
            gateway = any(holder.gateway for holder in who)
            hint = _("that is the gateway's daemon: sudo systemctl stop jourdain-gateway") if gateway else _("end it")
            return Check("holder", FAIL, what, hint, "port_busy")
    if running(root, "ModemManager"):
        what = _("ModemManager runs: it opens a new port for some seconds and writes to it")
        return Check("holder", WARN, what, "sudo systemctl disable --now ModemManager")
    said = _("nobody holds {ports}").format(ports=", ".join(ports))
    if closed:
        said += n_(" ({count} process of others was not looked at)", " ({count} processes of others were not looked at)",
                   closed).format(count=closed)  # fmt: skip
    return Check("holder", OK, said)
