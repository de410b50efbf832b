"""Time on a simulated board, and its line to the twin.

Everything that takes time on a board asks `port`, which is one of two clocks:

* `Local`: no twin; sleeping jumps straight to the next thing that is due. Tests of the firmware use it in-process
  (`import virtual`), with `port.at(us, fn)` to let something happen later.
* `Remote`: a twin at the other end of a socket. The reply to each request carries the town's time and a *horizon*: until
  then nothing in the town can happen to this board, so reading ticks and short sleeps need no request at all.

Times are whole microseconds since the board was switched on (`Local`) or since the town began (`Remote`).
"""

import struct
import sys

READ_US = 10  # what a look at the ticks or at a pin costs, so that a busy loop gets somewhere
FOREVER = 1 << 60

# Requests: op, dev, length of the payload, time; then the payload. Replies: HEAD, then what the op says.
REQUEST = "<BBHq"
REQUEST_SIZE = 12
HEAD = "<qqQiBB"  # town time, horizon, pins with an interrupt pending, value, flags, error
HEAD_SIZE = 30
MAX_BYTES = 1024

READY = 1
WAIT = 2
SYNC = 3
PIN_GET = 4
PIN_SET = 5
PIN_IRQ = 6
SPI = 7
I2C = 8
UART_ANY = 9
UART_READ = 10
UART_WRITE = 11
WIRE_RESET = 12
WIRE_WRITE = 13
WIRE_READ = 14
WIRE_BIT = 15
ADC = 16
RESET = 17
SLEEP = 18
WATCHDOG = 19
ENDED = 20
UART_SET = 21
PIN_MODE = 22
RETAIN = 23

INTERRUPTED = 1  # flag: Ctrl-C came in on the serial line


class Clock:
    """What both clocks share: alarms (timers of this board) and interrupt handlers."""

    def __init__(self):
        self.now = 0
        self.horizon = FOREVER  # nothing outside this board happens before
        self.limit = FOREVER  # the nearer of the horizon and the first alarm
        self.start = 0  # when this board was switched on
        self.handlers = {}  # pin -> fn()
        self.alarms = []  # [due, order, fn], sorted
        self.held = 0  # depth of disable_irq
        self.order = 0
        self.busy = False

    def alarm(self, due, fn):
        """Call fn() at `due`; returns a token for `disarm`."""
        self.order += 1
        token = [due, self.order, fn]
        self.alarms.append(token)
        self.alarms.sort(key=lambda a: (a[0], a[1]))
        self._bound()
        return token

    def disarm(self, token):
        self.alarms = [a for a in self.alarms if a is not token]
        self._bound()

    def _bound(self):
        self.limit = self.alarms[0][0] if self.alarms and self.alarms[0][0] < self.horizon else self.horizon

    def _ring(self):
        while self.alarms and self.alarms[0][0] <= self.now and not self.held:
            fn = self.alarms.pop(0)[2]
            self._bound()
            fn()

    def spend(self, us):
        """The board is busy for `us`."""
        self.now += us
        if self.now >= self.limit:
            self.settle()

    def settle(self):
        """Let everything that was due until now happen."""
        self._ring()
        self._bound()

    def sleep(self, us):
        """Blocking sleep; interrupts and alarms are served meanwhile, as on a board."""
        until = self.now + us
        while self.now < until:
            self.wait(until)


class Local(Clock):
    """A clock of its own: waiting costs nothing. `at` takes the place of the twin."""

    def at(self, us, fn):
        """Let fn() happen at `us`, like a chip or a person outside would."""
        return self.alarm(us, fn)

    def wait(self, until, uarts=0):
        """Wait until `until` (None: for ever), or shorter when something happens."""
        if until is None and not self.alarms:
            raise RuntimeError("deadlock: the board waits for ever and nothing will happen")
        if self.alarms and (until is None or self.alarms[0][0] < until):
            self.now = max(self.now, self.alarms[0][0])
        else:
            self.now = max(self.now, until)
        self._ring()


class Remote(Clock):
    """The twin's end of the line: one request, one reply, never two under way."""

    def __init__(self, fd):
        super().__init__()
        self.line = open(fd, "r+b")
        self.out = bytearray(REQUEST_SIZE + MAX_BYTES)
        self.into = bytearray(HEAD_SIZE + MAX_BYTES)

    def call(self, op, dev=0, n=0, reply=0):
        """Send `out` with n bytes of payload; the reply's bytes are then in `into` from HEAD_SIZE. Returns its value.

        Raises OSError with the number the twin gives, KeyboardInterrupt after Ctrl-C.
        """
        struct.pack_into(REQUEST, self.out, 0, op, dev, n, self.now)
        self.line.write(self.out, REQUEST_SIZE + n)
        if self.line.readinto(self.into, HEAD_SIZE + reply) != HEAD_SIZE + reply:
            sys.exit(0)  # the twin has gone
        now, self.horizon, pins, value, flags, error = struct.unpack_from(HEAD, self.into, 0)
        self.now = max(self.now, now)
        self._bound()
        if pins or self.limit <= self.now or flags:
            self._happen(pins, flags, reply)
        if error:
            raise OSError(error)
        return value

    def _happen(self, pins, flags, reply):
        # A handler may talk to the twin itself: the bytes of this reply must survive that.
        kept = bytes(memoryview(self.into)[HEAD_SIZE : HEAD_SIZE + reply]) if reply else None
        self._ring()
        pin = 0
        while pins:
            if pins & 1 and pin in self.handlers:
                if self.held:
                    self.alarm(self.now, self.handlers[pin])
                else:
                    self.handlers[pin]()
            pins >>= 1
            pin += 1
        if kept:
            self.into[HEAD_SIZE : HEAD_SIZE + reply] = kept
        if flags & INTERRUPTED:
            raise KeyboardInterrupt

    def send(self, op, dev, data, reply=0):
        """`call` with `data` as payload."""
        n = len(data)
        if n > MAX_BYTES:
            raise ValueError("at most %d bytes in one transfer" % MAX_BYTES)
        self.out[REQUEST_SIZE : REQUEST_SIZE + n] = data
        return self.call(op, dev, n, reply)

    def reply(self, n):
        """The n bytes that came with the last reply."""
        return memoryview(self.into)[HEAD_SIZE : HEAD_SIZE + n]

    def settle(self):
        super().settle()
        if self.now >= self.horizon:
            self.call(SYNC)

    def wait(self, until, uarts=0):
        self._ring()
        first = self.alarms[0][0] if self.alarms else FOREVER
        target = first if until is None or first < until else until
        if target < self.horizon:
            self.now = max(self.now, target)
            self._ring()
            return
        struct.pack_into("<qI", self.out, REQUEST_SIZE, target, uarts)
        self.call(WAIT, 0, 12)


port = Local()


def connect(fd):
    """Make the twin at socket `fd` the clock of this board."""
    global port
    port = Remote(fd)
    return port
