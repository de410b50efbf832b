"""From the schema that a store has to the one that we know: the files of schema/ in their order, each one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import cbor2

from firmware.wire.quantities import ALARM
from gateway.errors import HostError
from gateway.upstream.cursor import Intervals

SCHEMA = Path(__file__).parent / "schema"


def newest() -> int:
    """The version that this daemon writes."""
    return max(_files())


def upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Bring the store at `path` to the newest version, or leave it as it is.

    Raises HostError bad_store where it is newer than we are; sqlite3.Error.
    """
    files = _files()
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > max(files):
        what = f"the store has version {version}, this daemon knows {max(files)}"
        raise HostError("bad_store", what, str(path), "install the newer version again, or move the store aside")
    for number in sorted(n for n in files if n > version):
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
