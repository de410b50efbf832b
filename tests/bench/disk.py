"""Bytes that reach the disk for each reading: receiver and store against a bare SQLite script that inserts the same row.

Counted by Linux as `write_bytes` of this process: pages of files that it made dirty and that have to be written. The journal of
the file system is nobody's there and comes on top of both alike. The folder must lie on a real disk (JOURDAIN_BENCH_DIR).
"""

import os
import sqlite3
import tempfile
import time
from pathlib import Path

from firmware.wire import cbor, link, seal
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.store import Store

GROUPS = {1: 2000, 10: 30_000, 100: 30_000, 1000: 100_000}  # rows a transaction, rows in all: contexts are folded within
BOARDS = 200
PAYLOAD = cbor.dumps({1: 3700, 2: [214, -1], 3: [73, 1], 4: [412, 3], -8: 900, -9: 1})  # a frame of 40 bytes
LIMIT, LIMIT_BYTES = 1.1, 190
COLUMNS = 16


def written() -> int:
    """Bytes that this process has caused to be written so far."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def frames(n):
    """n frames of many bins: (keys by board, frames)."""
    keys = [seal.derive(bytes((i & 255, i >> 8)) * 8, (i + 1).to_bytes(2, "big")) for i in range(BOARDS)]
    return keys, [seal.seal(keys[i % BOARDS], i // BOARDS + 2, PAYLOAD) for i in range(n)]


def daemon(folder, keys, sealed, group):
    """Bytes written by receiver and store from the first frame on, and by pruning all of it later."""
    source = Source("bridge")
    store = Store(Path(folder) / "store.db")
    receiver = Receiver(store, [Kid(k, f"bin-{i}") for i, k in enumerate(keys)], [source], "boot")
    source.numbering.hello(0)
    start = written()
    for at in range(0, len(sealed), group):
        data = b"".join(link.heard(at + i + 1, frame, -101, 22, at + i) for i, frame in enumerate(sealed[at : at + group]))
        items = [(source, 1.0, proto, body) for proto, body in source.feed(data)]
        receiver.judge(items, time.time(), 1.0)
        assert receiver.commit(receiver.seal(), time.time(), 1.0).stored == len(items)
    store.shrink_log()
    heard = written() - start
    receiver.commit(receiver.seal(folded=True), time.time(), 1.0)
    store.shrink_log()
    start = written()
    while store.prune([(1, store.last)], None):
        pass
    store.close()
    return heard, written() - start


def bare(folder, keys, sealed, group):
    """Bytes written by the same inserts into the same columns, and by deleting the rows by their ids."""
    db = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"CREATE TABLE uplink (id INTEGER PRIMARY KEY, {', '.join(f'c{i}' for i in range(1, COLUMNS))})")
    start = written()
    now_ms = round(time.time() * 1000)
    for at in range(0, len(sealed), group):
        db.execute("BEGIN")
        for i, frame in enumerate(sealed[at : at + group], at):
            row = (None, frame[1:3], i // BOARDS + 1, 0, 1, 0, now_ms, 0, None, -101, 22, 1, i + 1, PAYLOAD, frame[-8:], None)
            db.execute(f"INSERT INTO uplink VALUES ({','.join('?' * COLUMNS)})", row)
        db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    heard = written() - start
    for at in range(0, len(sealed), 2000):
        db.execute("DELETE FROM uplink WHERE id <= ?", (at + 2000,))
    db.close()
    return heard, written() - start - heard


def compare(group, n):
    """Bytes a reading over n frames: ((stored, pruned) by the daemon, (inserted, deleted) by the bare script)."""
    with tempfile.TemporaryDirectory(prefix="jourdain-disk-", dir=os.environ.get("JOURDAIN_BENCH_DIR")) as folder:
        keys, sealed = frames(n)
        return [[count / n for count in way(folder, keys, sealed, group)] for way in (daemon, bare)]


def measure(quick: bool = False) -> dict:
    """For the bench page."""
    rows = []
    for group, n in GROUPS.items():
        (ours, pruned), (theirs, deleted) = compare(group, n // 5 if quick and group < 100 else n)
        ratio = ours / theirs
        bound = {"limit": f"<= {LIMIT_BYTES}", "holds": ours <= LIMIT_BYTES} if group == 1000 else {}
        rows.append({"what": f"groups of {group}: bytes a reading", "value": round(ours, 1), "unit": "B", **bound})
        rows.append({"what": f"groups of {group}: bare SQLite", "value": round(theirs, 1), "unit": "B"})
        what = {"what": f"groups of {group}: ratio", "value": round(ratio, 3)}
        rows.append({**what, "limit": f"<= {LIMIT}", "holds": ratio <= LIMIT})
    rows.append({"what": "pruning later: bytes a reading", "value": round(pruned, 1), "unit": "B"})
    rows.append({"what": "deleting later, bare SQLite", "value": round(deleted, 1), "unit": "B"})
    text = (
        f"Frames of {BOARDS} bins, 40 bytes on the air each with a reading and a repeat, so many a transaction, synced; the bare "
        "script inserts the same row. Bytes are those of the process, as Linux counts them (write_bytes), the last checkpoint "
        "included, and what the daemon folds into its contexts every so often; what it folds at its stop is not."
    )
    return {"title": "Bytes to disk", "text": text, "rows": rows, "plots": []}


if __name__ == "__main__":
    for line in measure()["rows"]:
        print(line)
