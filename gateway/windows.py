"""How a store begins: from a backup, or knowingly without windows, and never by chance.

The windows say which frames were taken. A gateway whose store is gone would take every recorded frame once more, so it does not
start by itself: a person restores a backup, or says that there is none.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gateway.errors import HostError
from gateway.store import Store
from gateway.synced import sync

# Why windows may be short of what was heard: somebody says that this is the first day, or that the store is lost; the store is
# from a backup, or made of what was left of a damaged one.
FIRST, NEW, RESTORED, HEALED = "first", "new_windows", "restored", "healed"
# What belongs to a store, and would be played into another one.
BESIDE = ("-wal", "-shm", "-journal", ".marks")
_META = "short"


def missing(path: Path) -> bool:
    """Is there no store at `path`? A file without a byte is what a power cut leaves of one."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def require(path: Path) -> None:
    """Raises HostError no_windows when there is no store."""
    if missing(path):
        what = "there is no store, so nobody knows which frames this gateway has taken before"
        hint = (
            "restore a backup (`jourdain gateway restore FILE --into FOLDER`); a gateway that never worked begins with"
            " `jourdain gateway init`; without a backup: `run --new-windows`, once"
        )
        raise HostError("no_windows", what, str(path), hint)


def begin(path: Path, *, short: str = "") -> None:
    """An empty store at `path`, whole or not at all. `short`: why its windows are (NEW ...), "" where there was nothing before.

    Raises HostError file_exists (the log of a store that is gone lies there), disk_full, disk_error.
    """
    for left in (path.with_name(path.name + end) for end in BESIDE):
        if left.exists():
            hint = "it may hold what the store had not taken over; restore a backup, or move it aside"
            raise HostError("file_exists", "what belongs to a store that is gone lies there", str(left), hint)
    fresh = path.with_name(path.name + ".new")
    for end in ("", *BESIDE):
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    store = Store(fresh)
    try:
        if short:
            store.within(lambda db: mark(db, short), "begun")
    finally:
        store.close()
    os.replace(fresh, path)
    sync(path.parent)


def mark(db: sqlite3.Connection, why: str) -> None:
    """Within a transaction: windows are short until upstream was asked (gateway.floors)."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_META, why))


def short(db: sqlite3.Connection) -> str:
    """Why the windows of this store are short, or an empty string."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_META,)).fetchone()
    return str(row[0]) if row else ""


def whole(db: sqlite3.Connection) -> None:
    """Within a transaction: everything that can be known is in the windows now."""
    db.execute("DELETE FROM meta WHERE name = ?", (_META,))
