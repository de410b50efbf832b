"""The daemon's whole way, from a frame on the serial line to its PUBACK, beside aiomqtt alone and beside the bare ideal.

tests/bench/yard.py says how it is seen, tests/bench/ideal.py is the ideal. All systems of a comparison take turns in one run
and the best round of each counts, so that a neighbour on the machine spoils a round and not a ratio.
"""

import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))  # at the end: gateway.py of this folder is not the daemon
import yard
from yard import Yard, quantile

PACK = 50
RATE = 200.0
IMPORTS = "import gateway.command, re; print(int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024)"
FULL_SPEED = {"packed": "batch_age_s = 0.05", "single": "batch_age_s = 0\nbatch_readings = 1"}
AT_ONCE = "batch_age_s = 0"


def burst(yard, system, n):
    """Give `n` frames at once to a running system: what it made of them."""
    cpu_s, written = system.counters()
    yard.forget()
    entered, handled = yard.give(n)
    passed = yard.settle(entered)
    after_s, after = system.counters()
    start_s = min(entered.values())
    return {
        "rate": n / (max(passed.acked[name] for name in entered) - start_s),
        "durable": n / (handled[-1][0] - start_s),
        "cpu_us": (after_s - cpu_s) / n * 1e6,
        "disk": (after - written) / n,
        "line": passed.bytes / n,
    }


def paced(yard, system, n):
    """Give `n` frames at RATE: delays in ms from the line to the PUBACK, and the rest as `burst`."""
    cpu_s, written = system.counters()
    yard.forget()
    entered, _ = yard.give(n, RATE)
    passed = yard.settle(entered)
    after_s, after = system.counters()
    delays_ms = [1000 * (passed.acked[name] - at_s) for name, at_s in entered.items()]
    return {
        "p50_ms": quantile(delays_ms, 0.5),
        "p99_ms": quantile(delays_ms, 0.99),
        "cpu_us": (after_s - cpu_s) / n * 1e6,
        "disk": (after - written) / n,
        "line": passed.bytes / n,
        "delays_ms": delays_ms,
    }


def alone(yard, payloads, in_flight):
    """aiomqtt alone with these payloads: rate and CPU."""
    file = yard.folder / "payloads"
    file.write_bytes(pickle.dumps(payloads))
    child = yard_child(yard, file, in_flight)
    try:
        yard.forget()
        cpu_s = yard_cpu(child)
        child.tell("go")
        child.line()
        after_s = yard_cpu(child)
        passed = yard.settle(read=lambda _: ())
    finally:
        child.close()
    begun = min(at for at, _, _ in passed.publishes)
    ended = max(at for _, at, _ in passed.publishes)
    n = len(passed.publishes)
    return {"rate": n / (ended - begun), "cpu_us": (after_s - cpu_s) / n * 1e6}


def yard_child(where, file, in_flight):
    """The process of `alone`, connected."""
    child = yard.Child(yard.script("alone.py", where.port, file, in_flight))
    child.line()
    return child


def yard_cpu(child):
    """Processor seconds of a child."""
    return yard.cpu_s(child.process.pid)


def best(runs, key="rate", highest=True):
    """The best run by `key`."""
    return (max if highest else min)(runs, key=lambda run: run[key])


def fresh(folder):
    """No store of an earlier run."""
    for file in folder.glob("*.db*"):
        file.unlink()


