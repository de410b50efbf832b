"""A board that sleeps: each of its lives is a new application with empty RAM on the same flash. MicroPython only."""

from desk import *  # noqa: F403, I001
from desk import Desk, asyncio, mount, now_ms, port, sys
import machine

from firmware.node.noladder import NoLadder


class Past(NoLadder):
    """What the ladder says of a start: its `cause`, and whether it was planned. Its watchdog bites after 8 s (`Restart`)."""

    fed = 0
    settled_n = 0

    def __init__(self, cause, wake):
        self.cause = cause
        self.wake = wake
        self.dog = machine.WDT(8000)

    def feed(self):
        self.fed += 1
        self.dog.feed()

    def settled(self, hours=0):
        self.settled_n += 1


class Sleeper(Desk):
    """A Desk with `profile`. Of all its lives: `air`, (ms, frame, settings) each; `slept` and `awake`, ms; `writes` to flash."""

    def __init__(self, settings, profile, done=None):
        settings["power"] = {"profile": profile, "done": done}
        self.gated = profile == "gated"
        self.air, self.slept, self.awake, self.lines, self.writes = [], [], [], [], []
        machine.state["memory"] = b""
        self.cause(1)
        super().__init__(settings)

    def cause(self, cause, wake=None):
        """Say why the next start is."""
        machine.state["cause"] = cause
        self.ladder = Past(cause, (self.gated and cause == 1) or cause == 4 if wake is None else wake)

    def live(self, seconds=86400):
        """Run until the board sleeps or restarts; return (cause, ms of sleep), or None after so many seconds without."""
        begun, operations = now_ms(), self.disk.operations
        found = None

        async def main():
            task = asyncio.create_task(self.app.run())
            await asyncio.sleep(seconds)
            task.cancel()

        try:
            asyncio.run(main())
        except machine.Restart as restart:
            found = restart.args
        finally:
            asyncio.new_event_loop()
        self.air += self.radio.sent
        self.lines += self.host.lines
        self.awake.append(now_ms() - begun)
        self.writes.append(self.disk.operations - operations)
        return found

    def next(self, cause=4, ms=0):
        """The next start, `ms` later: RAM is lost, and the ticks begin anew."""
        port.now += ms * 1000
        port.start = port.now
        if cause == 1:
            machine.state["memory"] = b""
        self.cause(cause)
        mount(self.disk)
        self.on()

    def wakes(self, n):
        """Live `n` scheduled wakes: what the timer or the gate does."""
        for _ in range(n):
            _cause, *ms = self.live()
            self.slept.append(ms[0] if ms else 0)
            self.next(1 if self.gated else 4, self.slept[-1])


class Climber(Sleeper):
    """The same with the real ladder, which keeps its record on the board's flash."""

    def on(self):
        import firmware

        if firmware.__path__ not in sys.path:
            sys.path.append(firmware.__path__)
        import ladder
        import rungs

        made = ladder.Ladder()
        made.root, made.retain, made.feed = "/f/", ladder.retain, lambda: None
        made.slot, made.other = "a", "b"
        rungs.start(made, machine.reset_cause(), ladder.retained())
        made.suspect()
        self.ladder = made
        super().on()

    def record(self):
        """The record, and the generation of it."""
        import rungs

        return rungs.load("/f/")[0], rungs.load("/f/")[2]
