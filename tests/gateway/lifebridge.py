"""A radio bridge that may be treated badly: it keeps 64 unhandled frames as a real one does, and its line can be damaged."""

import collections
import contextlib
import os
import random
import select
import threading
import time
import tty

from firmware.wire import hdlc, link

KEEPS = 64
_AHEAD = 4096  # bytes that wait for the host; a message that finds more is lost on the line


class Bridge:
    """At the far end of a pseudo terminal. It numbers, keeps the last 64 unhandled and sends them again after a hello, in order
    and new ones behind, as firmware.node.outbox does.

    names: of each frame, whatever its giver calls it. handled: names that the daemon acknowledged, in order; lost: names that
    gave way or died with the bridge before they were handled. noise: the share of messages that the line damages.
    """

    def __init__(self, folder, rng=None, name="bridge", now_s=time.monotonic):
        self.path = folder / f"tty-{name}"
        self.noise = 0.0
        self.waiting = collections.OrderedDict()  # number -> (frame, rssi, snr, t_ms, name)
        self.handled = []
        self.lost = []
        self.overflow = self.hellos = self.seq = self.damaged = 0
        self._rng = rng or random.Random(0)
        self._now_s = now_s
        self._start_s = self._now_s()
        self._lock = threading.RLock()
        self._resending = self._down = False
        self._done = 0
        self._master = None
        self.plug()

    @property
    def t_ms(self):
        return int((self._now_s() - self._start_s) * 1000) & 0xFFFFFFFF

    def plug(self):
        """A new terminal under the old name."""
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        new = self.path.with_suffix(".new")
        new.symlink_to(os.ttyname(slave))
        new.rename(self.path)
        self._out = bytearray()
        self._decoder = hdlc.Decoder()
        self._slave, self._master, self._stop = slave, master, threading.Event()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, args=(master, self._stop), daemon=True)
        self._thread.start()

    def unplug(self):
        """The terminal goes away, as a USB port does; what was on the line is gone."""
        self._stop.set()
        os.write(self._wake, b"x")
        self._thread.join()
        self.path.unlink()
        for fd in (self._slave, self._master, self._wake, self._woken):
            os.close(fd)
        self._master = None

    def reboot(self, down_s=0.3):
        """It begins anew: its numbers, and nothing waits. What waited is lost with it; so is what it hears while it is down."""
        with self._lock:
            self.lost += [entry[4] for entry in self.waiting.values()]
            self.waiting.clear()
            self._resending, self._down = False, True
            self._out.clear()
        time.sleep(down_s)
        with self._lock:
            self.seq = 0
            self._start_s = self._now_s()
            self._decoder = hdlc.Decoder()
            self._down = False
            self._write(self._hello())
        self._kick()

    def close(self):
        if self._master is not None:
            self.unplug()

    def hears(self, frame, name, rssi_dbm=-101, snr_x4=22):
        """A frame (bytes) from the air; `name` says whose."""
        with self._lock:
            if self._down:
                self.lost.append(name)
                return
            if len(self.waiting) >= KEEPS:
                _, gone = self.waiting.popitem(last=False)
                self.lost.append(gone[4])
                self.overflow += 1
            self.seq += 1
            self.waiting[self.seq] = (frame, rssi_dbm, snr_x4, self.t_ms, name)
            if not self._resending:
                self._write(link.heard(self.seq, *self.waiting[self.seq][:4]))
        self._kick()

    def _hello(self):
        self.hellos += 1
        return link.hello("1.0", "e6614c311b7e5a21", ["bridge"], self.t_ms, self.seq, self.overflow)

    def _kick(self):
        if self._master is not None:
            with contextlib.suppress(OSError):
                os.write(self._wake, b"x")

    def _write(self, data):
        """Put a message on the line, unless the host has read nothing for too long."""
        if len(self._out) < _AHEAD:
            self._out += self._harm(data)

    def _harm(self, data):
        """What becomes of a message on a bad line."""
        rng = self._rng
        if rng.random() >= self.noise:
            return data
        self.damaged += 1
        at = rng.randrange(len(data))
        how = rng.randrange(5)
        if how == 0:
            return b""
        if how == 1:
            return data[:at]
        if how == 2:
            return data[:at] + rng.randbytes(rng.randrange(1, 300)) + data[at:]
        if how == 3:
            return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
        return b"Traceback (most recent call last):\r\n" + data[at:]

    def _serve(self, master, stop):
        while not stop.is_set():
            with self._lock:
                self._resend()
                want = [master] if self._out else []
            readable, writable, _ = select.select([master, self._woken], want, [], 1)
            if self._woken in readable:
                os.read(self._woken, 4096)
            if master in readable:
                self._read(master)
            if writable:
                with self._lock, contextlib.suppress(OSError):
                    del self._out[: os.write(master, self._out[:1000])]

    def _read(self, master):
        try:
            data = os.read(master, 4096)
        except OSError:  # nobody has the other end open
            time.sleep(0.02)
            return
        if self._rng.random() < self.noise / 4:
            data = data[self._rng.randrange(len(data)) :]
        for proto, body in self._decoder.feed(data):
            if proto == hdlc.PROTO_MESSAGE:
                self._message(link.parse(body))

    def _message(self, message):
        with self._lock:
            if self._down:
                return
            if message[0] == link.HANDLED:
                # A number never given out is the answer to another board's frames, or noise.
                for seq in [s for s in self.waiting if s <= message[1] <= self.seq]:
                    self.handled.append(self.waiting.pop(seq)[4])
            elif message[0] == link.HELLO and len(message) == 1:
                self._write(self._hello())
                self._done, self._resending = 0, True

    def _resend(self):
        """The next frames that are not handled, oldest first, as the line takes them."""
        while self._resending and len(self._out) < _AHEAD // 2:
            seq = next((seq for seq in self.waiting if seq > self._done), None)
            if seq is None:
                self._resending = False
                return
            self._done = seq
            self._write(link.heard(seq, *self.waiting[seq][:4]))
