"""A small file replaced in one step, by one process at a time: whoever reads it finds the old or the new one, whole."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.errors import HostError
from gateway.synced import sync
from tools.i18n import _


@contextmanager
def locked(path: Path, fault: str) -> Iterator[None]:
    """Hold the file's folder against other threads and processes that do the same; the lock leaves nothing behind.

    Not to be held twice: a second one in the same folder waits for the first. Raises HostError `fault`: no such folder.
    """
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        what = _("cannot write: {error}").format(error=error)
        raise HostError(fault, what, str(path), _("name a file in a folder that exists")) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def replace(path: Path, data: bytes, fault: str, like: os.stat_result | None = None) -> None:
    """Put `data` in the place of a file while it is `locked`; on the disk when it returns. Mode and owner as `like`, else 0600.

    Raises HostError: disk_full, else `fault`; the file is as it was then.
    """
    there = path.resolve()  # a link stays a link
    fresh = there.with_name(f".{there.name}.new")  # one name: what a killed process left there goes with the next writing
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if like is not None:
                with suppress(PermissionError):
                    os.fchown(handle, like.st_uid, like.st_gid)
                os.fchmod(handle, like.st_mode & 0o7777)
            file.flush()
            os.fsync(handle)
        os.replace(fresh, there)
        sync(there.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        what = _("cannot write: {error}").format(error=error)
        name = "disk_full" if error.errno == errno.ENOSPC else fault
        raise HostError(name, what, str(path), _("make room, or name another place")) from None
