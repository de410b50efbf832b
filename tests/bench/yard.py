"""The yard where gateways are measured: broker, tap, radio bridge and system under test, each a process of its own.

What is measured is seen from outside and alike for all: frames by the times at which they entered the terminal and their
PUBACK left the tap, CPU, memory and writes as the kernel counts them.
"""

import bisect
import contextlib
import json
import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))
import load  # noqa: E402
from passed import Passed, frames  # noqa: E402

from gateway import windows  # noqa: E402
from tools.twin.broker import Embedded, free_port  # noqa: E402

BOARDS = 40
LOOPBACK = "127.0.0.1"
GIVE_UP_S = 120.0
STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e")

INVENTORY = """\
sites:
  plage: {title: Plage, plan: town}
plans:
  town: {band: eu868, freq_hz: 868100000, sf: 9, bw_hz: 125000, cr: 5, power_dbm: 14}
gateways:
  poste: {site: plage, position: [48.6, -2.8], role: reader}
boards:
  bridge: {type: pico, role: bridge, gateway: poste, position: [48.6, -2.8], uid: "e6614c311b7e5a21",
           radio: {module: waveshare-pico-sx1262}}
"""
NODE = """\
  bin-{n}: {{type: pico, service: bin, uid: "e6614c311b7e{n:04x}", kids: ["{n:04x}"], position: [48.6, -2.8],
          settings: {{empty_mm: 1150, full_mm: 250}}, sensors: {{distance: a02yyuw, temperature: ds18b20}},
          radio: {{module: waveshare-pico-sx1262}}}}
"""


class Child:
    """A process that answers lines of JSON (or words) on its standard output."""

    def __init__(self, command, *, cwd=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd)

    def line(self):
        """The next line it says."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended: {self.process.args}")
        return line

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, **asked):
        """Say a command, return its answer."""
        self.tell(json.dumps(asked))
        return json.loads(self.line())

    def close(self):
        end(self.process)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def end(process, patience_s=15):
    """SIGTERM, and SIGKILL for who does not listen."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def script(name, *arguments):
    """The command of a script of this folder."""
    return [sys.executable, "-P", str(HERE / name), *map(str, arguments)]


class Mosquitto:
    """The broker of the measurements: Mosquitto without Nagle's delay where one is installed, else the embedded one."""

    def __init__(self, folder, settings=""):
        self.name = "Mosquitto"
        self._process = self._embedded = None
        tool = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if not tool:
            self.name = "embedded broker"
            self._embedded = Embedded(folder)
            self.port = self._embedded.port
            return
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} {LOOPBACK}\nallow_anonymous true\nset_tcp_nodelay true\n{settings}")
        self._process = subprocess.Popen([tool, "-c", str(config)], stderr=subprocess.DEVNULL)
        until(lambda: answers(self.port), what="Mosquitto listens")

    def close(self):
        if self._process:
            end(self._process)
        else:
            self._embedded.close()


def answers(port):
    """Does something listen on this port of loopback?"""
    with socket.socket() as sock:
        return sock.connect_ex((LOOPBACK, port)) == 0


def until(condition, timeout_s=GIVE_UP_S, what=""):
    """Wait for `condition()`."""
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)
    return found


# A backlog without waiting for it


def fill(store, n):
    """Make the daemon's store hold `n` rows, copies of those that it holds, each under counters of its own; the
    daemon must be down.
    """
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
        names = [column for _, column, *_ in db.execute("PRAGMA table_info(uplink)") if column != "id"]
        columns, copies = ", ".join(names), ", ".join("piv + 1000000" if name == "piv" else name for name in names)
        db.execute("BEGIN")
        while (count := db.execute("SELECT count(*) FROM uplink").fetchone()[0]) < n:
            db.execute(f"INSERT INTO uplink ({columns}) SELECT {copies} FROM uplink LIMIT ?", (n - count,))
        last = db.execute("SELECT max(id) FROM uplink").fetchone()[0]
        for table in ("context", "link"):
            db.execute(f"UPDATE {table} SET upto = ?", (last,))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('folded', ?)", (last,))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill_ideal(store, rows, n):
    """The same for the ideal: `rows` of the daemon's store at its beginning, again and again."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, kid, piv, unix_ms, rssi, snr, payload)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?,?)", ((i + 1, *rows[i % len(rows)]) for i in range(n)))
        db.execute("COMMIT")


def ideal_rows(store):
    """The rows of a daemon's store as the ideal keeps them, without id."""
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT kid, piv, unix_ms, rssi_dbm, snr_x4, payload FROM uplink").fetchall()


# What the kernel counts


def tree(pid):
    """A process and its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def traced(tracer):
    """The process that strace runs; None until it is there (strace tries its means in children of its own first)."""
    for pid in tree(tracer)[1:]:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() != "strace":
                return pid
    return None


def cpu_s(pid):
    """Seconds of processor time of a process, all its threads, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)


def written_bytes(pid):
    """Bytes that a process sent to storage."""
    return int(Path(f"/proc/{pid}/io").read_text().split("\nwrite_bytes: ")[1].split()[0])


