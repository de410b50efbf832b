"""The record of what was done to boards: who, when, which, with what result. One JSON object a line, only ever added to.

A line begins with `{"prev":"<SHA-256 of the line before it>", ...`; the first has zeros. So nobody changes, removes or puts in
a line unseen; only the last ones can be cut off or written anew. Whoever wants to know that keeps the head (`Book.head`)
elsewhere, as a printed commissioning sheet does.

A power cut can leave a last line that is no entry. It was not yet acknowledged; the next `append` sets it aside beside the
record, `NAME.torn-1`, and the chain goes on after what was there before.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import HostError
from gateway.synced import sync

FILE = "commissioning.jsonl"  # beside boards.yaml
RESULTS = ("applied", "already so", "failed")
START = "0" * 64
MAX_LINE_BYTES = 256 * 1024
MAX_DEPTH = 8  # of lists and maps inside of an entry
_OPENING = b'{"prev":"'
_CHUNK = 65_536
_LATEST_S = 1e11  # the year 5138: what a clock can say and a calendar can show
_TEXT, _MAP, _LIST = (str, type(None)), (dict, type(None)), (list, type(None))
# What an entry may say, and of which types; what a map or a list holds is for whoever shows it to judge.
_TYPES: dict[str, tuple[type, ...]] = {
    "at": (int, float),
    "who": (str,),
    "board": (str,),
    "result": (str,),
    "uid": _TEXT,
    "error": _TEXT,
    "what": _TEXT,
    "port": _TEXT,
    "kid": _TEXT,
    "versions": _MAP,
    "hashes": _MAP,
    "files": _MAP,
    "selftest": _LIST,
    "uplink": _MAP,
    "calibration": _MAP,
}
_NEEDED = ("at", "who", "board", "result")
_SECRET_KEY = re.compile(r"secret|key|passphrase|passw|private|token|credential|k_(up|dn|hop)|_iv", re.I)
_SECRET_TEXT = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{32}(?![0-9a-fA-F])")  # 16 bytes: a secret or a derived key
WITHHELD = "(32 digits withheld)"


class Book(NamedTuple):
    """A record as it was read. head: the SHA-256 of its last line, in hexadecimal; torn_bytes: of a last line that is none."""

    entries: list[dict[str, Any]]
    head: str
    torn_bytes: int


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry; it is on the disk when this returns. Safe from several threads and processes.

    entry: at (unix s), who, board, result (one of RESULTS), and what else _TYPES knows. A key that names a secret is refused,
    a text that looks like one (32 hexadecimal digits) is withheld. Raises HostError: bad_record, disk_full, disk_readonly,
    disk_error.
    """
    said = _text(path, entry)
    with _locked(path) as handle:
        size, prev = _ready(path, handle)
        try:
            _write(handle, _OPENING + prev.encode() + b'",' + said[1:] + b"\n")
            sync(path)
            if size == 0:
                sync(path.parent)
        except OSError:
            os.ftruncate(handle, size)
            raise


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a record, the oldest first; none where there is no file. HostError (bad_record) as of `examine`."""
    return examine(path).entries


def examine(path: Path) -> Book:
    """Read a record and check its chain. HostError (bad_record) names the first line that is wrong, and why."""
    entries: list[dict[str, Any]] = []
    prev = START
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            size = os.fstat(file.fileno()).st_size
            while line := file.readline(MAX_LINE_BYTES + 1):
                try:
                    entry = _entry(line)
                except ValueError as error:
                    if file.tell() == size and (entries or _is_ours(line)):
                        return Book(entries, prev, len(line))
                    raise _bad(path, str(error), len(entries) + 1) from None
                if entry["prev"] != prev:
                    raise _bad(path, "the line before it is not the one that it was written after", len(entries) + 1)
                entries.append(entry)
                prev = hashlib.sha256(line[:-1]).hexdigest()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _disk(path, error) from None
    return Book(entries, prev, 0)


def _text(path: Path, entry: Mapping[str, Any]) -> bytes:
    """An entry as JSON in UTF-8, of the known form and without secrets. Raises HostError (bad_record)."""
    try:
        said = _without_secrets(dict(entry))
        _check({**said, "prev": START})
        if said["result"] not in RESULTS:
            raise ValueError(f"the result is none of {', '.join(RESULTS)}")
        text = json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        raise _bad(path, f"an entry cannot be written: {error}") from None
    # A lone surrogate, as of a file name that is no UTF-8, becomes the escape that JSON has for it.
    line = text.encode("utf-8", "backslashreplace")
    if len(line) + len(_OPENING) + len(START) + 3 > MAX_LINE_BYTES:
        raise _bad(path, f"an entry of {len(line)} bytes is too long")
    return line


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or _SECRET_KEY.search(key):
                raise ValueError(f"{key!r} has no place in a record")
        return {key: _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return _SECRET_TEXT.sub(WITHHELD, value) if isinstance(value, str) else value


def _entry(line: bytes) -> dict[str, Any]:
    """The entry that a line holds. Raises ValueError, which says why it is none."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise ValueError("does not end")
    try:
        entry = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(entry, dict):
        raise ValueError("is no JSON object")
    _check(entry)
    return entry


