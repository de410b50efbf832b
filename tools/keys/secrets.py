"""The file of the boards' secrets: read and written as a whole, by its owner alone."""

import errno
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.errors import HostError
from tools.i18n import _

SECRET_LEN = 16
KID = re.compile(r"(?:[0-9a-f]{4}|[0-9a-f]{8})\Z")


def read(path: Path) -> dict[str, dict[str, str]]:
    """{key id: {"board", "secret"[, "counts_on"]}} of a file; empty where there is none. Raises HostError (bad_keys)."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        what = _("the secrets cannot be read: {error}").format(error=error)
        raise HostError("bad_keys", what, str(path), _("repair it, or restore it from its backup")) from None
    if mode & 0o077:
        what = _("the secrets can be read by other users of this machine")
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    issued = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(issued, dict) or not all(_sound(kid, entry) for kid, entry in issued.items()):
        what = _("this is no file of `jourdain keys new`")
        raise HostError("bad_keys", what, str(path), _("name another file, or restore it from its backup"))
    return issued


def _sound(kid: str, entry: Any) -> bool:
    if not KID.match(kid) or not isinstance(entry, dict) or not isinstance(entry.get("secret"), str):
        return False
    return re.fullmatch(r"[0-9a-f]{32}", entry["secret"]) is not None


def write(path: Path, document: dict[str, Any]) -> None:
    """Put a document in the place of a file at once, mode 0600, on the disk when it returns.

    Raises HostError (disk_full, bad_keys).
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        what = _("cannot write: {error}").format(error=error)
        name = "disk_full" if error.errno == errno.ENOSPC else "bad_keys"
        raise HostError(name, what, str(path), _("make room, or name another place")) from None


def counts_on(path: Path, kid: str, uid: str) -> None:
    """Note that the counter of a key id is on the chip `uid`, before it is made there. Raises HostError."""
    with locked(path):
        issued = read(path)
        if issued[kid].get("counts_on") != uid:
            issued[kid]["counts_on"] = uid
            write(path, {"keys": issued})


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two commands at once must not issue one key id twice: the folder is the lock, and leaves nothing behind."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        what = _("cannot write: {error}").format(error=error)
        raise HostError("bad_keys", what, str(path), _("name a file in a folder that exists")) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
