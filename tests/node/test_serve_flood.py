"""A line that never falls silent, in real time: reports keep their time, the watchdog gets its food."""

import json
import os
import threading

import mp as runner

from firmware.wire import hdlc
from firmware.wire.cbor import dumps_link

CODE = """
import asyncio, gc, io, machine, sys, time
asyncio.Event, asyncio.Lock, asyncio.ThreadSafeFlag, asyncio.StreamReader, asyncio.wait_for_ms
import binascii, cryptolib, hashlib, json, onewire, os, random, select, struct
import slot_run

FOLDER, SECONDS = {folder!r}, {seconds}
machine.state["uart"] = True


class Line:
    heard_ms = []
    answers = 0

    @property
    def buffer(self):
        return self

    def write(self, data):
        for proto, body in hdlc.Decoder().feed(bytes(data)):
            if proto == 0x22 and body[1] == 1:
                self.heard_ms.append(time.ticks_ms())
            self.answers += proto == 0x24


def longest(times):
    return max([time.ticks_diff(b, a) for a, b in zip(times, times[1:])])


slot_run.load(FOLDER)
from firmware.node.board import Board
from firmware.node.console import Console
from firmware.node.noladder import NoLadder
from firmware.wire import hdlc

fed_ms = []
ladder = NoLadder()
ladder.feed = lambda: fed_ms.append(time.ticks_ms())
line = Line()
board = Board("node", Console(sys.stdin, line), ladder)
app = __import__("firmware.node.app", None, None, ("run",))._start(board, FOLDER + "/")
__import__("firmware.node.forget", None, None, ("forget_start",)).forget_start()


async def main():
    asyncio.create_task(app.run())
    await asyncio.sleep(SECONDS)


asyncio.run(main())
console = board.console
print(json.dumps([len(line.heard_ms), longest(line.heard_ms), longest(fed_ms), board.refused, line.answers, console.garbage]))
"""
SECONDS = 4.2


def flood():
    """Challenges that open new talks, what is signed wrong, what is not signed, what is no op, what is cut, and noise."""
    requests = [[1, "challenge"], [2, "status"], [3, "status", b"12345678"], [4, "update", b"x" * 200, b"12345678"], [5, "no"], 7]
    frames = b"".join(hdlc.encode(hdlc.PROTO_CONSOLE, dumps_link(request)) for request in requests)
    return frames + frames[:150] + b"~noise~" + bytes(range(256)) + b"~"


def run(slot, desk_path, *, flooded):
    fake, _board, here = desk_path
    folder = slot("bin-capitainerie", report_s=1)
    out, into = os.pipe()

    def pour():
        try:
            while flooded:
                os.write(into, flood())
        except BrokenPipeError:
            pass

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        code = CODE.format(folder=str(folder), seconds=SECONDS)
        return json.loads(runner.run(code, heap_kb=400, path=(fake, here), stdin=out))
    finally:
        os.close(out)
        pouring.join()
        os.close(into)


def test_a_flood_starves_nobody(slot, desk_path):
    heard, report_ms, feed_ms, refused, answers, garbage = run(slot, desk_path, flooded=True)
    print(f"{heard} reports, at most {report_ms} ms apart, fed each {feed_ms} ms; {refused} refused, {answers} answered")
    assert heard >= 2  # a report takes two seconds with these sensors
    assert report_ms < 2500
    assert feed_ms < 4200
    assert refused > 1000
    assert garbage > 1000
    assert answers < 200