def payloads_of(where, n):
    """`n` SenML payloads of one reading each, as the daemon makes them."""
    with where.daemon(FULL_SPEED["single"]):
        entered, _ = where.give(200)
        found = [payload for _, _, payload in where.settle(entered).publishes if yard.frames(payload)]
    fresh(where.folder)
    return (found * (n // len(found) + 1))[:n]


def full_speed(where, rounds, n):
    """Bursts: {system: best run}."""
    payloads = payloads_of(where, n // 2)
    runs = {name: [] for name in ("packed", "ideal packed", "single", "ideal single", "aiomqtt alone")}
    makers = {
        "ideal packed": lambda: where.ideal(PACK),
        "packed": lambda: where.daemon(FULL_SPEED["packed"]),
        "ideal single": lambda: where.ideal(1),
        "single": lambda: where.daemon(FULL_SPEED["single"]),
    }
    for _ in range(rounds):
        for name, make in makers.items():
            with make() as system:
                burst(where, system, 20 * PACK)  # the first frames pay for what is made once
                runs[name] += [burst(where, system, n if "packed" in name else n // 2) for _ in range(2)]
            fresh(where.folder)
        runs["aiomqtt alone"].append(alone(where, payloads, 20))
    return runs


def at_a_rate(where, rounds, n):
    """RATE frames a second in latency mode: {system: best run}; and what an idle daemon takes (per cent of a core)."""
    runs = {"daemon": [], "ideal": []}
    idle = []
    for _ in range(rounds):
        for name, make in {"ideal": lambda: where.ideal(PACK), "daemon": lambda: where.daemon(AT_ONCE)}.items():
            with make() as system:
                where.give(100, RATE)
                runs[name].append(paced(where, system, n))
                if name == "daemon":
                    cpu_s, _ = system.counters()
                    time.sleep(n / RATE)
                    idle.append(100 * (system.counters()[0] - cpu_s) / (n / RATE))
            fresh(where.folder)
    return runs, min(idle)


def slow_disk(where, rounds, n):
    """Burst rates of the daemon with each sync slowed by 20 ms, and without, both traced alike; None without strace."""
    if not shutil.which("strace"):
        return None
    found = {}
    for _ in range(rounds):
        for delay_us in (0, 20_000):
            trace = (*yard.STRACE, f"inject=fdatasync,fsync:delay_exit={delay_us}")
            with where.daemon(FULL_SPEED["packed"], before=trace) as system:
                burst(where, system, 4 * PACK)
                found.setdefault(delay_us, []).append(burst(where, system, n))
            fresh(where.folder)
    return {delay_us: best(runs)["rate"] for delay_us, runs in found.items()}


def ready_s(where, rounds):
    """Seconds from exec until the daemon has opened its port and is connected: the best of a few."""
    found = []
    for _ in range(rounds):
        with where.daemon() as system:
            found.append(system.ready_s)
        fresh(where.folder)
    return min(found)


def row(what, value, unit="", limit=None, holds=None):
    """A row of the report; floats keep three figures."""
    value = float(f"{value:.3g}") if isinstance(value, float) and abs(value) < 1000 else round(value)
    return {"what": what, "value": value, "unit": unit, "limit": limit, "holds": holds}


def at_least(what, value, limit):
    return row(what, value, limit=f">= {limit}", holds=value >= limit)


def at_most(what, value, limit, unit=""):
    return row(what, value, unit, limit=f"<= {float(f'{limit:.3g}')}", holds=value <= limit)


def speed_rows(runs):
    """Full speed: rates, CPU, bytes, and the promised ratios."""
    rates = {name: best(found)["rate"] for name, found in runs.items()}
    cpu = {name: best(found, "cpu_us", highest=False)["cpu_us"] for name, found in runs.items()}
    rows = [row(f"{name}: readings from the line to the PUBACK", rate, "readings/s") for name, rate in rates.items()]
    rows += [row(f"{name}: CPU a reading, burst", us, "us") for name, us in cpu.items()]
    for name in ("packed", "ideal packed", "single", "ideal single"):
        rows.append(row(f"{name}: bytes to disk a reading, burst", best(runs[name], "disk", highest=False)["disk"], "B"))
        rows.append(row(f"{name}: bytes on the line upstream a reading", best(runs[name], "line", highest=False)["line"], "B"))
    return [
        *rows,
        at_least("packed / packed ideal, rate", rates["packed"] / rates["ideal packed"], 0.5),
        at_least("single / aiomqtt alone, rate", rates["single"] / rates["aiomqtt alone"], 0.8),
        row("single / single ideal, rate", rates["single"] / rates["ideal single"]),
        at_most("packed / packed ideal, CPU", cpu["packed"] / cpu["ideal packed"], 3.0),
        row("single / single ideal, CPU", cpu["single"] / cpu["ideal single"]),
    ]


def rate_rows(where, runs, idle):
    """RATE frames a second: delays, CPU, and the promised bounds."""
    sync_s, puback_s = yard.fdatasync_s(where.folder), yard.puback_s(where.port)
    daemon, ideal = (best(runs[name], "p50_ms", highest=False) for name in ("daemon", "ideal"))
    rows = [row("fdatasync, median", 1e6 * sync_s, "us"), row("PUBACK through the tap, median", 1e6 * puback_s, "us")]
    for name, run in (("ideal", ideal), ("daemon", daemon)):
        rows += [row(f"{name} at {RATE:.0f}/s: delay {q}", run[f"{q}_ms"], "ms") for q in ("p50", "p99")]
        rows.append(row(f"{name} at {RATE:.0f}/s: CPU a reading", best(runs[name], "cpu_us", highest=False)["cpu_us"], "us"))
        rows.append(row(f"{name} at {RATE:.0f}/s: bytes to disk a reading", run["disk"], "B"))
        rows.append(row(f"{name} at {RATE:.0f}/s: bytes on the line upstream a reading", run["line"], "B"))
    return [
        *rows,
        at_most("daemon: delay p50 / (fdatasync + PUBACK)", daemon["p50_ms"] / 1000 / (sync_s + puback_s), 3.0),
        at_most("daemon: delay p99", best(runs["daemon"], "p99_ms", highest=False)["p99_ms"], 10.0, "ms"),
        at_most("daemon idle: CPU", idle, 0.5, "%"),
    ]


def metered_rows(where, plain):
    """What a line costs where bytes are paid for: metered mode beside the usual batches (`plain` bytes a reading)."""
    with where.daemon("metered = true\nbatch_age_s = 0.05") as system:
        found = burst(where, system, 120 * PACK)["line"]
    fresh(where.folder)
    return [row("metered: bytes on the line upstream a reading", found, "B"), row("metered / packed, bytes", found / plain)]


def memory_rows(where):
    """Resident memory: the imports alone, the daemon after a burst."""
    imports = float(subprocess.run([sys.executable, "-P", "-c", IMPORTS], capture_output=True, text=True, check=True).stdout)
    with where.daemon(FULL_SPEED["packed"]) as system:
        where.settle(where.give(100 * PACK)[0])
        found = yard.rss_mib(system.pid)
    fresh(where.folder)
    return [
        row("imports alone: memory", imports, "MiB"),
        row("daemon after a burst: memory", found, "MiB"),
        at_most("daemon / imports alone, memory", found / imports, 1.5),
    ]


def measure(quick: bool = False) -> dict:
    """For the bench page."""
    rounds, n, seconds = (1, 6000, 4) if quick else (4, 30_000, 15)
    with tempfile.TemporaryDirectory(prefix="jourdain-bench-") as folder, Yard(folder) as where:
        speeds = full_speed(where, rounds, n)
        rates, idle = at_a_rate(where, min(rounds, 2), int(seconds * RATE))
        rows = [*speed_rows(speeds), *rate_rows(where, rates, idle), *memory_rows(where)]
        rows += metered_rows(where, best(speeds["packed"], "line", highest=False)["line"])
        if slowed := slow_disk(where, rounds, n):
            rows.append(row("packed, each sync slowed by 20 ms", slowed[20_000], "readings/s"))
            rows.append(at_least("packed, slowed / not slowed", slowed[20_000] / slowed[0], 0.8))
        rows.append(at_most("from exec to an open port and a connection upstream", ready_s(where, 3), 1.0, "s"))
        broker = where.broker.name
        text = (
            f"From a serial line (pseudo terminal) to the PUBACK of a {broker} on loopback, {yard.BOARDS} boards, four "
            f"quantities a reading. Packed: {PACK} readings a publish, which is the default; single: one. The ideal is one "
            f"script without windows, checks or books; aiomqtt alone publishes the same payloads from memory, 20 under way."
        )
        plots = [delay_plot(rates)]
    return {"title": "The daemon's whole way", "text": text, "rows": rows, "plots": plots}


def delay_plot(runs):
    """Delays by quantile."""
    quantiles = [q / 100 for q in range(100)]
    lines = {}
    for name, found in runs.items():
        delays = best(found, "p50_ms", highest=False)["delays_ms"]
        lines[name] = [quantile(delays, q) for q in quantiles]
    title = f"Delay from the line to the PUBACK at {RATE:.0f} readings a second"
    return {"title": title, "xlabel": "quantile", "ylabel": "ms", "x": quantiles, "lines": lines}


if __name__ == "__main__":
    for entry in measure("--quick" in sys.argv)["rows"]:
        print(entry)
