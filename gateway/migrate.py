"""From the schema that a store has to the one that we know: the files of schema/ in their order, each one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import cbor2

from firmware.wire.quantities import ALARM
from gateway.errors import HostError
from gateway.upstream.cursor import Intervals

ROOTS = "roots"
SCHEMA = Path(__file__).parent / "schema"


def newest() -> int:
    """The version that this daemon writes."""
    return max(_files())


def upgrade(db: sqlite3.Connection, path: Path, upto: int | None = None) -> None:
    """Bring the store at `path` to a version, by default the newest one, or leave it as it is.

    Raises HostError newer_store where it is newer than we are; sqlite3.Error.
    """
    files = _files()
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > max(files):
        what = f"the store has version {version}, this daemon knows {max(files)}"
        raise HostError("newer_store", what, str(path), "install the newer version again, or move the store aside")
    for number in sorted(n for n in files if version < n <= (upto or n)):
        script = files[number].read_text(encoding="utf-8")
        try:
            db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};")
            if number in _AFTER:
                _AFTER[number](db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.rollback()
            raise


def note_roots(db: sqlite3.Connection) -> None:
    """Keep a copy of where each table and index begins: the first page of the file may be lost (gateway/carve.py)."""
    found = {f"{kind} {name}": root for kind, name, root in db.execute("SELECT type, name, rootpage FROM sqlite_schema") if root}
    text = json.dumps(found, sort_keys=True)
    if db.execute("SELECT value FROM meta WHERE name = ?", (ROOTS,)).fetchone() != (text,):
        db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (ROOTS, text))


def _files() -> dict[int, Path]:
    return {int(file.stem): file for file in SCHEMA.glob("[0-9][0-9][0-9].sql")}


def _third(db: sqlite3.Connection) -> None:
    """What SQL cannot say: cursors as sets of ids, and which readings are alarms."""
    for name, acked, handed in db.execute("SELECT name, done, handed FROM upstream").fetchall():
        db.execute("UPDATE upstream SET done = ?, handed = ? WHERE name = ?", (up_to(acked), up_to(handed), name))
    # Cheap before sure: the key is one byte, and alarms are rare.
    for ident, payload in db.execute("SELECT id, payload FROM uplink WHERE instr(payload, ?)", (bytes((ALARM,)),)).fetchall():
        if ALARM in cbor2.loads(payload):
            db.execute("UPDATE uplink SET urgent = 1 WHERE id = ?", (ident,))


_AFTER: dict[int, Callable[[sqlite3.Connection], None]] = {3: _third}


def up_to(last: int) -> bytes:
    """The set of ids 1 to `last`, packed."""
    return Intervals([(1, last)] if last else []).pack()
