"""What flashing costs on a line of 115,200 baud: measured on a board behind a paced line, for the test and for the bench."""

import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pty_board import PtyBoard

from tools.flash import config, connect, identify, provision, write
from tools.flash.running import Running

BYTES_S = 11_520  # a UART bridge at 115,200 baud, ten bits a byte
SAMPLE_BYTES = 6 * write.PIECE_BYTES  # by which the line is measured


class Cost(NamedTuple):
    """A flashing. file_bytes: of the files that were written; line_s: what this very line takes for as many, in comments.

    enter_s: from opening the port until the plan is made; copy_s: from there until all is written, read back and in force;
    reset_s: from there to the hello.
    """

    file_bytes: int
    sent_bytes: int
    said_bytes: int
    enter_s: float
    copy_s: float
    reset_s: float
    line_s: float

    @property
    def ratio(self):
        """All but the reset, the entry included, against the line's time for the files' bytes."""
        return (self.enter_s + self.copy_s) / self.line_s

    @property
    def copy_ratio(self):
        """The same of the transfer alone, without entry, identification and comparison."""
        return self.copy_s / self.line_s

    @property
    def bytes_ratio(self):
        """All bytes that crossed the line before the reset, the entry's included, against those of the files."""
        return (self.sent_bytes + self.said_bytes) / self.file_bytes

    def __str__(self):
        return (
            f"{self.file_bytes} bytes of files ({self.line_s:.2f} s of line, {self.file_bytes / BYTES_S:.2f} by its rate), "
            f"{self.sent_bytes} sent, {self.said_bytes} back, "
            f"entry {self.enter_s:.2f} s, transfer {self.copy_s:.2f} s, reset {self.reset_s:.2f} s"
        )


def paced(folder, uid):
    """A board behind such a line."""
    return PtyBoard(folder, uid, uart=True, bytes_s=BYTES_S)


def best(board, editions, kid, enough=0.0):
    """The cheapest of some flashings, one after the other; none after one whose ratio is `enough` -> Cost."""
    found = None
    for files in editions:
        cost = flash(board, files, kid)
        found = min(found or cost, cost, key=lambda each: each.enter_s + each.copy_s)
        if found.file_bytes and found.ratio <= enough:
            break
    return found


def flash(board, files, kid, writes=write.copy):
    """Flash a board as the command does, from opening the port to the hello -> Cost. `writes`: in the place of write.copy."""
    sent, said = board.received, board.sent
    begun = time.monotonic()
    connection = connect.Connection(board.port)
    found = identify.ask(connection)
    todo = write.plan(files, write.hashes(connection, files))
    entered = time.monotonic()
    if kid not in found.counters:
        connection.run(f"FILES = {config.counter_files(kid)!r}\n{provision.MAKE}")
    writes(connection, files, todo, lambda _path: None)
    copied = time.monotonic()
    sent, said = board.received - sent, board.sent - said
    size = sum(len(files[path]) for path in todo.write)
    sample = min(size, SAMPLE_BYTES)
    for start in range(0, sample, write.PIECE_BYTES):
        connection._transport.exec_raw(b"#" * min(write.PIECE_BYTES, sample - start))
    line_s = (time.monotonic() - copied) * size / max(sample, 1)
    restarted = time.monotonic()
    connection.restart()
    running = Running(connection.line(), lambda _identity: b"", lambda: None)
    try:
        running.wait_hello(30)
    finally:
        running.close()
    return Cost(size, sent, said, entered - begun, copied - entered, time.monotonic() - restarted, line_s)
