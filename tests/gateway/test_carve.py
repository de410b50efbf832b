"""What is found in a broken database: all that is whole, nothing that was not there, nothing that was deleted."""

import io
import random
import sqlite3
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import migrate, shapes
from gateway.carve import Carver
from gateway.pages import DamagedError, Image, record

VERSION = migrate.newest()
SHAPES = shapes.shapes(VERSION)
TABLES = [shape.table for shape in SHAPES.values()]
PAGE = 4096


def fill(db, rng, n=400):
    """Random rows in every table of ours; returns {table: {row}}."""
    rows = {}
    for shape in SHAPES.values():
        rows[shape.name] = {}
        db.execute(f"DELETE FROM {shape.name}")
        for i in range(1, 2 if shape.name == "controller" else n if shape.name in ("uplink", "reading") else n // 8):
            row = tuple(_value(shape, c, k, i, rng) for k, c in enumerate(shape.columns))
            db.execute(f"INSERT INTO {shape.name} VALUES ({','.join('?' * len(row))})", row)
            rows[shape.name][row] = True
    return {name: set(found) for name, found in rows.items()}


def _value(shape, column, index, i, rng):
    if index == shape.rowid or (shape.name, column.name) in (("downlink", "number"), ("controller", "one")):
        return i
    if not column.must and rng.random() < 0.3:
        return None
    if column.kind == "INTEGER":
        return rng.choice((i, rng.randrange(-128, 128), rng.randrange(1 << 20), rng.randrange(-(1 << 62), 1 << 62)))
    if column.kind == "TEXT":
        return f"{column.name}-é{i}-{'x' * rng.randrange(40)}"
    sizes = (2, 50, 526) if shape.name == "context" else (9, 40)
    data = bytes((i & 255, i >> 8)) + rng.randbytes(rng.choice(sizes))
    return data * 20 if shape.name == "context" and index == 1 and i % 7 == 0 else data


def made(folder, rng, *, log=False, delete=()):
    """(database, log or None, rows that are in it, rows that were deleted) of a store with random rows."""
    path = folder / f"{rng.random()}.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is deleted, others leave it there
    migrate.upgrade(db, path)
    db.execute("BEGIN")
    rows = fill(db, rng)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # so that pages are in the file before they are free
    gone = {name: set() for name in rows}
    for name, where in delete:
        shape = SHAPES[name]
        gone[name] |= set(db.execute(f"DELETE FROM {name} WHERE {where} RETURNING *").fetchall())
        rows[name] -= gone[name]
        assert shape.rowid == 0
    if not log:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    data = path.read_bytes()
    wal = path.with_name(path.name + "-wal").read_bytes() if log else None
    db.close()
    return data, wal, rows, gone


def carved(data, wal=None):
    """({table: {row: sure}}, lost)."""
    carver = Carver(Image(io.BytesIO(data), io.BytesIO(wal) if wal is not None else None), TABLES)
    found = {name: {} for name in SHAPES}
    for one in carver.found():
        row = SHAPES[one.table].row(one)
        found[one.table][row] = found[one.table].get(row, False) or one.sure
    return found, carver.lost


def pages_of(data, rows):
    """{table: {row: numbers of the pages that hold it}}, from the undamaged file."""
    image = Image(io.BytesIO(data))
    read = []
    page = image.page

    def noted(number):
        read.append(number)
        return page(number)

    image.page = noted
    where = {name: {} for name in SHAPES}
    for number in range(1, image.count + 1):
        read.clear()
        tree = image.tree(number)
        overflow = set(read)
        for cell in tree.cells if tree else ():
            for shape in SHAPES.values():
                if cell.values and shape.keyed == tree.keyed and shape.fits(cell.values):
                    row = shape.row(type("F", (), {"values": cell.values, "rowid": cell.rowid}))
                    if row in rows[shape.name]:
                        where[shape.name][row] = where[shape.name].get(row, set()) | overflow  # an index may hold the same
    return where


class Quiet(tuple):
    """Says little in a report."""

    def __repr__(self):
        return "a store"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of which the middle of its readings was deleted, as (data, rows, deleted, pages of each row)."""
    table = "uplink" if "uplink" in SHAPES else "reading"
    data, _, rows, gone = made(tmp_path_factory.mktemp("carve"), random.Random(5), delete=[(table, "id % 200 < 120")])
    where = pages_of(data, rows)
    assert {name: set(found) for name, found in where.items()} == rows
    return Quiet((data, rows, gone, where))


def test_all_of_an_undamaged_file_and_nothing_else(store):
    data, rows, _, _ = store
    found, lost = carved(data)
    assert {name: set(one) for name, one in found.items()} == rows
    assert all(sure for one in found.values() for sure in one.values())
    assert lost == {}


def test_the_log_stands_over_the_file(tmp_path):
    """Only the log knows of the last changes; without it the file is what it was, and deleted rows are deleted."""
    table = "uplink" if "uplink" in SHAPES else "reading"
    data, wal, rows, gone = made(tmp_path, random.Random(6), log=True, delete=[(table, "id <= 100"), (table, "id > 300")])
    found, lost = carved(data, wal)
    assert ({name: set(one) for name, one in found.items()}, lost) == (rows, {})
    found, lost = carved(data)
    assert ({name: set(one) for name, one in found.items()}, lost) == ({name: rows[name] | gone[name] for name in rows}, {})


WIDE = [shape.name for shape in SHAPES.values() if len(shape.columns) >= 3]
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["zero", "noise", "half", "cut", "swap"]),
        st.integers(0, 10**6),
        st.randoms(use_true_random=False),
    ),
    min_size=1,
    max_size=6,
)


def broken(data, damage):
    """(damaged bytes, numbers of the damaged pages)."""
    data = bytearray(data)
    pages = len(data) // PAGE
    hit = set()
    for how, place, rng in damage:
        number = place % pages + 1
        at = (number - 1) * PAGE
        if at >= len(data):
            continue
        if how == "cut":
            del data[at + rng.randrange(PAGE) :]
            hit |= set(range(number, pages + 1))
        elif how == "swap" and len(data) >= PAGE:
            other = rng.randrange(len(data) // PAGE)
            data[at : at + PAGE] = data[other * PAGE : (other + 1) * PAGE]
            hit.add(number)
        else:
            start = rng.choice((0, 512, 2048)) if how == "half" else 0
            data[at + start : at + PAGE] = bytes(PAGE - start) if how == "zero" else rng.randbytes(PAGE - start)
            hit.add(number)
    return bytes(data), hit


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(DAMAGE)
def test_every_whole_row_is_found_and_none_invented(store, damage):
    data, rows, gone, where = store
    data, hit = broken(data, damage)
    found, lost = carved(data)
    for name in rows:
        whole = {row for row, pages in where[name].items() if not pages & hit}
        if name in WIDE or not lost:
            missing = len(whole - set(found[name]))
            assert missing == 0, f"{name}, damaged pages {hit}"
        # A chain of overflow pages carries nothing that could tell its content from another: those rows are heal's to doubt.
        known = {row for row in found[name] if sum(len(v) for v in row if isinstance(v, bytes)) < 900}
        invented = known - rows[name] - gone[name]
        # Noise within one value shows in no structure, only in that of the cells around it.
        halves = any(how == "half" for how, *_ in damage)
        assert not any(found[name][row] or not halves for row in invented), f"{name}: {len(invented)} invented"
        back = set(found[name]) & gone[name]
        assert not back or name in lost, "a deleted row came back to a table that lost nothing"
        assert not any(found[name][row] for row in back), "a deleted row came back as sure"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 7)), min_size=1, max_size=30))
def test_flipped_bits_end_nothing(store, flips):
    """A flipped bit in a value shows in no structure, so it may come through; whatever else is whole is found."""
    data, rows, _, where = store
    data = bytearray(data)
    hit = set()
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
        hit.add(place % len(data) // PAGE + 1)
    found, lost = carved(bytes(data))
    for name in WIDE if lost else rows:
        assert {row for row, pages in where[name].items() if not pages & hit} <= set(found[name])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_broken_log_gives_what_was_committed_before_the_break(tmp_path_factory, data):
    """What a checksum or a missing commit excludes is not there; rows of whole frames behind a break are, without being sure."""
    folder = tmp_path_factory.mktemp("log")
    db = sqlite3.connect(folder / "a.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, a BLOB NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL)")
    shape = shapes.Shape(
        "reading", tuple(shapes.Column(n, k, True, None) for n, k in zip("iabc", _KINDS, strict=True)), False, 0, 4
    )
    wal = folder / "a.db-wal"
    commits = []
    for i in range(1, 40):
        db.execute("INSERT INTO reading VALUES (?,?,?,?)", (i, bytes(400), i, "x"))
        commits.append((wal.stat().st_size, i))
    raw = bytearray(wal.read_bytes())
    at = data.draw(st.integers(32, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "noise"]))
    if how == "cut":
        del raw[at:]
    else:
        raw[at : at + 1] = bytes((raw[at] ^ 1,)) if how == "flip" else b"\xa5\x5a" * 300
    image = Image(io.BytesIO((folder / "a.db").read_bytes()), io.BytesIO(bytes(raw)))
    found = [(one.values[2], one.sure) for one in Carver(image, [shape.table]).found()]
    before = max([0] + [i for size, i in commits if size <= at])
    assert [i for i, sure in found if sure] == list(range(1, before + 1))
    extra = {i for i, sure in found if not sure}
    assert extra <= set(range(before + 1, 40))
    if how == "flip" and before < 36:
        assert len(extra) >= 39 - before - 3
        assert image.torn_commits >= 39 - before - 3
    (folder / "b.db").write_bytes((folder / "a.db").read_bytes())
    (folder / "b.db-wal").write_bytes(raw)
    theirs = sqlite3.connect(folder / "b.db")
    there = theirs.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    ids = [i for (i,) in theirs.execute("SELECT id FROM reading")] if there else []
    theirs.close()
    assert ids == list(range(1, before + 1)), "SQLite judges the log as we do"
    db.close()


_KINDS = ("INTEGER", "BLOB", "INTEGER", "TEXT")


def test_a_log_of_another_time_is_not_read_for_its_salts(tmp_path):
    """Frames that an older round of the log left behind the newer ones have other salts."""
    db = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, a BLOB NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL)")
    for i in range(1, 20):
        db.execute("INSERT INTO reading VALUES (?,?,?,?)", (i, bytes(400), i, "x"))
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    db.execute("DELETE FROM reading WHERE id < 15")
    raw = (tmp_path / "a.db-wal").read_bytes()
    shape = shapes.Shape(
        "reading", tuple(shapes.Column(n, k, True, None) for n, k in zip("iabc", _KINDS, strict=True)), False, 0, 4
    )
    image = Image(io.BytesIO((tmp_path / "a.db").read_bytes()), io.BytesIO(raw))
    assert len(raw) > 20 * PAGE
    assert image.torn == []
    assert [one.rowid for one in Carver(image, [shape.table]).found()] == [15, 16, 17, 18, 19]
    db.close()


@pytest.mark.parametrize("data", [b"", b"\5", b"\2\x0a", b"\3\1\x0f\5", b"\2\x0f\xff", b"\2\1\5\5", b"\xff" * 12])
def test_what_is_no_record(data):
    with pytest.raises(DamagedError):
        record(data)


def test_files_that_are_hardly_there():
    """Nothing, one byte, only a header: no error, nothing found, everything lost."""
    for data in (b"", b"S", b"SQLite format 3\0" + struct.pack(">H", PAGE), bytes(PAGE), b"\xff" * PAGE * 3):
        for wal in (None, b"", b"\0" * 32, random.Random(1).randbytes(9000)):
            found, lost = carved(data, wal)
            assert not any(found.values())
            assert set(lost) == set(SHAPES)
