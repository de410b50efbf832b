"""How deep the application's calls go, measured by the C stack that they really need.

A board fails at 33 plain calls, MicroPython's Unix port at about 190. The test first goes down by plain calls until only
20 are left, and then does everything that a board does: imports the slot in the launcher's order, starts, reads its
sensors, seals and sends through the real radio driver. One call too many, anywhere, is a RuntimeError. That counts C frames
too (an `await` costs as much as a call), and the board's fake pins and buses. What MicroPython itself brings as files
(asyncio's parts, onewire) is imported before: an import needs 4 kB of stack for a path on the Unix port, 128 bytes on boards.
"""

from pathlib import Path

import pytest

CODE = """
import sys
import asyncio, io, json, machine, onewire
asyncio.Event, asyncio.Lock, asyncio.ThreadSafeFlag, asyncio.StreamReader, asyncio.wait_for_ms
import slot_run

FOLDER, ROLE, LEFT, SECONDS = {folder!r}, {role!r}, {left}, {seconds}
machine.state["uart"] = True


class Line(io.IOBase):
    text = b""
    to_board = b""

    def ioctl(self, request, mask):
        if request != 3:
            return -1  # no descriptor
        return mask & 1 if self.to_board else 0

    def read(self, n):
        out, self.to_board = self.to_board[:n], self.to_board[n:]
        return out

    def write(self, data):
        self.text += data
        return len(data)


line = Line()
line.buffer = line


def down(n, fn):
    if n:
        return down(n - 1, fn)
    return fn()


def room():
    n = 1
    try:
        while True:
            down(n, int)
            n += 1
    except RuntimeError:
        return n - 1


async def live(app):
    task = asyncio.create_task(app.run())
    await asyncio.sleep_ms(300)
    from firmware.wire import link
    line.to_board = link.ask_hello()
    if ROLE == "bridge":
        line.to_board += link.send(1, b"answer", 0, [("iq", "inverted")])
    for _ in range(200):  # a laden machine takes its time
        await asyncio.sleep_ms(100)
        if line.text.count(ROLE.encode()) > 2 and {needle!r} in line.text:
            break
    await asyncio.sleep(SECONDS)
    task.cancel()


def all_of_it():
    slot_run.load(FOLDER)
    app = slot_run.start(FOLDER, ROLE, line)
    asyncio.run(live(app))
    return app


app = down(room() - LEFT, all_of_it)
print(line.text)
"""


def run(mp, folder, role, left, seconds):
    here = Path(__file__).resolve().parent
    code = CODE.format(folder=str(folder), role=role, left=left, seconds=seconds, needle=NEEDLE[role])
    return mp(code, heap_kb=1000, path=[here / "fake", here])


# What shows that all was done: a reading is sealed, an answer was sent. Then some seconds more, for sending and listening.
NEEDLE = {"node": b"taken 1 ", "bridge": b"bok"}
CASES = [("bin-quai", "node", 1.5), ("bin-capitainerie", "node", 0.3), ("bay-quai-1", "node", 1.5), ("bridge-1", "bridge", 0.3)]


@pytest.mark.parametrize(("board", "role", "seconds"), CASES)
def test_twenty_calls_are_enough(mp, slot, board, role, seconds):
    folder = slot(board, report_s=1)
    out = run(mp, folder, role, 20, seconds)
    assert "maximum recursion" not in out
    assert out.count(role) > 2  # the log line of the boot, two hellos
    assert NEEDLE[role].decode() in out


def test_the_measure_can_fail(mp, slot):
    with pytest.raises(AssertionError, match="maximum recursion"):
        run(mp, slot("bin-capitainerie", report_s=1), "node", 10, 0.1)
