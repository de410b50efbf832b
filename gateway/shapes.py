"""How the records of the store's tables look in each version, read from schema/NNN.sql itself: for gateway/carve.py."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import NamedTuple

from gateway.carve import Found, Table
from gateway.pages import Value, Values

SCHEMA = Path(__file__).parent / "schema"
_WIDE = 3  # with fewer columns, an index has records that look the same
_TYPES: dict[str, type | tuple[type, ...]] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


class Column(NamedTuple):
    """As the schema says it. kind: "" takes everything."""

    name: str
    kind: str
    must: bool
    default: Value


class Shape(NamedTuple):
    """A table. rowid: which column stands for the row's number, or None; its records leave that one empty."""

    name: str
    columns: tuple[Column, ...]
    keyed: bool
    rowid: int | None

    def fits(self, values: Values) -> bool:
        """Can this be a record of the table? Columns that came with a later version may be missing."""
        if not self._least <= len(values) <= len(self.columns):
            return False
        for index, (value, column) in enumerate(zip(values, self.columns, strict=False)):
            if index == self.rowid:
                if value is not None:
                    return False
            elif value is None:
                if column.must:
                    return False
            elif column.kind in _TYPES and not isinstance(value, _TYPES[column.kind]):
                return False
        return True

    @property
    def _least(self) -> int:
        return max(i + 1 for i, c in enumerate(self.columns) if c.must and c.default is None)

    @property
    def table(self) -> Table:
        return Table(self.name, self.keyed, self.fits, len(self.columns) >= _WIDE)

    def row(self, found: Found) -> Values:
        """All columns of a record, its number and what it lacks put in."""
        values = found.values + tuple(column.default for column in self.columns[len(found.values) :])
        if self.rowid is None:
            return values
        return (*values[: self.rowid], found.rowid, *values[self.rowid + 1 :])


def versions() -> dict[int, Path]:
    """The script of each version."""
    return {int(file.stem): file for file in SCHEMA.glob("[0-9][0-9][0-9].sql")}


def scripts(version: int) -> list[str]:
    """The scripts that make an empty store of a version, in order."""
    return [file.read_text(encoding="utf-8") for number, file in sorted(versions().items()) if number <= version]


@functools.cache
def shapes(version: int) -> dict[str, Shape]:
    """By name, the tables of a version."""
    with sqlite3.connect(":memory:") as db:
        for script in scripts(version):
            db.executescript(script)
        listed = db.execute("PRAGMA table_list").fetchall()
        found = {}
        for _, name, _, _, keyed, _ in listed:
            if name.startswith("sqlite_"):
                continue
            info = db.execute(f"PRAGMA table_info({name})").fetchall()
            columns = tuple(Column(c, kind, bool(must or key), _default(default)) for _, c, kind, must, default, key in info)
            rowid = next((i for i, row in enumerate(info) if row[5] and row[2] == "INTEGER" and not keyed), None)
            found[name] = Shape(name, columns, bool(keyed), rowid)
    return found


def _default(text: str | None) -> Value:
    return None if text is None else text.strip("'") if text.startswith("'") else int(text)
