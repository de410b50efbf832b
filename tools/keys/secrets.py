"""The file of the boards' secrets: sealed under a passphrase, read and written as a whole, by its owner alone.

    {key id: {"board", "secret"[, "made", "counts_on"]}}; a key that is given up keeps its id with "retired" and no secret.

It is unlocked once a process: whoever reads or writes it again, from whatever thread, pays neither scrypt nor a question.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.errors import HostError
from tools import files
from tools.i18n import _
from tools.keys.passphrase import given, opened
from tools.keys.passphrase import new as new_passphrase

if TYPE_CHECKING:
    from tools.keys.sealed import Lock

SECRET_LEN = 16
KID = re.compile(r"(?:[0-9a-f]{4}|[0-9a-f]{8})\Z")
Entries = dict[str, dict[str, str]]

_mutex = threading.Lock()
_locks: dict[str, "Lock"] = {}  # by their salts
_told: set[Path] = set()  # plain files that were named


def read(path: Path) -> Entries:
    """{key id: {"board", "secret"[, "made", "counts_on"]}} of the keys that are not retired; empty where there is no file.

    Asks for the passphrase once a process. Raises HostError: bad_keys, bad_passphrase.
    """
    return {kid: entry for kid, entry in load(path).items() if "secret" in entry}


def load(path: Path) -> Entries:
    """As `read`, with the retired keys, which have no secret."""
    document = _document(path)
    if document is None:
        return {}
    if not _is_sealed(document):
        _tell(path)
    return _opened(document, path)


def is_sealed(path: Path) -> bool:
    """Is the file there and encrypted? Raises HostError (bad_keys)."""
    return _is_sealed(_document(path))


@contextmanager
def changing(path: Path) -> Iterator[Entries]:
    """All entries, to be changed: what became of them is in the file when this ends, unless by an error. A new file is sealed.

    Other threads and processes wait meanwhile. Raises HostError: bad_keys, bad_passphrase, disk_full.
    """
    load(path)  # questions are asked before the others have to wait
    fresh = _new_lock(path, given()) if path.parent.is_dir() and not path.exists() else None
    with files.locked(path, "bad_keys"):
        document = _document(path)
        entries = load(path)
        before = deepcopy(entries)
        yield entries
        if entries == before:
            return
        if document is None:
            _write(path, entries, fresh or _new_lock(path, given()))
        else:
            _write(path, entries, _lock(document, path) if _is_sealed(document) else None)


def seal_anew(path: Path, passphrase: str | None) -> None:
    """Encrypt the file, whatever it is now, under a new passphrase; None: it is typed twice. Raises as `changing`."""
    entries = _opened(_document(path) or {}, path)
    lock = _new_lock(path, passphrase)
    with files.locked(path, "bad_keys"):
        entries = _opened(_document(path) or {}, path)
        _write(path, entries, lock)


def counts_on(path: Path, kid: str, uid: str) -> None:
    """Note that the counter of a key id is on the chip `uid`, before it is made there. Raises HostError.

    Safe from several threads and processes.
    """
    with changing(path) as entries:
        entries[kid]["counts_on"] = uid


def _opened(document: dict[str, Any], path: Path) -> Entries:
    if not _is_sealed(document):
        return _entries(document, path)
    from tools.keys import sealed  # noqa: PLC0415 - a plain file needs no cryptography

    text = sealed.unseal(_lock(document, path), document, str(path))
    return _entries(_parsed(text.decode(), path), path)


def _new_lock(path: Path, known: str | None) -> "Lock":
    from tools.keys import sealed  # noqa: PLC0415

    with _mutex:
        lock = sealed.new(new_passphrase(str(path), known))
        _locks[lock.head["salt"]] = lock
        return lock


def _lock(document: dict[str, Any], path: Path) -> "Lock":
    from tools.keys import sealed  # noqa: PLC0415

    with _mutex:  # whoever comes second finds it open
        salt = str(document.get("salt"))
        found = _locks.get(salt)
        if found is None:
            found = opened(str(path), lambda said: sealed.unlock(document, said, str(path)))
            _locks[salt] = found
        return found


def _write(path: Path, entries: Entries, lock: "Lock | None") -> None:
    document: dict[str, Any] = {"keys": dict(sorted(entries.items()))}
    if lock is not None:  # never a copy in clear, not for a moment
        from tools.keys import sealed  # noqa: PLC0415

        document = sealed.seal(lock, json.dumps(document, ensure_ascii=False).encode())
    files.replace(path, (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode(), "bad_keys")


def _document(path: Path) -> dict[str, Any] | None:
    """The file's JSON, sealed or plain; None where there is no file."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        what = _("the secrets cannot be read: {error}").format(error=error)
        raise HostError("bad_keys", what, str(path), _("repair it, or restore it from its backup")) from None
    if mode & 0o077:
        what = _("the secrets can be read by other users of this machine")
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    return _parsed(text, path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                what = _("{name} stands twice in the file of secrets").format(name=name)
                raise HostError("bad_keys", what, str(path), _("restore it from its backup; a key id is issued once"))
            found[name] = value
        return found

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        what = _("the secrets cannot be read: {error}").format(error=error)
        raise HostError("bad_keys", what, str(path), _("repair it, or restore it from its backup")) from None
    if not isinstance(found, dict):
        raise _foreign(path)
    return found


def _entries(document: dict[str, Any], path: Path) -> Entries:
    issued = document.get("keys")
    if not isinstance(issued, dict) or not all(_sound(kid, entry) for kid, entry in issued.items()):
        raise _foreign(path)
    return issued


def _foreign(path: Path) -> HostError:
    what = _("this is no file of `jourdain keys new`")
    return HostError("bad_keys", what, str(path), _("name another file, or restore it from its backup"))


def _sound(kid: str, entry: Any) -> bool:
    if not KID.match(kid) or not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        return False
    return "retired" in entry if "secret" not in entry else re.fullmatch(r"[0-9a-f]{32}", entry["secret"]) is not None


def _is_sealed(document: dict[str, Any] | None) -> bool:
    """Of whatever version: tools/keys/sealed.py."""
    return document is not None and document.get("jourdain") == "sealed"


def _tell(path: Path) -> None:
    with _mutex:
        known = path in _told
        _told.add(path)
    if not known:
        click.echo(_("{file} is not encrypted: `jourdain keys lock` does it").format(file=path), err=True)
