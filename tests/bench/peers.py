"""The daemon beside its peers in one run: ThingsBoard Gateway, a Mosquitto bridge with persistence, persist-queue.

`make bench-peers` makes their environments (build/peers) and runs this; nothing of it is ours and nothing enters ours.
Each takes its messages where it takes them in the field: the daemon from a serial line, the others from MQTT.
"""

import getpass
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
import peers_systems as systems
import yard
from peers_systems import Devices, ThingsBoard
from yard import Yard, quantile

RATE = 200.0
FULL_SPEED = {"packed": "batch_age_s = 0.05", "single": "batch_age_s = 0\nbatch_readings = 1"}
AT_ONCE = "batch_age_s = 0"
UNLIMITED = "max_queued_messages 0\n"
EVERY_MESSAGE = "autosave_interval 1\nautosave_on_changes true\n"


def run(where, system, read, given):
    """What came of a run: `given()` gives the messages and returns {name: s when it entered}."""
    cpu_s, written = system.counters()
    where.forget()
    entered = given()
    passed = where.settle(read=read, quiet_s=systems.QUIET_S)
    after_s, after = system.counters()
    n = len(entered)
    arrived = [name for name in entered if name in passed.acked]
    delays_ms = [1000 * (passed.acked[name] - entered[name]) for name in arrived] or [float("inf")]
    ended_s = max((passed.acked[name] for name in arrived), default=float("inf"))
    return {
        "rate": len(arrived) / (ended_s - min(entered.values())),
        "cpu_us": (after_s - cpu_s) / n * 1e6,
        "disk": (after - written) / n,
        "p50_ms": quantile(delays_ms, 0.5),
        "p99_ms": quantile(delays_ms, 0.99),
        "missing": n - len(arrived),
    }


def idle(system, seconds):
    """Per cent of a core that a system takes for nothing."""
    before_s = system.counters()[0]
    time.sleep(seconds)
    return 100 * (system.counters()[0] - before_s) / seconds


def daemon(where, settings, n, rate=0):
    """One run of ours; (what came of it, per cent when idle, MiB)."""
    with where.daemon(settings) as system:
        where.settle(where.give(200)[0])
        found = run(where, system, yard.frames, lambda: where.give(n, rate)[0])
        lazy = idle(system, 5) if rate else None
        memory = yard.rss_mib(system.pid)
    for file in where.folder.glob("*.db*"):
        file.unlink()
    return found | {"idle": lazy, "memory": memory}


def thingsboard(where, n, rate=0, read_records=100):
    """One run of ThingsBoard Gateway, started anew."""
    with Devices(where, UNLIMITED) as devices, ThingsBoard(where, devices, read_records) as gateway:
        _warm(where, devices)
        made = ThingsBoard.messages(1000, n)

        def given():
            return dict(zip(range(1000, 1000 + n), devices.give(made, rate), strict=True))

        found = run(where, gateway, ThingsBoard.names, given)
        return found | {"idle": idle(gateway, 5) if rate else None, "memory": yard.rss_mib(gateway.pid)}


def _warm(where, devices):
    """Until a first message of every device has arrived: they are announced, and its workers run."""
    end_s = time.monotonic() + systems.START_S
    seen, first = set(), 0
    where.forget()
    while len(seen) < 40 and time.monotonic() < end_s:
        devices.give(ThingsBoard.messages(first, 40))
        seen |= {n % 40 for n in where.settle(read=ThingsBoard.names, quiet_s=1.0).acked}
        first += 40
    if len(seen) < 40:
        raise RuntimeError("ThingsBoard Gateway forwards nothing: look at its configuration in peers_systems.py")


def bridge(where, settings, n, rate=0):
    """One run of a Mosquitto bridge."""
    for file in where.folder.glob("mosquitto.db*"):
        file.unlink()
    with Devices(where, systems.bridge_settings(where, settings)) as devices:
        yard.until(lambda: where.pieces() >= 2, what="the bridge is connected")

        def given():
            return dict(zip(range(n), devices.give(systems.numbered(0, n), rate), strict=True))

        return run(where, devices, systems.number, given) | {"memory": yard.rss_mib(devices.pid)}


