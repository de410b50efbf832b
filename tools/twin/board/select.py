"""`select.poll` in the town's time: streams of the machine (stdin), Python streams with `ioctl`, UARTs of the twin."""

import uselect
import _town

POLLIN = uselect.POLLIN
POLLOUT = uselect.POLLOUT
POLLERR = uselect.POLLERR
POLLHUP = uselect.POLLHUP
_IOCTL_POLL = 3


class poll:
    def __init__(self):
        self._streams = {}  # id -> (stream, mask), those with an `ioctl` in Python
        self._real = uselect.poll()
        self._reals = 0
        self._uarts = 0

    def register(self, stream, mask=POLLIN | POLLOUT):
        if hasattr(stream, "ioctl"):
            self._streams[id(stream)] = (stream, mask)
            self._uarts |= getattr(stream, "wakes", 0)
        else:
            self._real.register(stream, mask)
            self._reals += 1

    def unregister(self, stream):
        if self._streams.pop(id(stream), None) is None:
            self._real.unregister(stream)
            self._reals -= 1
        elif self._uarts:
            self._uarts = 0
            for other, _ in self._streams.values():
                self._uarts |= getattr(other, "wakes", 0)

    def modify(self, stream, mask):
        if id(stream) in self._streams:
            self._streams[id(stream)] = (stream, mask)
        else:
            self._real.modify(stream, mask)

    def _ready(self):
        ready = []
        for stream, mask in self._streams.values():
            events = stream.ioctl(_IOCTL_POLL, mask)
            if events:
                ready.append((stream, events))
        if self._reals:
            ready.extend([(item[0], item[1]) for item in self._real.poll(0)])
        return ready

    def poll(self, timeout=-1, flags=0):
        port = _town.port
        until = None if timeout is None or timeout < 0 else port.now + timeout * 1000
        while True:
            ready = self._ready()
            if ready or (until is not None and port.now >= until):
                return ready
            port.wait(until, self._uarts)

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout, flags))
