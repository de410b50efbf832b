"""How the records of the store's tables look in each version, read from schema/NNN.sql itself: for gateway/carve.py."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway import migrate
from gateway.carve import Found, Table
from gateway.pages import Value, Values

_WIDE = 3  # with fewer columns, an index has records that look the same
_TYPES: dict[str, type] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


class Column(NamedTuple):
    """As the schema says it. kind: "" takes everything."""

    name: str
    kind: str
    must: bool
    default: Value


class Shape(NamedTuple):
    """A table. rowid: which column stands for the row's number, or None; its records leave that one empty. least: columns that
    every record has.
    """

    name: str
    columns: tuple[Column, ...]
    keyed: bool
    rowid: int | None
    least: int

    def fits(self, values: Values) -> bool:
        """Can this be a record of the table? Columns that came with a later version may be missing."""
        return self.test()(values)

    def test(self) -> Callable[[Values], bool]:
        """`fits`, made ready for many."""
        types, least, most = _types(self), self.least, len(self.columns)

        def fits(values: Values) -> bool:
            return least <= len(values) <= most and all(map(isinstance, values, types))

        return fits

    @property
    def table(self) -> Table:
        return Table(self.name, self.keyed, self.test(), len(self.columns) >= _WIDE)

    def row(self, found: Found) -> Values:
        """All columns of a record, its number and what it lacks put in."""
        values = found.values + tuple(column.default for column in self.columns[len(found.values) :])
        if self.rowid is None:
            return values
        return (*values[: self.rowid], found.rowid, *values[self.rowid + 1 :])


@functools.cache
def _types(shape: Shape) -> tuple[type | tuple[type, ...], ...]:
    """What the values of a record may be."""
    none = type(None)
    types: list[type | tuple[type, ...]] = []
    for index, column in enumerate(shape.columns):
        kind = _TYPES.get(column.kind, object)
        types.append(none if index == shape.rowid else kind if column.must else (kind, none))
    return tuple(types)


@functools.cache
def shapes(version: int) -> dict[str, Shape]:
    """By name, the tables of a version."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        migrate.upgrade(db, Path(":memory:"), version)
        listed = db.execute("PRAGMA table_list").fetchall()
        found = {}
        for _, name, _, _, keyed, _ in listed:
            if name.startswith("sqlite_"):
                continue
            info = db.execute(f"PRAGMA table_info({name})").fetchall()
            columns = tuple(Column(c, kind, bool(must or key), _default(default)) for _, c, kind, must, default, key in info)
            rowid = next((i for i, row in enumerate(info) if row[5] and row[2] == "INTEGER" and not keyed), None)
            least = max(i + 1 for i, column in enumerate(columns) if column.must and column.default is None)
            found[name] = Shape(name, columns, bool(keyed), rowid, least)
    return found


def _default(text: str | None) -> Value:
    return None if text is None else text.strip("'") if text.startswith("'") else int(text)
