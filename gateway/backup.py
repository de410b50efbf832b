"""A backup of a gateway: its store as it is at one moment, and every file that gateway.toml names, encrypted in one file.

Inside the vault is a tar archive whose first member says what it holds. What counts a controller's answers beside the store is
left out: a store that comes back without it is found out as restored, and answers nobody until its boards have new keys.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from gateway import vault
from gateway.config import Config
from gateway.errors import HostError
from gateway.synced import sync

FORMAT = 1
MANIFEST = "jourdain.json"
OUTSIDE = "outside"  # where files go that gateway.toml names outside of its folder
_NOT_FILES = ("store", "answers")
_PAGES = 2000

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


class Manifest(BaseModel):
    """The first member. config, store: names inside; made: unix seconds; missing: files of gateway.toml that were not there."""

    model_config = ConfigDict(strict=True)

    format: int
    gateway: str
    made: int
    config: str
    store: str
    missing: list[str]


class Summary(NamedTuple):
    """What was written. `files`: names inside; `missing`: files of gateway.toml that were not there; `size`: bytes;
    `made`: unix seconds; `outside`: path of gateway.toml -> where a restore put it instead.
    """

    file: str
    gateway: str
    made: int
    size: int
    files: list[str]
    missing: list[str]
    outside: dict[str, str]


def nothing(_done: int, _all: int) -> None:
    """Nobody watches."""


def write(config: Config, target: Path, passphrase: str, progress: Progress = nothing) -> Summary:
    """Back up what `config` names into the new file `target`, while the daemon works or not; on disk when this returns.

    Raises HostError file_exists, no_store, disk_full, disk_error.
    """
    store = config.path(config.gateway.store)
    if not store.is_file() or not store.stat().st_size:
        raise HostError("no_store", "there is no store to back up", str(store), "is this the right --config?")
    files, missing = _files(config)
    scratch = store.with_name(store.name + ".backup")
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise HostError("file_exists", "this file is there already", str(target), "name another file") from None
    except OSError as error:
        raise disk(error, target) from None
    try:
        scratch.unlink(missing_ok=True)  # of a backup that was killed
        with os.fdopen(handle, "wb") as file:
            # The marks first: what they say of rows, a later copy of the store has.
            marks = _marks(store)
            _snapshot(store, scratch, progress)
            inside = _name(config, store)
            files[inside] = scratch
            made = int(time.time())
            name = config.gateway.name
            said = Manifest(format=FORMAT, gateway=name, made=made, config=config.file.name, store=inside, missing=missing)
            sealed = vault.Writer(file, passphrase)
            with tarfile.open(fileobj=sealed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                _add_bytes(tar, MANIFEST, said.model_dump_json().encode(), made)
                if marks is not None:
                    _add_bytes(tar, inside + ".marks", marks, made)
                _add_files(tar, files, progress)
            sealed.finish()
            file.flush()
            os.fsync(file.fileno())
        sync(target.absolute().parent)
    except BaseException as error:
        target.unlink(missing_ok=True)  # ours: it was not there before
        if isinstance(error, OSError | tarfile.TarError):
            raise disk(error, target) from None
        raise
    finally:
        scratch.unlink(missing_ok=True)
    return Summary(str(target), config.gateway.name, made, target.stat().st_size, sorted(files), missing, {})


def _files(config: Config) -> tuple[dict[str, Path], list[str]]:
    """By name inside, the files that gateway.toml names, and it itself; and those that are not there."""
    there: dict[str, Path] = {config.file.name: config.file.absolute()}
    missing = []
    for path in map(config.path, _paths(config)):
        if path.is_file():
            there[_name(config, path)] = path
        else:
            missing.append(str(path))
    there |= {_name(config, path): path for path in sorted(config.releases.glob("*.zip"))}
    return there, missing


def _paths(model: BaseModel) -> Iterator[Path]:
    """Every path that a section names, but those of the store: a new setting is backed up without a word here."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name in _NOT_FILES or name == "file":
            continue
        if isinstance(value, Path):
            yield value
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, BaseModel):
                yield from _paths(part)


def _name(config: Config, path: Path) -> str:
    """The name inside: as below the folder of gateway.toml, else below `outside`."""
    folder = config.file.parent.absolute()
    path = Path(os.path.normpath(path))
    return (path.relative_to(folder) if path.is_relative_to(folder) else OUTSIDE / path.relative_to("/")).as_posix()


def _marks(store: Path) -> bytes | None:
    try:
        return store.with_name(store.name + ".marks").read_bytes()
    except FileNotFoundError:
        return None


def _snapshot(store: Path, scratch: Path, progress: Progress) -> None:
    """Copy the store as it is now; writers go on meanwhile. Beside the store, as it is not encrypted."""
    free = shutil.disk_usage(store.parent).free
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True, isolation_level=None, timeout=10)) as source:
            source.execute("BEGIN")  # holds the moment: else a writer would make the copy begin again
            pages, page = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            if pages * page > free:
                what = f"a copy of the store needs {pages * page >> 20} MB, {free >> 20} MB are free"
                raise HostError("disk_full", what, str(store.parent), "make room there; the copy is taken away afterwards")
            os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(scratch)) as copy:
                copy.execute("PRAGMA synchronous = OFF")
                source.backup(copy, pages=_PAGES, progress=lambda _, left, all_: progress((all_ - left) * page, 2 * all_ * page))
    except sqlite3.Error as error:
        raise HostError("disk_error", f"the store cannot be copied ({error})", str(store), "look at the disk") from None


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mtime: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, mtime
    tar.addfile(info, io.BytesIO(data))


def _add_files(tar: tarfile.TarFile, files: dict[str, Path], progress: Progress) -> None:
    whole = sum(path.stat().st_size for path in files.values())
    done = 0
    for name, path in sorted(files.items()):
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = found.st_size, 0o600, int(found.st_mtime)
            tar.addfile(info, file)
        done += found.st_size
        progress(whole + done, 2 * whole)


def disk(error: Exception, path: Path) -> HostError:
    full = getattr(error, "errno", None) == errno.ENOSPC
    what = getattr(error, "strerror", None) or str(error)
    return HostError("disk_full" if full else "disk_error", what, str(path), "make room, or name another place")