def rss_mib(pid):
    """Resident memory."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


class Yard:
    """Broker, tap and bridge in `folder`; `first`: the first PIV of the boards."""

    def __init__(self, folder, boards=BOARDS, first=1, settings=""):
        self.folder = Path(folder)
        self.boards = boards
        self.broker = Mosquitto(self.folder, settings)
        self.tap = Child(script("tap.py", self.broker.port))
        self.port = json.loads(self.tap.line())["port"]
        self.tty = self.folder / "tty-bridge"
        self.bridge = Child(script("load.py", self.tty, boards, first))
        self.bridge.line()
        self.first, self.made = first, 0
        self._files()

    def close(self):
        for child in (self.bridge, self.tap):
            child.close()
        self.broker.close()
        self.tty.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _files(self):
        nodes = "".join(NODE.format(n=n + 1) for n in range(self.boards))
        (self.folder / "boards.yaml").write_text(INVENTORY + nodes)
        made = {f"{n:04x}": load.keys(n) for n in range(1, self.boards + 1)}
        keys = {name: {"k_up": held.k_up.hex(), "iv": held.iv.hex()} for name, held in made.items()}
        path = self.folder / "keys.json"
        path.write_text(json.dumps({"role": "reader", "keys": keys}))
        path.chmod(0o600)

    # Systems

    def daemon(self, upstream="", gateway="", *, store="store.db", port=None, before=(), options=()):
        """The daemon, ready: it has asked the bridge for its hello and is connected (unless `port` says nobody is there)."""
        config = self.folder / "gateway.toml"
        config.write_text(
            f'[gateway]\nname = "poste"\nclock = "trust"\nstore = "{store}"\n{gateway}\n'
            f'[[serial]]\nport = "{self.tty}"\nboard = "bridge"\n'
            f'[[upstream]]\nurl = "mqtt://{LOOPBACK}:{port or self.port}"\n{upstream}\n'
        )
        if windows.missing(self.folder / store):
            windows.begin(self.folder / store)
        self.bridge.ask(plug=True)
        self.forget()
        command = [*before, sys.executable, "-P", "-m", "gateway", "run", "--config", str(config), *options]
        system = System(self, command, self.folder / "daemon.log")
        self.bridge.ask(frames=0)
        if port is None:
            until(lambda: self.pieces() >= 2, what="the daemon is connected")
        system.ready_s = time.monotonic() - system.started_s
        return system

    def ideal(self, pack, *, store="ideal.db", before=()):
        """The bare ideal, ready."""
        self.bridge.ask(plug=True)
        self.forget()
        command = [*before, *script("ideal.py", self.tty, self.port, self.folder / store, self.folder / "keys.json", pack)]
        system = System(self, command, self.folder / "ideal.log")
        until(lambda: self.pieces() >= 2, what="the ideal is connected")
        return system

    # The tap

    def pieces(self):
        """How many pieces have passed."""
        return self.tap.ask(do="quiet")["pieces"]

    def forget(self):
        """Forget what has passed."""
        self.tap.ask(do="dump", file=os.devnull)

    def settle(self, names=(), read=None, quiet_s=0.4):
        """What has Passed, when nothing passes any more and all of `names` (kid||PIV) were acknowledged."""
        file = self.folder / "pieces"
        passed = Passed(read or frames)
        end_s = time.monotonic() + GIVE_UP_S
        while True:
            until(lambda: self.tap.ask(do="quiet")["quiet_s"] > quiet_s, what="silence upstream")
            self.tap.ask(do="dump", file=str(file))
            passed.feed(pickle.loads(file.read_bytes()))
            if all(name in passed.acked for name in names):
                return passed
            if time.monotonic() > end_s:
                missing = [name.hex() for name in names if name not in passed.acked]
                raise TimeoutError(f"{len(missing)} readings were not acknowledged, {missing[0]} is one")

    # The bridge

    def give(self, n, rate=0):
        """Give the system `n` frames. Returns ({kid||PIV: s when its last byte was on the terminal}, [(s, handled)])."""
        file = self.folder / "times"
        answer = self.bridge.ask(frames=n, rate=rate, file=str(file))
        if answer["handled"] < n:
            raise RuntimeError(f"{answer['handled']} of {n} frames were handled")
        written, acked = pickle.loads(file.read_bytes())
        counts = [done for _, done in written]
        entered = {}
        for i in range(n):
            entered[self.name(self.made + i)] = written[bisect.bisect_left(counts, i + 1)][0]
        self.made += n
        return entered, acked

    def name(self, i):
        """kid || PIV of the bridge's frame i."""
        return (i % self.boards + 1).to_bytes(2, "big") + (self.first + i // self.boards).to_bytes(4, "big")


class System:
    """A system under test."""

    def __init__(self, yard, command, log, environment=None):
        self.yard = yard
        self.started_s = time.monotonic()
        self.ready_s = 0.0
        self._log = log.open("w")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        self.pid = self.process.pid
        if command[0] == "strace":
            self.pid = until(lambda: traced(self.process.pid), what="strace has started it")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 15)
        end(self.process)
        self._log.close()

    def counters(self):
        """(processor seconds, bytes written) so far, all its processes."""
        pids = tree(self.pid)
        return sum(map(cpu_s, pids)), sum(map(written_bytes, pids))


def quantile(values, q):
    """The value below which a part `q` of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def fdatasync_s(folder, n=200):
    """Median seconds of an append and its fdatasync on this disk."""
    times = []
    with open(Path(folder) / "probe", "wb", buffering=0) as file:
        for _ in range(n):
            start_s = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start_s)
    os.unlink(Path(folder) / "probe")
    return quantile(times, 0.5)


def puback_s(port, n=300):
    """Median seconds from a PUBLISH to its PUBACK over a plain socket."""
    with socket.create_connection((LOOPBACK, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x05probe")
        sock.recv(1024)
        times = []
        for i in range(1, n + 1):
            start_s = time.perf_counter()
            sock.sendall(b"\x32\x0c\x00\x05probe" + i.to_bytes(2, "big") + b"\x00ab")
            sock.recv(64)
            times.append(time.perf_counter() - start_s)
    return quantile(times, 0.5)
