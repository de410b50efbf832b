"""What a node keeps on the heap, and that it keeps no more after hundreds of cycles. Slots as they are flashed.

Figures of the 64-bit port; a board's are smaller by RATIO, measured with the 32-bit port on these very slots.
"""

import pytest

CODE = """
import gc
import virtual, asyncio
asyncio.Event, asyncio.Lock, asyncio.ThreadSafeFlag, asyncio.StreamReader, asyncio.wait_for_ms
import binascii, cryptolib, hashlib, io, json, machine, onewire, os, random, select, struct, sys, time
import slot_run

LOG, MESSAGE, HEARD = 0x23, 0x22, 1  # a slot has no names of constants
FOLDER, ROLE = ".", {role!r}
os.chdir({folder!r})  # modules keep their paths, which are short on a board
machine.state["uart"] = True


class Line(io.IOBase):
    to_board = b""
    frames = errors = 0

    def ioctl(self, request, mask):
        return mask & 1 if request == 3 and self.to_board else 0

    def read(self, n):
        out, self.to_board = self.to_board[:n], self.to_board[n:]
        return out

    def write(self, data):
        # A daemon that acknowledges at once, and asks for a hello now and then.
        from firmware.wire import hdlc, link
        for proto, body in hdlc.Decoder().feed(bytes(data)):
            if proto == LOG and body.startswith(b"taken"):
                self.frames += 1
            elif proto == LOG and body.startswith((b"error", b"Traceback")):
                self.errors += 1
                print(body, file=sys.stderr)
            elif proto == MESSAGE and body[1] == HEARD:
                self.to_board += link.handled(link.parse(body)[1])
                if self.frames % 10 == 0:
                    self.to_board += link.ask_hello()
        return len(data)


line = Line()
line.buffer = line
gc.collect()
before = gc.mem_alloc()
slot_run.load(FOLDER)
app = slot_run.start(FOLDER, ROLE, line)


def resident():
    gc.collect()
    return gc.mem_alloc() - before


async def main():
    asyncio.create_task(app.run())
    await asyncio.sleep(100 * 900)
    early, most = 0, 0
    for cycle in range(300):
        await asyncio.sleep(900)
        kept = resident()  # with what is under way just now
        most = max(most, kept)
        if cycle < 50:
            early = max(early, kept)
    print(early, most, line.frames)


print(resident())
asyncio.run(main())
"""
BOARD_KB = 200  # heap of a Pico W, the smallest of the Picos; objects of the 64-bit port are up to twice as large
RATIO = 1.44


def run(mp, desk_path, folder, role):
    code = CODE.format(folder=str(folder), role=role)
    started, rest = mp(code, heap_kb=2 * BOARD_KB, path=desk_path, timeout_s=100).splitlines()
    early, most, frames = map(int, rest.split())
    return int(started), early, most, frames


# Names are kept in tables that double: one name more can cost 5 kB at once, as it did the wired bin.
@pytest.mark.parametrize(("board", "limit_kb"), [("bin-capitainerie", 54), ("bin-quai", 68)])
def test_nothing_grows_over_hundreds_of_cycles(mp, slot, desk_path, board, limit_kb):
    started, early, most, frames = run(mp, desk_path, slot(board), "node")
    print(f"{board}: started {started / RATIO:.0f} B, after 100 cycles {early / RATIO:.0f} B, most {most / RATIO:.0f} B")
    assert frames >= 399
    assert most - early < 600
    assert most < limit_kb * 1000 * RATIO
