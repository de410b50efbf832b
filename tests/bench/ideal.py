"""The bare ideal: what the daemon does, by one script that trusts everybody.

Frames come from a terminal in our HDLC and messages, are opened (AES-CCM), stored in groups (SQLite, WAL, synced), handled
([7]), published as SenML by MQTT 5 with QoS 1, and deleted after the PUBACK. No windows, no checks, no books, no second try.
Started with terminal, broker's port, database, keys.json, readings a publish; says "ready" when the broker has answered.
"""

import asyncio
import json
import os
import sqlite3
import sys
import time
import tty
from binascii import crc32
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

TOPIC = b"jourdain/plage/poste/senml"
CONTENT = b"application/senml+cbor"
HEAD = len(TOPIC).to_bytes(2, "big") + TOPIC
PROPERTIES = bytes((len(CONTENT) + 3, 3, 0, len(CONTENT))) + CONTENT
IN_FLIGHT = 20
CHUNK = 1000
ESCAPES = bytes(0x7D) + b"\x20" + bytes(0x82)
# SenML name, unit, divisor by key: as many as the load has.
ROWS = {1: ("battery", "V", 1000), 2: ("temperature", "Cel", 10), 3: ("fill", "/", 100), 4: ("distance", "m", 1000)}


def length(n):
    """MQTT's remaining length."""
    if n < 128:
        return bytes((n,))
    return bytes((n & 127 | 128, n >> 7)) if n < 16384 else bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14))


def hdlc(body):
    """A message for the line."""
    data = b"\x22" + body
    data += crc32(data).to_bytes(4, "little")
    return b"\x7e" + b"".join(bytes((0x7D, c ^ 32)) if c < 32 or 0x7D <= c <= 0x7E else bytes((c,)) for c in data) + b"\x7e"


def senml(row):
    """The records of one reading."""
    _, kid, piv, unix_ms, rssi, snr, payload = row
    records = []
    for key, value in cbor2.loads(payload).items():
        name, unit, divisor = ROWS[key]
        records.append({0: name, 1: unit, 2: value / divisor})
    records[0] |= {-2: f"urn:dev:org:32473-plage-bin-{int.from_bytes(kid, 'big')}_", -3: unix_ms / 1000}
    records += (
        {0: "rssi", 1: "dBW", 2: rssi - 30},
        {0: "snr", 1: "dB", 2: snr / 4},
        {0: "frame", 8: kid + piv.to_bytes(4, "big")},
    )
    return records


class Ideal(asyncio.Protocol):
    """All of it."""

    def __init__(self, port, database, keys, pack):
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        self.pack = pack
        self.ciphers = {}
        for name, held in json.loads(Path(keys).read_text())["keys"].items():
            kid = bytes.fromhex(name)
            base = int(held["iv"], 16) ^ len(kid) << 96 ^ int(name, 16) << 40
            self.ciphers[kid] = (AESCCM(bytes.fromhex(held["k_up"]), 8), base)
        self.db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute("CREATE TABLE IF NOT EXISTS reading (id INTEGER PRIMARY KEY, kid, piv, unix_ms, rssi, snr, payload)")
        self.last = self.db.execute("SELECT coalesce(max(id), 0) FROM reading").fetchone()[0]
        self.backlog, self.read = self.last, 0
        self.thread = ThreadPoolExecutor(1)
        self.pending, self.rows, self.seq = b"", [], 0
        self.committing = False
        self.queue, self.flying, self.mid = deque(), deque(), 0
        self.acked = 0

    # MQTT

    def connection_made(self, transport):
        self.transport = transport
        name = b"ideal"
        body = b"\x00\x04MQTT\x05\x02\x00\x00\x00" + len(name).to_bytes(2, "big") + name
        transport.write(b"\x10" + length(len(body)) + body)
        self.incoming = b""

    def data_received(self, data):
        data = self.incoming + data
        at = 0
        while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
            if data[at] == 0x40:
                self.acked = self.flying.popleft()
            else:
                print("ready", flush=True)
                asyncio.get_running_loop().add_reader(self.fd, self.readable)
            at += 2 + data[at + 1]
        self.incoming = data[at:]
        self.publish()
        if self.acked and not self.committing and not self.flying:
            self.commit()

    def publish(self):
        """What is stored, `pack` readings a publish; fewer when nothing is under way."""
        queue, out = self.queue, []
        if self.backlog > self.read and len(queue) < CHUNK:
            found = self.db.execute(
                "SELECT * FROM reading WHERE id > ? AND id <= ? LIMIT ?", (self.read, self.backlog, CHUNK)
            ).fetchall()
            self.read = found[-1][0]
            queue.extend(found)
        while queue and len(self.flying) < IN_FLIGHT and (len(queue) >= self.pack or not self.flying):
            records = []
            for _ in range(min(self.pack, len(queue))):
                row = queue.popleft()
                records += senml(row)
            self.mid = self.mid % 65535 + 1
            body = HEAD + self.mid.to_bytes(2, "big") + PROPERTIES + cbor2.dumps(records)
            out.append(b"\x32" + length(len(body)) + body)
            self.flying.append(row[0])
        if out:
            self.transport.write(b"".join(out))

    # The line

    def readable(self):
        runs = (self.pending + os.read(self.fd, 65536)).split(b"\x7e")
        self.pending = runs.pop()
        unix_ms = int(time.time() * 1000)
        for run in runs:
            if not run:
                continue
            if b"\x7d" in run:
                plain = run.translate(None, b"\x7d")
                mask = run.translate(ESCAPES).replace(b"\x20\x00", b"\x20")
                data = (int.from_bytes(plain, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(plain), "big")
            else:
                data = run
            if crc32(data) != 0x2144DF1C:
                continue
            message = cbor2.loads(data[1:-4])
            if message[0] != 1:
                continue
            _, self.seq, frame, rssi, snr, _ = message
            end = 3 + (frame[0] & 7)
            kid, piv = frame[1:3], int.from_bytes(frame[3:end], "big")
            cipher, base = self.ciphers[kid]
            aad = b"\x83\x68Encrypt0\x40" + bytes((0x40 | end,)) + frame[:end]
            self.last += 1
            payload = cipher.decrypt((base ^ piv).to_bytes(13, "big"), frame[end:], aad)
            self.rows.append((self.last, kid, piv, unix_ms, rssi, snr, payload))
        if self.rows and not self.committing:
            self.commit()

    def commit(self):
        """One group: what came during the last one, and what was acknowledged."""
        self.committing = True
        rows, self.rows = self.rows, []
        acked, self.acked = self.acked, 0
        future = asyncio.get_running_loop().run_in_executor(self.thread, self.store, rows, acked)
        future.add_done_callback(partial(self.stored, rows, self.seq))

    def store(self, rows, acked):
        self.db.execute("BEGIN")
        if rows:
            self.db.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?,?)", rows)
        if acked:
            self.db.execute("DELETE FROM reading WHERE id <= ?", (acked,))
        self.db.execute("COMMIT")

    def stored(self, rows, seq, _):
        self.committing = False
        if rows:
            os.write(self.fd, hdlc(cbor2.dumps([7, seq])))
            self.queue.extend(rows)
            self.publish()
        if self.rows:
            self.commit()


async def main():
    port, broker, database, keys, pack = sys.argv[1:]
    ideal = Ideal(port, database, keys, int(pack))
    await asyncio.get_running_loop().create_connection(lambda: ideal, "127.0.0.1", int(broker))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
