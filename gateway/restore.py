"""A backup comes back: all of it is checked, then it takes its place in a folder where nothing of it may be yet."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from gateway import vault, windows
from gateway.backup import FORMAT, MANIFEST, OUTSIDE, Manifest, Progress, Summary, disk, nothing
from gateway.errors import HostError
from gateway.store import Store
from gateway.synced import sync

_STAGED = ".restoring"
_READ = 1 << 20


def read(source: Path, into: Path, passphrase: str, progress: Progress = nothing) -> Summary:
    """Put the backup `source` back into the folder `into`; on disk when this returns, and nothing is overwritten.

    All of it is checked before anything takes its place. Raises HostError bad_backup, bad_passphrase, file_exists, bad_store,
    disk_full, disk_error.
    """
    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            manifest, names = _look(vault.Reader(file, passphrase, str(source)), str(source))
            _refuse_overwriting(into, manifest, names)
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            staged = into / _STAGED
            shutil.rmtree(staged, ignore_errors=True)  # of a restore that was killed
            staged.mkdir(mode=0o700)
            try:
                file.seek(0)
                _extract(vault.Reader(file, passphrase, str(source)), staged, size, progress)
                _check_store(staged / manifest.store, str(source))
                _place(staged, into, names, last=manifest.config)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except (OSError, tarfile.TarError) as error:
        raise disk(error, source if not into.exists() else into) from None
    outside = {"/" + name.removeprefix(OUTSIDE + "/"): str(into / name) for name in names if name.startswith(OUTSIDE + "/")}
    return Summary(str(source), manifest.gateway, manifest.made, size, names, manifest.missing, outside)


def _look(sealed: vault.Reader, where: str) -> tuple[Manifest, list[str]]:
    """Authenticate all of it; what its first member says, and the names of the others."""
    manifest: Manifest | None = None
    names: list[str] = []
    with io.BufferedReader(sealed, _READ) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    if manifest is None:
                        manifest = _manifest(tar, member, where)
                    elif not member.isreg() or not _harmless(member.name) or member.name in names:
                        raise HostError("bad_backup", f"it holds {member.name!r}, which no backup of ours does", where)
                    else:
                        names.append(member.name)
        except (tarfile.TarError, ValueError, OverflowError) as error:
            manifest = None
            what = f"what is inside cannot be read: {error}"
        else:
            what = "it holds no store and no gateway.toml"
        while stream.read(_READ):
            pass
    if manifest is None or not {manifest.store, manifest.config} <= set(names):
        raise HostError("bad_backup", what, where, "take an older backup")
    return manifest, names


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> Manifest:
    file = tar.extractfile(member) if member.name == MANIFEST and member.isreg() else None
    try:
        found = Manifest.model_validate_json(file.read(_READ) if file else b"")
    except ValidationError:
        raise HostError("bad_backup", f"its first member is no {MANIFEST}", where, "take an older backup") from None
    if found.format != FORMAT:
        what = f"it has the format {found.format}, this version knows {FORMAT}"
        raise HostError("bad_backup", what, where, "restore it with the version that made it, or a newer one")
    return found


def _harmless(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and path.parts[0] != _STAGED


def _refuse_overwriting(into: Path, manifest: Manifest, names: list[str]) -> None:
    beside = [manifest.store + end for end in windows.BESIDE]
    for name in [*names, *beside]:
        if os.path.lexists(into / name):
            hint = "restore into an empty folder; what is there may be newer than the backup"
            raise HostError("file_exists", "this file is there already", str(into / name), hint)


def _extract(sealed: vault.Reader, staged: Path, size: int, progress: Progress) -> None:
    done = 0
    with io.BufferedReader(sealed, _READ) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if member.name == MANIFEST or file is None:
                continue
            path = staged / member.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                while data := file.read(_READ):
                    out.write(data)
                    done += len(data)
                    progress(done, size)
                out.flush()
                os.fsync(out.fileno())
            os.utime(path, (member.mtime, member.mtime))


def _check_store(path: Path, where: str) -> None:
    """SQLite reads every page of it. Then the store itself says that answers may have been sent after it was copied."""
    hint = "take an older backup"
    try:
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise HostError("bad_store", f"the store in this backup was damaged already: {found}", where, hint)
    store = Store(path)  # brings one of an older version up to date
    try:
        store.within(_came_back, "begun")
    finally:
        store.close()


def _came_back(db: sqlite3.Connection) -> None:
    windows.mark(db, windows.RESTORED)
    db.execute("UPDATE controller SET generation = max(generation, 1)")


def _place(staged: Path, into: Path, names: list[str], last: str) -> None:
    """Move everything to its place, gateway.toml last: before that, no daemon starts here."""
    owner = into.stat()
    for name in sorted(names, key=lambda name: name == last):
        path = into / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:  # the daemon is not root, its folder is its own
            os.chown(staged / name, owner.st_uid, owner.st_gid)
            os.chown(path.parent, owner.st_uid, owner.st_gid)
        os.rename(staged / name, path)
        sync(path.parent)