def persist_queue(folder, n):
    """Messages a second in and out."""
    command = [str(systems.python("persist-queue")), str(yard.HERE / "peers_queue.py"), str(folder / "queue"), str(n)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def row(what, value, unit="", limit=None, holds=None):
    """A row of the report; floats keep three figures."""
    value = float(f"{value:.3g}") if isinstance(value, float) and abs(value) < 1000 else round(value)
    return {"what": what, "value": value, "unit": unit, "limit": limit, "holds": holds}


def rows_of(bursts, steady):
    """Everything that was measured, by system."""
    rows = []
    for name, found in bursts.items():
        rows.append(row(f"{name}, burst: from entering to the PUBACK", found["rate"], "readings/s"))
        rows.append(row(f"{name}, burst: CPU a reading", found["cpu_us"], "us"))
        rows.append(row(f"{name}, burst: bytes to disk a reading", found["disk"], "B"))
        rows.append(row(f"{name}, burst: memory afterwards", found["memory"], "MiB"))
        rows.append(row(f"{name}, burst: taken in and never forwarded", found["missing"]))
    for name, found in steady.items():
        rows += [row(f"{name}, {RATE:.0f}/s: delay {q}", found[f"{q}_ms"], "ms") for q in ("p50", "p99")]
        rows.append(row(f"{name}, {RATE:.0f}/s: CPU a reading", found["cpu_us"], "us"))
        if found.get("idle") is not None:
            rows.append(row(f"{name}, idle: CPU", found["idle"], "%"))
    return rows


def promises(bursts, steady):
    """Ratios to ThingsBoard Gateway."""
    ours, theirs = steady["daemon"], steady["ThingsBoard Gateway"]
    peer = bursts["ThingsBoard Gateway"]["rate"]
    found = [
        ("packed / ThingsBoard Gateway, rate", bursts["daemon, packed"]["rate"] / peer, 20, True),
        ("single / ThingsBoard Gateway, rate", bursts["daemon, single"]["rate"] / peer, 10, True),
        ("ThingsBoard Gateway / daemon, delay p50", theirs["p50_ms"] / ours["p50_ms"], 100, True),
        ("ThingsBoard Gateway / daemon, delay p99", theirs["p99_ms"] / ours["p99_ms"], 40, True),
        (f"daemon / ThingsBoard Gateway, CPU at {RATE:.0f}/s", ours["cpu_us"] / theirs["cpu_us"], 0.6, False),
        ("daemon / ThingsBoard Gateway, CPU idle", ours["idle"] / theirs["idle"], 0.3, False),
    ]
    rows = []
    for what, value, limit, high in found:
        holds = value >= limit if high else value <= limit
        rows.append(row(what, value, limit=f"{'>=' if high else '<='} {limit}", holds=holds))
    return rows


def measure(quick: bool = False) -> dict:
    """For the bench page."""
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or not systems.python("thingsboard").exists():
        raise SystemExit("the peers need Mosquitto (apt install mosquitto) and their environments (make bench-peers)")
    n, seconds = (3000, 3) if quick else (20_000, 10)
    steady_n = int(seconds * RATE)
    with tempfile.TemporaryDirectory(prefix="jourdain-peers-") as folder:
        rules = Path(folder) / "rules"
        rules.write_text(systems.RULES)
        with Yard(folder, settings=f"user {getpass.getuser()}\nacl_file {rules}\n") as where:
            bursts = {
                "ThingsBoard Gateway": thingsboard(where, n // 2),
                "daemon, packed": daemon(where, FULL_SPEED["packed"], n),
                "daemon, single": daemon(where, FULL_SPEED["single"], n),
                "ThingsBoard Gateway, 1000 at a time": thingsboard(where, n // 2, read_records=1000),
                "Mosquitto bridge": bridge(where, "", n),
                "Mosquitto bridge, unlimited": bridge(where, UNLIMITED, n),
                "Mosquitto bridge, saved at each change": bridge(where, UNLIMITED + EVERY_MESSAGE, n // 10),
            }
            steady = {
                "ThingsBoard Gateway": thingsboard(where, steady_n, RATE),
                "daemon": daemon(where, AT_ONCE, steady_n, RATE),
                "Mosquitto bridge": bridge(where, UNLIMITED, steady_n, RATE),
            }
            queue = persist_queue(where.folder, n // 10)
    rows = [*rows_of(bursts, steady), row("persist-queue: messages in, each synced", queue["put"], "messages/s")]
    rows += [row("persist-queue: messages out and acknowledged", queue["out"], "messages/s"), *promises(bursts, steady)]
    text = (
        "ThingsBoard Gateway 3.8.5 with SQLite storage, no rate limits, 100 stored messages read at a time as it is documented "
        "(shipped are 10); a Mosquitto bridge with persistence, as shipped, with an unlimited queue, and saved at each change; "
        "persist-queue's queue with acknowledgements, storage alone. All upstream to the same broker through the same tap."
    )
    return {"title": "The daemon beside its peers", "text": text, "rows": rows, "plots": []}
