"""A backlog: what it takes of memory and of the start, how fast it drains, and how live readings pass it.

Beside the bare ideal, which drains the same readings from its own table. tests/bench/yard.py says how it is seen.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
import yard
from yard import Yard, quantile

PACK = 50
IN_FLIGHT = 20
LIVE = 20.0  # live readings a second
AT_ONCE = "batch_age_s = 0"


def heard(where, n=2000):
    """A store with `n` readings that nobody took; where it lies."""
    with where.daemon(AT_ONCE, port=yard.free_port()):
        where.give(n)
    return where.folder / "store.db"


def drained(passed, live):
    """Readings a second that passed beside `live` ones, from the first publish to the last PUBACK."""
    batches = [
        (begun, ended, [name for name in yard.frames(payload) if name not in live]) for begun, ended, payload in passed.publishes
    ]
    batches = [batch for batch in batches if batch[2]]
    n = sum(len(names) for _, _, names in batches)
    return n, n / (max(ended for _, ended, _ in batches) - min(begun for begun, _, _ in batches))


def delays_ms(passed, entered):
    """From the line to the PUBACK."""
    return [1000 * (passed.acked[name] - at_s) for name, at_s in entered.items()]


def drain(where, n, seconds):
    """Drain `n` readings while live ones come: what became of both."""
    with where.daemon(AT_ONCE) as system:
        live, _ = where.give(int(LIVE * seconds), LIVE)
        passed = where.settle(live, quiet_s=1.0)
        rss = yard.rss_mib(system.pid)
        where.forget()
        quiet, _ = where.give(int(LIVE * seconds), LIVE)
        idle = where.settle(quiet)
    count, rate = drained(passed, live)
    begun_s = min(begun for begun, _, _ in passed.publishes)
    ended_s = begun_s + count / rate
    during = [1000 * (passed.acked[name] - at_s) for name, at_s in live.items() if at_s < ended_s]
    return {
        "n": count,
        "rate": rate,
        "rss": rss,
        "during_ms": during,
        "idle_ms": delays_ms(idle, quiet),
        "ready_s": system.ready_s,
    }


def ideal_drain(where, rows, n):
    """Readings a second that the bare ideal drains."""
    yard.fill_ideal(where.folder / "full.db", rows, n)
    with where.ideal(PACK, store="full.db"):
        passed = where.settle(quiet_s=1.0)
    (where.folder / "full.db").unlink()
    return drained(passed, {})[1]


def offline(where, store):
    """MiB of a daemon whose broker is away, after some readings; and the seconds that it took to open its port."""
    with where.daemon(AT_ONCE, port=yard.free_port(), store=store) as system:
        where.give(2000)
        time.sleep(1.0)
        return yard.rss_mib(system.pid), system.ready_s


def row(what, value, unit="", limit=None, holds=None):
    """A row of the report; floats keep three figures."""
    value = float(f"{value:.3g}") if isinstance(value, float) and abs(value) < 1000 else round(value)
    return {"what": what, "value": value, "unit": unit, "limit": limit, "holds": holds}


def measure(quick: bool = False) -> dict:
    """For the bench page."""
    n, many = (20_000, 100_000) if quick else (100_000, 1_000_000)
    with tempfile.TemporaryDirectory(prefix="jourdain-bench-") as folder, Yard(folder) as where:
        empty_mib, _ = offline(where, "empty.db")
        store = heard(where)
        rows = yard.ideal_rows(store)
        yard.fill(store, n)
        found = drain(where, n, 4 if quick else 8)
        ideal = ideal_drain(where, rows, n)
        store.unlink()
        store = heard(where)
        yard.fill(store, many)
        size_mb = store.stat().st_size / 1e6
        full_mib, full_s = offline(where, "store.db")
        most = drain(where, many, 4 if quick else 12)
        window = IN_FLIGHT * PACK / yard.puback_s(where.port)
    p99, idle_p99 = quantile(most["during_ms"], 0.99), quantile(most["idle_ms"], 0.99)
    rows = [
        row(f"daemon: {found['n']:,} readings drained", found["rate"], "readings/s"),
        row("bare ideal: as many drained", ideal, "readings/s"),
        row("what the window allows at this round trip", window, "readings/s"),
        row(f"live reading while it drains: delay p99 of {len(most['during_ms'])}", p99, "ms"),
        row("live reading without backlog: delay p99", idle_p99, "ms"),
        row("drained / the lesser of window and ideal", found["rate"] / min(window, ideal), "", ">= 0.8",
            found["rate"] / min(window, ideal) >= 0.8),
        row("live delay p99, draining / idle", p99 / idle_p99, "", "<= 2", p99 <= 2 * idle_p99),
        row("memory offline, no backlog", empty_mib, "MiB"),
        row(f"memory offline, {many:,} readings wait", full_mib, "MiB"),
        row("the same, ratio", full_mib / empty_mib, "", "<= 1.1", full_mib <= 1.1 * empty_mib),
        row(f"memory after draining {many:,}", most["rss"], "MiB"),
        row("the same / memory after draining the smaller one", most["rss"] / found["rss"], "", "<= 1.1",
            most["rss"] <= 1.1 * found["rss"]),
        row(f"from exec to an open port with {many:,} readings waiting ({size_mb:.0f} MB)", full_s, "s", "<= 1", full_s <= 1),
    ]  # fmt: skip
    text = (
        f"The store is filled while the daemon is down; then it drains to a broker on loopback in packs of {PACK}, {IN_FLIGHT} "
        f"under way, while {LIVE:.0f} live readings a second come in."
    )
    return {"title": "A backlog", "text": text, "rows": rows, "plots": []}


if __name__ == "__main__":
    for entry in measure("--quick" in sys.argv)["rows"]:
        print(entry)
