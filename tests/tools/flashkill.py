"""`jourdain flash` as a process of its own that is killed at any byte, and what the board is then.

Shared by the test and by the long run (tests/bench/flashkill.py).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import BARE, NAME, ROOT, UID, install, older
from pty_board import PtyBoard

from gateway import inventory
from gateway.errors import HostError
from tools.diag.service import Port
from tools.flash import connect, write
from tools.flash.config import board_files
from tools.flash.running import Running

# Enough of them that a board with some of the old ones and some of the new ones would be found out.
CHANGED = ("node/app", "node/start", "node/board", "node/config", "node/uplink", "node/hardware", "services/bin", "wire/hdlc",
           "wire/seal", "sensors/buses")  # fmt: skip


class Bench:
    """A folder with a fleet, its secrets, and images of bin-capitainerie: empty, and with an older application in service."""

    def __init__(self, folder):
        self.folder = Path(folder)
        shutil.copy(ROOT / "boards.yaml", self.folder)
        fleet = inventory.load(self.folder / "boards.yaml")
        self.entry = fleet.boards[NAME]
        self.keys = {self.entry.kid: os.urandom(16).hex()}
        self.new = board_files(fleet, self.entry, self.keys)
        self.old = older(self.new, fleet, self.entry, CHANGED)
        self.image = self.folder / f"{UID}.img"
        self._kept = self.folder / "old.img"
        with PtyBoard(self.folder, UID, uart=True) as board:
            install(board, self.old, self.entry.kid)
        shutil.copy(self.image, self._kept)

    def begin(self, fresh=False):
        """The image of a board, empty or with the older application, and the secrets that belong to it."""
        self.image.unlink(missing_ok=True)
        issued = {kid: {"board": NAME, "secret": secret} for kid, secret in self.keys.items()}
        if not fresh:
            shutil.copy(self._kept, self.image)
            issued[self.entry.kid]["counts_on"] = UID
        secrets = self.folder / "secrets.json"
        secrets.write_text(json.dumps({"keys": issued}))
        secrets.chmod(0o600)

    def board(self):
        """The board with that image, switched on."""
        return PtyBoard(self.folder, UID, uart=True)

    def command(self, board):
        """The command of a technician, begun."""
        words = ["flash", NAME, "--port", board.port, "--inventory", "boards.yaml", "--secrets", "secrets.json", "--json", *BARE]
        return subprocess.Popen([Path(sys.executable).parent / "jourdain", *words], cwd=self.folder, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def kill_at(self, board, received, after_s=0.0):
        """Begin the command and kill it `after_s` after its byte number `received`; True unless it had ended by itself."""
        from_here = board.received
        process = self.command(board)
        while board.received - from_here < received and process.poll() is None:
            time.sleep(0.0005)
        deadline = time.monotonic() + after_s
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def finish(self, board):
        """The same command to its end -> (what it said, bytes that the board received)."""
        from_here = board.received
        process = self.command(board)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out), board.received - from_here

    def says_hello(self, board, seconds=15):
        """Does the program on the board say hello, at its start or asked?"""
        running = Running(Port(board.port), lambda _identity: b"", lambda: None)
        try:
            for _ in range(seconds):
                try:
                    return bool(running.ask_hello(1))
                except HostError:
                    continue
            return False
        finally:
            running.close()

    def state(self, board):
        """"empty", "old" or "new" when that is the whole of the application; else what is wrong. Its program runs again then."""
        connection = connect.Connection(board.port)
        there = {path: sha for path, sha in write.hashes(connection, self.new).items() if not path.endswith(write.NEW)}
        connection.restart()
        connection.close()
        for name, files in (("old", self.old), ("new", self.new)):
            todo = write.plan(files, there)
            if not todo.write and not todo.remove:
                return name
        mixed = [path for path in there if path not in write.plan(self.new, there).write]
        return f"mixed: {len(mixed)} of the new files" if there else "empty"
