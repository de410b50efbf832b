"""A radio bridge on a pseudo terminal, in a process of its own: its frames as fast as the terminal takes them, or at a rate.

Started with the path for the terminal, a number of boards and their first PIV. A line of JSON on standard input,
{"frames": n, "rate": frames a second or 0, "file": path}, is answered when every frame was handled ([7]) by {"handled": n,
"hellos": how often it was asked}; the file holds (pickle) [(monotonic s, frames written)], [(monotonic s, frames handled)].
{"frames": 0} waits until somebody has asked for a hello. A second name makes another terminal under the same path.
Frame i is of board i % boards and has the PIV first + i // boards.
"""

import gc
import json
import os
import pickle
import random
import select
import sys
import time
import tty

from firmware.wire import cbor, hdlc, link, seal

PIECE = 1 << 14
GIVE_UP_S = 120.0


def keys(board):
    """The keys of a board, the same in every run and in no specification."""
    return seal.derive(bytes((0x5A ^ board & 0xFF, board >> 8, *range(160, 174))), board.to_bytes(2, "big"))


class Town:
    """Frames of bins: four quantities, one reading each."""

    def __init__(self, boards, first):
        self._keys = [keys(n + 1) for n in range(boards)]
        self._first = first
        self._rng = random.Random(1)
        self.made = 0

    def frame(self):
        """The next frame."""
        at, rng = self.made, self._rng
        self.made += 1
        values = {1: rng.randrange(3300, 4100), 2: rng.randrange(-50, 350), 3: rng.randrange(99), 4: rng.randrange(200, 1500)}
        count = len(self._keys)
        return seal.seal(self._keys[at % count], self._first + at // count, cbor.dumps(values))


class Bridge:
    """The terminal's far end; numbers its frames from 1 and begins again where it was not handled after a hello."""

    def __init__(self, path, town):
        self._town = town
        self._path = path
        self._decoder = hdlc.Decoder()
        self._start_s = time.monotonic()
        self._data = b""
        self._ends = [0]  # of each frame of this run in _data
        self._before = 0  # frames of earlier runs
        self._at = 0
        self.hellos = 0
        self.handled = 0
        self.written, self.acked = [], []
        self._master = None
        self.plug()

    def plug(self):
        """A new terminal under the path."""
        if self._master is not None:
            os.close(self._master)
            os.close(self._slave)
            os.unlink(self._path)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        os.symlink(os.ttyname(self._slave), self._path)

    def t_ms(self):
        return int((time.monotonic() - self._start_s) * 1000)

    def _hear(self, n):
        """Make `n` frames ready."""
        lines = []
        for _ in range(n):
            lines.append(link.heard(self._town.made + 1, self._town.frame(), -101, 22, self.t_ms()))
            self._ends.append(self._ends[-1] + len(lines[-1]))
        self._data += b"".join(lines)

    def _listen(self):
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        for proto, body in self._decoder.feed(data):
            if proto != hdlc.PROTO_MESSAGE:
                continue
            message = link.parse(body)
            if message[0] == link.HANDLED:
                self.handled = message[1] - self._before
                self.acked.append((time.monotonic(), self.handled))
            elif message[0] == link.HELLO:
                self.hellos += 1
                self._at = self._ends[max(0, self.handled)]
                hello = link.hello("1.0", "e6614c311b7e5a21", ["bridge"], self.t_ms(), self._town.made, 0)
                os.write(self._master, hello)

    def _turn(self, wait_s):
        """Write what there is room for, hear what came."""
        more = self._at < len(self._data)
        ready = select.select([self._master], [self._master] if more else [], [], wait_s)
        if ready[0]:
            self._listen()
        if ready[1]:
            self._at += os.write(self._master, self._data[self._at : self._at + PIECE])
            self.written.append((time.monotonic(), self._at))

    def run(self, n, rate):
        """Give `n` frames and wait until they are handled."""
        self._before += len(self._ends) - 1
        self._data, self._ends, self._at, self.handled = b"", [0], 0, 0
        self.written, self.acked = [], []
        if not n:
            self._wait(lambda: self.hellos)
            return
        if not rate:
            self._hear(n)
        else:
            start_s = time.monotonic()
            for i in range(n):
                while (wait_s := start_s + i / rate - time.monotonic()) > 0:
                    self._turn(wait_s)
                self._hear(1)
                self._turn(0)
        self._wait(lambda: self.handled >= n)

    def _wait(self, condition):
        end_s = time.monotonic() + GIVE_UP_S
        while not condition() and time.monotonic() < end_s:
            self._turn(0.5)

    def report(self, file):
        """Write the times of this run."""
        done, times = 0, []
        for at_s, position in self.written:
            while done + 1 < len(self._ends) and self._ends[done + 1] <= position:
                done += 1
            times.append((at_s, done))
        with open(file, "wb") as out:
            pickle.dump((times, self.acked), out)


def main():
    gc.disable()
    bridge = Bridge(sys.argv[1], Town(int(sys.argv[2]), int(sys.argv[3])))
    print("{}", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("plug"):
            bridge.plug()
            bridge.hellos = 0
        else:
            bridge.run(asked["frames"], asked.get("rate", 0))
        if asked.get("file"):
            bridge.report(asked["file"])
        print(json.dumps({"handled": bridge.handled, "hellos": bridge.hellos}), flush=True)


if __name__ == "__main__":
    main()
