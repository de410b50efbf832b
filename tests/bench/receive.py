"""The receive path, from serial bytes to a committed row, against a bare loop of decrypt and INSERT in the same run."""

import cProfile
import io
import os
import pstats
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from firmware.wire import cbor, link, seal
from gateway.fold import Kid
from gateway.ingress.source import Source
from gateway.receive import Receiver
from gateway.store import Store

BOARDS = 14
CHUNK = 4096  # what one read of a terminal gives
LIMIT = 0.3


class Town:
    """Frames as bins send them: four quantities, the newest reading and one repeat."""

    def __init__(self, seed=1):
        rng = random.Random(seed)
        self.keys = [seal.derive(rng.randbytes(16), (i + 1).to_bytes(2, "big")) for i in range(BOARDS)]
        self._rng = rng
        self._sealed = 0
        self._seq = 0

    def frames(self, n):
        """The next n frames."""
        out = []
        for _ in range(n):
            piv, board = self._sealed // BOARDS + 1, self._sealed % BOARDS
            self._sealed += 1
            rng = self._rng
            values = {1: rng.randrange(3300, 4100), 2: [rng.randrange(-50, 350), -1], 3: [rng.randrange(99), 1]}
            values |= {4: [rng.randrange(200, 1500), rng.randrange(-9, 9)], -8: 900, -9: 1}
            if piv == 1:
                values = {1: 3700, 2: 214, 3: 73, 4: 412}
            out.append(seal.seal(self.keys[board], piv, cbor.dumps(values)))
        return out

    def line(self, frames):
        """The serial bytes of these frames, in chunks."""
        data = b""
        for sealed in frames:
            self._seq += 1
            data += link.heard(self._seq, sealed, -101, 22, self._seq * 100)
        return [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]


def full_path(folder, town):
    """A function that takes chunks through decoder, receiver and store; each chunk is one transaction."""
    kids = [Kid(seal.Keys(k.kid, k_up=k.k_up, iv=k.iv), f"bin-{i}") for i, k in enumerate(town.keys)]
    source = Source("bridge", lambda n: 200)
    receiver = Receiver(Store(Path(folder) / "full.db"), kids, [source], "boot")
    source.numbering.hello(0)

    def run(chunks):
        stored = 0
        for chunk in chunks:
            now = time.monotonic()
            items = [(source, now, proto, body) for proto, body in source.feed(chunk)]
            receiver.judge(items, time.time(), now)
            stored += receiver.commit(receiver.seal(), time.time(), now).stored
        return stored

    return run


TABLES = ("same row", "three columns")


def schema(folder):
    """The table of the daemon's own store, and its indexes."""
    Store(Path(folder) / "schema.db").close()
    db = sqlite3.connect(Path(folder) / "schema.db")
    found = db.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'uplink'").fetchall()
    db.close()
    return ";".join(sql for (sql,) in found)


def bare_loop(folder, town, table):
    """A function that decrypts and INSERTs frames, `group` a transaction: no more than that needs."""
    db = sqlite3.connect(Path(folder) / f"{table}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    whole = table == "same row"
    db.executescript(schema(folder) if whole else "CREATE TABLE uplink (kid BLOB, piv INTEGER, payload BLOB)")
    ciphers = {k.kid: (AESCCM(k.k_up, 8), int.from_bytes(k.nonce(0), "big")) for k in town.keys}
    rest = (0, 1, 0, 1_764_000_000_000, 200, None, -101, 22, 1)

    def run(frames, group):
        for at in range(0, len(frames), group):
            db.execute("BEGIN")
            for sealed in frames[at : at + group]:
                kid, end = sealed[1:3], 3 + (sealed[0] & 7)
                piv = int.from_bytes(sealed[3:end], "big")
                cipher, base = ciphers[kid]
                aad = b"\x83\x68Encrypt0\x40" + bytes((0x40 | end,)) + sealed[:end]
                plain = cipher.decrypt((base ^ piv).to_bytes(13, "big"), sealed[end:], aad)
                if whole:
                    row = (None, kid, piv, *rest, piv, plain, sealed[-8:], None)
                    db.execute("INSERT INTO uplink VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
                else:
                    db.execute("INSERT INTO uplink VALUES (?,?,?)", (kid, piv, plain))
            db.execute("COMMIT")

    return run


def compare(rounds, n):
    """Rates (frames a second) of the full path and of the bare loops, and frames a transaction.

    Best of `rounds` in which they take turns on the same n frames. The rounds are short: with a neighbour on the machine the
    quicker one would otherwise find an undisturbed moment more easily.
    """
    with tempfile.TemporaryDirectory(prefix="jourdain-bench-", dir=os.environ.get("JOURDAIN_BENCH_DIR")) as folder:
        town = Town()
        path = full_path(folder, town)
        bare = {table: bare_loop(folder, town, table) for table in TABLES}
        best = dict.fromkeys(("full", *bare), 0.0)
        for _ in range(rounds):
            frames = town.frames(n)
            chunks = town.line(frames)
            group = -(-n // len(chunks))
            start = time.perf_counter()
            assert path(chunks) == n
            best["full"] = max(best["full"], n / (time.perf_counter() - start))
            for table, run in bare.items():
                start = time.perf_counter()
                run(frames, group)
                best[table] = max(best[table], n / (time.perf_counter() - start))
        return best, n / len(chunks)


def profile(n):
    """The twelve functions of the full path that take most time of their own."""
    with tempfile.TemporaryDirectory(prefix="jourdain-bench-") as folder:
        town = Town()
        path = full_path(folder, town)
        chunks = town.line(town.frames(n))
        profiler = cProfile.Profile()
        profiler.runcall(path, chunks)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(12)
    return "\n".join(line for line in text.getvalue().splitlines() if line.strip())


def measure(quick: bool = False) -> dict:
    """For the bench page."""
    best, group = compare(20 if quick else 100, 756)
    rows = [{"what": "serial bytes to committed row", "value": round(best["full"]), "unit": "frames/s"}]
    for table in TABLES:
        ratio = best["full"] / best[table]
        promised = {"limit": f">= {LIMIT}", "holds": ratio >= LIMIT} if table == "same row" else {}
        rows.append({"what": f"bare loop, {table}", "value": round(best[table]), "unit": "frames/s"})
        rows.append({"what": f"ratio to it, {table}", "value": round(ratio, 3), **promised})
    rows.append({"what": "frames a transaction, all", "value": round(group, 1)})
    text = (
        "Frames of 14 bins with one repeat each come in chunks of 4096 serial bytes; a chunk is one transaction, synced. "
        "The bare loop takes the same frames apart, decrypts and INSERTs them, as many in a transaction: into the daemon's "
        "own table, and, for comparison, key id, counter and payload alone."
    )
    return {"title": "Receive path", "text": text, "rows": rows, "plots": [], "profile": profile(2000)}


if __name__ == "__main__":
    print(measure())
