"""The real gateway daemon as a child of the twin: its files, its start, its death by `kill -9`, its end."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firmware.wire.seal import derive
from gateway import windows
from gateway.errors import HostError
from gateway.keys import MAY_HOLD
from tools.twin.killer import POINTS

STOP_S = 15.0
OUTSIDE = "outside"
_TAIL = 3000


def write_keys(path: Path, role: str, secrets: Mapping[str, str]) -> None:
    """keys.json of a gateway, mode 0600, from `{kid: secret}`, both hexadecimal."""
    keys = {}
    for kid, secret in secrets.items():
        made = derive(bytes.fromhex(secret), bytes.fromhex(kid))
        keys[kid] = {name: getattr(made, name).hex() for name in MAY_HOLD[role]}
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        json.dump({"role": role, "keys": keys}, file)


def write_config(path: Path, gateway: str, inventory: Path, ports: Mapping[str, str], broker: str) -> None:
    """gateway.toml: `ports` are serial ports by board."""
    quote = json.dumps  # a TOML basic string is written like a JSON string
    lines = [
        "[gateway]", f"name = {quote(gateway)}", f"inventory = {quote(str(inventory))}", 'keys = "keys.json"',
        'store = "store.db"', "",
    ]  # fmt: skip
    for board, port in ports.items():
        lines += ["[[serial]]", f"port = {quote(port)}", f"board = {quote(board)}", ""]
    lines += ["[[upstream]]", f"url = {quote(broker)}", 'format = "senml"', ""]
    path.write_text("\n".join(lines), encoding="utf-8")


class KillPlan:
    """At which of its moments each life of the daemon ends. `left`: deaths still to come."""

    def __init__(self, kills: int, seed: int) -> None:
        self.left = kills
        self.done: list[str] = []
        self._rng = random.Random(f"{seed}/kills")
        # Every kind of moment in turn, in an order of its own each round.
        self._turn: list[str] = []

    def next(self) -> str | None:
        """`point:n` for the next life: it dies the n-th time it comes to the point. None: it lives."""
        if self.left <= 0:
            return None
        if not self._turn:
            self._turn = list(POINTS)
            self._rng.shuffle(self._turn)
        return f"{self._turn.pop()}:{self._rng.randint(1, 2)}"

    def missed(self, where: str | None) -> None:
        """A life ended before its moment came: the moment has its turn again, after the others of this round."""
        if where is not None and where != OUTSIDE:
            self._turn.insert(0, where.split(":")[0])

    def died(self, where: str) -> None:
        """A life ended where it should."""
        self.left -= 1
        self.done.append(where)


class Daemon:
    """`on_event(dict)` gets its lines of `--events`; they come on a thread and are handed out by `pump`."""

    def __init__(self, folder: Path, clock_file: Path, kills: KillPlan) -> None:
        self.folder = folder
        self.kills = kills
        self.on_event: Callable[[dict[str, Any]], object] = lambda event: None
        self.starts = 0
        self._clock_file = clock_file
        self._process: subprocess.Popen[bytes] | None = None
        self._armed: str | None = None
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None

    @property
    def up(self) -> bool:
        """Does the process live, as far as we know?"""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begin a life. A new town has no past that its gateway could have forgotten."""
        store = self.folder / "store.db"
        if windows.missing(store):
            windows.begin(store)
        self.starts += 1
        self._armed = self.kills.next()
        module = ["gateway"] if self._armed is None else ["tools.twin.killer", self._armed]
        command = [
            sys.executable, "-P", "-m", *module, "run", "--config", str(self.folder / "gateway.toml"),
            "--clock", str(self._clock_file), "--events",
        ]  # fmt: skip
        with (self.folder / "daemon.stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="daemon events", daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self._events.put(event)

    def pump(self) -> None:
        """Hand out the events that have come."""
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            self.on_event(event)

    def died(self) -> bool:
        """Has it died since the last look? Raises HostError (as named by its stderr) when nobody killed it."""
        if self._process is None or self._process.poll() is None:
            return False
        code = self._process.returncode
        self._bury()
        if code == -signal.SIGKILL and self._armed is not None:
            self.kills.died(self._armed)
            return True
        raise HostError("unexpected", f"the daemon ended with {code}", str(self.folder), self.stderr_tail())

    def kill(self) -> None:
        """`kill -9` from outside; `died` tells."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.kills.missed(self._armed)
            self._armed = OUTSIDE

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._bury()

    def stop(self) -> int | None:
        """SIGTERM, and its exit code; -9 when it does not obey."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._bury()

    def _bury(self) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        code = process.wait()
        if self._reader is not None:
            self._reader.join(2)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def stderr_tail(self) -> str:
        """The end of what it wrote to stderr."""
        try:
            return (self.folder / "daemon.stderr").read_bytes()[-_TAIL:].decode(errors="replace")
        except OSError:
            return ""

