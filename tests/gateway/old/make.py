"""Makes a small store with the code of its time: `python make_old.py FOLDER`, run from the tree of that time (see README.md)."""

import importlib
import json
import sqlite3
import sys
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "tests/gateway")]
desk = importlib.import_module("gatedesk")
seal = importlib.import_module("firmware.wire.seal")
bench_of = importlib.import_module("test_receive")
store_of = importlib.import_module("gateway.store")
Tally = store_of.Tally

folder = Path(sys.argv[1])
folder.mkdir()
answers = Path("gateway/schema/002.sql").is_file()
Town = importlib.import_module("controldesk").Desk if answers else bench_of.Bench
town = Town(folder)
town.hello()


def readings():
    """Clean ones, a batch, an alarm, one with a hop tag, a resend, a copy, strangers, a payload of the future."""
    town.take(*(desk.frame(1, piv, {1: 3600 + piv, 3: piv % 100}) for piv in range(1, 25)))
    town.take(desk.frame(2, 1, {1: 3700, 2: [180, 1, -2, 3], -8: 900}), desk.frame(2, 2, {2: -50, 14: 90}))
    town.take(seal.seal(desk.keys(2), 3, b"\xa2\x02\x18\xb4\x13\x04", hop=True))
    again = desk.frame(1, 30, {3: [60, 2, 3], -8: 900, -9: 2})
    town.take(again, desk.frame(1, 28, {1: 3500, 3: 60}), again)
    town.take(desk.frame(1, 31, b"\xa1\x03\xf9\x3c\x00"), desk.frame(2, 4, {3: 101}))
    town.take(seal.seal(desk.keys(9), 1, b"\xa0"), desk.frame(1, 32, {3: 1})[:-1] + b"?", desk.frame(1, 24, {3: 99}))
    town.take(*(desk.frame(2, piv, {2: 100 + piv}) for piv in range(5, 60)))


def without_a_date():
    for boot in ("boot-0", "boot-1"):
        town.receiver._boot = boot
        for i in range(3):
            town.take(desk.frame(1, 40 + i + 10 * (boot == "boot-1"), {3: 70 + i}), unix_s=1000.0 + i, at_s=1000.0 + i)
    town.take(desk.frame(1, 60, {3: [50, 1], -8: 60}), unix_s=1100.0, at_s=1100.0)


def upstream():
    """Two of them: one has everything but the last, one stopped early and handed over more than was acknowledged."""
    last = town.store.rows(0, 10_000)[-1].id
    for name, handed, acked in (("senml", last - 3, last - 3), ("frames", 40, 25)):
        rows = [row for row in town.store.rows(0, 10_000) if row.id <= acked]
        tally = {kid: Tally(sum(r.kid == kid and r.frame is not None for r in rows), sum(r.kid == kid for r in rows))
                 for kid in {r.kid for r in rows}}  # fmt: skip
        town.store.hand(name, handed, {})
        town.store.mark(name, acked, tally)
    town.store.hand("frames", 40, {b"\0\1": Tally(5, 5)})
    assert town.store.prune(10, None) == 10


def commands():
    """One done, one sent, one that waits; an answer that the bridge could not send; a key id that is not answered."""
    ids = [town.add(1, {-2: 600}, "interval 600"), town.add(1, {-2: 60}), town.add(2, {-2: 120}, expires_s=10**9)]
    town.up(1, 33)
    town.up(1, 34, {3: 4, -12: ids[0], -13: 0, -5: True})
    town.says(town.given[-1][0], "duty")
    town.up(1, 35)
    town.store.within(lambda db: db.execute("INSERT INTO unsafe VALUES (x'0003')"), "made")


readings()
if answers:
    commands()
upstream()
without_a_date()
town.store.shrink_log()
town.store.close()
version = sqlite3.connect(folder / "store.db").execute("PRAGMA user_version").fetchone()[0]
print(json.dumps({"version": version, "bytes": (folder / "store.db").stat().st_size}))
