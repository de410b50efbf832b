"""Every record that is whole in an SQLite file, whatever is broken around it. Pure; the tables are told by the caller.

What was deleted does not come back: only cells that a page's array names are read, and of pages only those that a tree leads
to, then those that a tree has lost: they are on no tree and not on the free list. Where the free list itself is broken, only
rows are taken from them that a tree misses. None of these are `sure`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gateway.pages import LEAF, MAGIC, Image, Tree, Values

Span = tuple[int, int]  # row ids above the first, up to and with the second

_ALL: Span = (-(2**63) - 1, 2**63 - 1)
_WIDE = 3  # a record with fewer columns could be anybody's
_SCHEMA = ""  # the table that names the others


class Table(NamedTuple):
    """What to look for. keyed: WITHOUT ROWID; fits: is this a record of it; wide: no other table's record looks like it."""

    name: str
    keyed: bool
    fits: Callable[[Values], bool]
    wide: bool


class Found(NamedTuple):
    """A record. rowid: None in a keyed table. whole: all of its page is accounted for; sure: and a tree leads to it."""

    table: str
    rowid: int | None
    values: Values
    whole: bool
    sure: bool


class Carver:
    """Goes through an Image once. After `found` is exhausted, `lost` says by table which row ids its tree no longer leads to (in
    a keyed table: everything, if anything is missing); a table that is not in it is complete.
    """

    def __init__(self, image: Image, tables: Iterable[Table]) -> None:
        self._image = image
        self._tables = {table.name: table for table in tables}
        self._seen = bytearray(image.count + 1)
        self.lost: dict[str, list[Span]] = {}
        self._top = dict.fromkeys(self._tables, _ALL[0])

    def found(self) -> Iterator[Found]:
        """Every record: first those that trees lead to, then what else may be theirs."""
        roots = self._roots()
        for name, table in self._tables.items():
            if ("table", name) not in roots:
                self._lose(name, _ALL)
                continue
            for found in self._walk(name, roots["table", name], table):
                self._top[name] = max(self._top[name], found.rowid or 0)
                yield found
        for kind, name in roots:
            if kind == "index" or name.startswith("sqlite_"):  # their pages are spoken for
                for _ in self._walk(name, roots[kind, name], None):
                    pass
        yield from self._strays()

    def _lose(self, name: str, span: Span) -> None:
        self.lost.setdefault(name, []).append(span)

    def _roots(self) -> dict[tuple[str, str], int]:
        """Root page by (type, name) of every table and index: as the schema says, or where that is damaged, its copy, or what is
        found of it anywhere.
        """
        table = Table(_SCHEMA, False, self._of_schema, True)
        named = [row.values[:4] for row in self._walk(_SCHEMA, 1, table)]
        if self.lost.pop(_SCHEMA, None):
            for number in range(2, len(self._seen)):
                page = self._image.page(number)
                if (b"CREATE TABLE" in page or b'"table ' in page) and (tree := self._image.tree(number)):
                    for values in [cell.values for cell in tree.cells if cell.values]:
                        named += [values[:4]] if self._of_schema(values) else _copied(values)
        roots: dict[tuple[str, str], int] = {}
        for kind, name, _, root in named:
            if isinstance(root, int) and 1 < root < len(self._seen):
                roots.setdefault((str(kind), str(name)), root)
        return roots

    def _of_schema(self, values: Values) -> bool:
        """Is it (type, name, table, root page, SQL)?"""
        words = len(values) == 5 and all(isinstance(word, str) for word in values[:3])
        return words and isinstance(values[3], int) and 0 <= values[3] < len(self._seen)

    def _walk(self, name: str, root: int, table: Table | None) -> Iterator[Found]:
        """The records below a root; without a table, nothing is judged."""
        ways: list[tuple[int, Span]] = [(root, _ALL)]
        while ways:
            number, span = ways.pop()
            tree = self._image.tree(number) if 0 < number < len(self._seen) and not self._seen[number] else None
            if tree is None or (table and not _belongs(tree, table, span)):
                self._lose(name, span)
                continue
            self._seen[number] = 1
            if not tree.whole:
                self._lose(name, span)
            low = span[0]
            below: list[tuple[int, Span]] = []
            for cell in tree.cells:
                high = span[1] if cell.rowid is None else cell.rowid
                if cell.child:
                    below.append((cell.child, (low, high)))
                if cell.values is not None:
                    yield Found(name, cell.rowid, cell.values, tree.whole, tree.whole)
                elif tree.keyed or not cell.child:
                    self._lose(name, span if tree.keyed else (high - 1, high))
                low = low if cell.rowid is None else high
            if tree.right:
                below.append((tree.right, (low, span[1])))
            ways += reversed(below)

    def _strays(self) -> Iterator[Found]:
        """Records on pages that no tree leads to."""
        known = self._free()
        numbers = (number for number in range(2, len(self._seen)) if not self._seen[number])
        trees = (tree for number in numbers if (tree := self._image.tree(number)))
        yield from self._of(trees, known)
        yield from self._of(self._image.torn_trees(), False)

    def _of(self, trees: Iterable[Tree], lost: bool) -> Iterator[Found]:
        """What of these pages belongs to a table. lost: they surely do, else only what its tree misses counts."""
        wanted = [table for table in self._tables.values() if table.wide]
        for tree in trees:
            for cell in tree.cells:
                for table in wanted:
                    if cell.values is None or len(cell.values) < _WIDE:
                        break
                    if table.keyed == tree.keyed and table.fits(cell.values):
                        if lost and table.name not in self.lost:
                            self._lose(table.name, _ALL)
                        if lost or self._missing(table, cell.rowid or 0):
                            yield Found(table.name, cell.rowid, cell.values, tree.whole, False)
                        break

    def _missing(self, table: Table, rowid: int) -> bool:
        """May this record have been there? The newest row of a table is never deleted, so a newer one was lost."""
        spans = self.lost.get(table.name, ())
        return bool(spans) if table.keyed else rowid > self._top[table.name] or any(low < rowid <= high for low, high in spans)

    def _free(self) -> bool:
        """Mark the pages of the free list, as far as it can be followed; is it whole?"""
        head = self._image.page(1).ljust(40)
        number, left = struct.unpack_from(">2I", head, 32)
        while 1 < number < len(self._seen) and not self._seen[number]:
            page = self._image.page(number)
            following, count = struct.unpack_from(">2I", page) if len(page) >= 8 else (0, len(page))
            leaves = struct.unpack_from(f">{count}I", page, 8) if 8 + 4 * count <= len(page) else (0,)
            if not all(1 < leaf < len(self._seen) and not self._seen[leaf] for leaf in leaves):
                return False
            for leaf in (number, *leaves):
                self._seen[leaf] = 1
            left -= 1 + count
            number = following
        return head.startswith(MAGIC) and number == left == 0


def _copied(values: Values) -> list[Values]:
    """What a copy of the schema's roots says, if this is one: (its name, JSON {"type name": page})."""
    try:
        said = json.loads(str(values[1])) if len(values) == 2 else {}
        return [(*key.split(" "), "", root) for key, root in said.items() if key.count(" ") == 1]
    except (ValueError, AttributeError):
        return []


def _belongs(tree: Tree, table: Table, span: Span) -> bool:
    """Is it a page of this table at this place of its tree? A broken pointer may lead anywhere."""
    if tree.keyed != table.keyed:
        return False
    for cell in tree.cells:
        if cell.rowid is not None and not span[0] < cell.rowid <= span[1]:
            return False
        if cell.values is not None and not table.fits(cell.values):
            return False
    return tree.keyed or tree.kind == LEAF or bool(tree.right)
