"""The files of the workshop: boards.yaml, the secrets, the bundle."""

import json
import os
from pathlib import Path

from gateway.errors import HostError
from gateway.inventory import Inventory, load
from tools.doctor.report import FAIL, OK, SKIP, WARN, Check, failed
from tools.i18n import _, n_


def check_boards(path: Path) -> tuple[Check, Inventory | None]:
    """Does boards.yaml load? Its faults are counted; `jourdain check` names them."""
    if not path.exists():
        hint = _("work in the folder of the town's boards.yaml, or name it: --inventory FILE")
        return Check("boards", WARN, _("no {path} here").format(path=path), hint), None
    try:
        found = load(path)
    except HostError as error:
        count = len(getattr(error, "faults", ())) or 1
        what = n_("{path}: {count} fault", "{path}: {count} faults", count).format(path=path, count=count)
        return Check("boards", FAIL, what, f"jourdain check {path}", error.name), None
    count = len(found.boards)
    return Check("boards", OK, n_("{path}: {count} board, no fault", "{path}: {count} boards, no fault", count).format(
        path=path, count=count)), found  # fmt: skip


def check_bundle(path: Path, inventory: Inventory | None, *, named: bool = False) -> Check:
    """Is the bundle whole, and has it what the boards of the inventory need? named: a person asked for this very file."""
    from tools.bundle import make  # noqa: PLC0415
    from tools.bundle.file import Bundle  # noqa: PLC0415

    if not named and not path.exists():
        return Check("bundle", SKIP, _("no {path} here").format(path=path), _("once, with a network: jourdain bundle"))
    try:
        found = Bundle(path)
        found.verify()
    except HostError as error:
        return failed("bundle", error)
    lacks = make.missing(found, make.needs(inventory)) if inventory else {}
    names = [name for kind in lacks.values() for name in kind]
    if names:
        what = _("{path}: whole, but without {names}").format(path=path, names=", ".join(names[:6]))
        return Check("bundle", WARN, what, _("make it again, with a network: jourdain bundle"))
    said = _("{path}: whole, firmware {firmware}, MicroPython for {images}")
    images = ", ".join(found.manifest.images) or "-"
    return Check("bundle", OK, said.format(path=path, firmware=found.manifest.firmware, images=images))


def check_bootsel() -> Check:
    """Are there drives of boards whose BOOTSEL button was held?"""
    from gateway.presets import presets  # noqa: PLC0415
    from tools.flash.uf2 import bootsel  # noqa: PLC0415

    kinds = [kind for kind in presets().boards.values() if kind.micropython.drive]
    found = {drive.folder: drive.board_id for kind in kinds for drive in bootsel(kind)}
    if not found:
        return Check("bootsel", SKIP, _("no drive of a board in BOOTSEL mode"))
    said = ", ".join(f"{folder} ({board_id})" for folder, board_id in sorted(found.items()))
    return Check("bootsel", OK, said, _("it waits for MicroPython: jourdain flash BOARD"))


def check_secrets(path: Path) -> Check:
    """Is the file of the secrets there, its owner's alone, and encrypted? Nothing of it is opened."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return Check("secrets", SKIP, _("no {path} here").format(path=path), _("make the first key: jourdain keys new BOARD"))
    if mode & 0o077:
        what = _("{path} can be read by other users (mode {mode:04o})").format(path=path, mode=mode & 0o7777)
        return Check("secrets", FAIL, what, f"chmod 600 {path}", "bad_keys")
    if not os.access(path, os.R_OK | os.W_OK):
        return Check("secrets", FAIL, _("{path} belongs to another user").format(path=path), _("work as its owner"), "bad_keys")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = _("{path} cannot be read: {error}").format(path=path, error=error)
        return Check("secrets", FAIL, what, _("restore it from its backup"), "bad_keys")
    if isinstance(found, dict) and isinstance(found.get("keys"), dict):
        return Check("secrets", WARN, _("{path}: mode 0600, not encrypted").format(path=path), "jourdain keys lock")
    return Check("secrets", OK, _("{path}: mode 0600, encrypted").format(path=path))