def _shallow(value: Any, levels: int) -> None:
    """Whoever shows an entry may go into it without fear. Raises ValueError."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in inside:
        if levels == 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        _shallow(each, levels - 1)


def _no_number(word: str) -> None:
    raise ValueError(word)  # NaN and its like: Python alone takes them for JSON


def _check(entry: Mapping[str, Any]) -> None:
    for key in ("prev", *_NEEDED):
        if key not in entry:
            raise ValueError(f"lacks {key!r}")
    for key, value in entry.items():
        if key in _TYPES and (not isinstance(value, _TYPES[key]) or isinstance(value, bool)):
            raise ValueError(f"{key!r} has the wrong type")
    _shallow(entry, MAX_DEPTH)
    if not 0 <= entry["at"] < _LATEST_S:
        raise ValueError("'at' is no date")


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The record, open and ours alone. Raises HostError for whatever its disk refuses meanwhile."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)
    except OSError as error:
        raise _disk(path, error) from None


def _ready(path: Path, handle: int) -> tuple[int, str]:
    """(bytes, SHA-256 of the last line) of a record, after a torn last line was set aside. Raises HostError (bad_record)."""
    size = os.fstat(handle).st_size
    if size and not _is_ours(os.pread(handle, len(_OPENING), 0)):
        raise _bad(path, "this is no record", 1)
    start = _last_line(handle, size)
    try:
        if size:
            _entry(os.pread(handle, min(size - start, MAX_LINE_BYTES + 1), start))
    except ValueError:
        _set_aside(path, handle, start, size)
        size, start = start, _last_line(handle, start)
    return size, _hash(handle, start, size - 1) if size else START


def _is_ours(head: bytes) -> bool:
    """Does a file that begins so begin as a record does, if only with what a power cut left of its first line?"""
    head = head[: len(_OPENING)]
    return _OPENING.startswith(head) or not head.strip(b"\0")


def _last_line(handle: int, size: int) -> int:
    """Where the last line begins."""
    at = size - 1
    while at > 0:
        start = max(0, at - _CHUNK)
        found = os.pread(handle, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _hash(handle: int, start: int, end: int) -> str:
    digest = hashlib.sha256()
    for part in _parts(handle, start, end):
        digest.update(part)
    return digest.hexdigest()


def _parts(handle: int, start: int, end: int) -> Iterator[bytes]:
    while start < end and (part := os.pread(handle, min(_CHUNK, end - start), start)):
        yield part
        start += len(part)


def _set_aside(path: Path, handle: int, start: int, size: int) -> None:
    """Move a last line that is no entry into a file of its own; a power cut meanwhile leaves it in both."""
    count = 1
    while (aside := path.with_name(f"{path.name}.torn-{count}")).exists():
        count += 1
    with aside.open("xb") as file:
        file.writelines(_parts(handle, start, size))
    sync(aside)
    sync(path.parent)
    os.ftruncate(handle, start)


def _write(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]


def _bad(path: Path, why: str, line: int = 0) -> HostError:
    if line:
        hint = "keep that file, and compare it with its backup; or name another record: --record FILE"
        return HostError("bad_record", f"line {line}: {why}", f"{path}:{line}", hint)
    return HostError("bad_record", why, str(path), "please report this: what it says of a board was not kept")


def _disk(path: Path, error: OSError) -> HostError:
    full = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "disk_full")
    name = {**full, errno.EROFS: "disk_readonly"}.get(error.errno or 0, "disk_error")
    what = f"the record cannot be kept: {error.strerror or error}"
    return HostError(name, what, str(path), "make room, or name another place: --record FILE")
