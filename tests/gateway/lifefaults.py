"""What can happen to a gateway while frames come in. Each fault is a function of a Life and a random source; when it returns, a
daemon runs (or starts) and everything that was broken is whole again, but for what the daemon itself has to mend.
"""

import math
import shutil
import signal
import time
from pathlib import Path

import hostcut

from tools.twin.killer import POINTS

YEAR_S = 365.25 * 86_400


def nothing(life, rng):
    """A round without a fault."""


def kill(life, rng):
    """SIGKILL at any instant."""
    time.sleep(rng.uniform(0, 0.4))
    life.end()
    time.sleep(rng.choice((0, 0, 0.3)))
    life.start()


def killer(life, rng):
    """SIGKILL at a moment of the store, of the daemon's own doing."""
    life.end()
    where = f"{rng.choice(list(POINTS))}:{rng.randint(1, 4)}"
    life.tell(where)
    life.start(die_at=where)
    end_s = time.monotonic() + 1.2
    while life.daemon.alive and time.monotonic() < end_s:
        time.sleep(0.01)
    if life.daemon.alive:
        life.tell("it did not come to that")
    life.end()
    life.start()


def stopped(pid):
    """Does every thread of the process stand still?"""
    states = [task.read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) <= set("TZ")


def copy(life, rng):
    """The folder as it was at an instant, put into another machine."""
    time.sleep(rng.uniform(0, 0.4))
    life.daemon.signal(signal.SIGSTOP)
    while not stopped(life.daemon.pid):
        time.sleep(0.001)
    files = {file: file.read_bytes() for file in life.gate.rglob("*") if file.is_file()}
    life.end()
    hostcut.put(life.gate, files)
    life.start()


def power(life, rng):
    """The power is cut: of what was written and not synced, any part is on disk."""
    life.end()
    trace = hostcut.Trace(life.gate, life.folder / "trace")
    life.start(prefix=trace.prefix)
    time.sleep(rng.uniform(0.5, 1.0))
    trace.kill(life.daemon)
    life.end()
    life.cuts = math.inf  # marks are not synced: whatever was sent since they last moved into the tables may come again
    operations = trace.operations()
    life.tell(f"cut after {len(operations)} operations")
    hostcut.put(life.gate, hostcut.disk(trace.before, operations, rng))
    life.start()


def stop(life, rng):
    """Stopped and started as an operator does."""
    time.sleep(rng.uniform(0, 0.4))
    life.ready()
    life.cuts += 1  # what a stop does not wait for is sent again
    if code := life.daemon.stop():
        life.checker.violations.append(f"the daemon stopped with {code}: {life.daemon.stderr[-2000:]}")
    life.daemon.close()
    life.start()


def cut(life, rng):
    """The network is cut, now and then several times."""
    for _ in range(rng.choice((1, 1, 3))):
        time.sleep(rng.uniform(0, 0.2))
        life.proxy.dead = rng.random() < 0.5
        time.sleep(rng.uniform(0, 0.1))
        life.proxy.cut()
        life.cuts += 1
        time.sleep(rng.uniform(0, 0.3))
        life.proxy.mend()


def _broker_ends(life, end):
    life.cuts += 1
    end()
    life.proxy.cut()  # the reader is back before the daemon: what the broker takes has somebody to go to
    life.broker.start()
    life.reader_back()
    life.proxy.mend()


def broker_stop(life, rng):
    """The broker is restarted."""
    time.sleep(rng.uniform(0, 0.4))
    _broker_ends(life, life.broker.stop)


def broker_kill(life, rng):
    """The broker is killed with SIGKILL."""
    time.sleep(rng.uniform(0, 0.4))
    _broker_ends(life, life.broker.kill)


def broker_pause(life, rng):
    """The broker hangs for a while."""
    time.sleep(rng.uniform(0, 0.3))
    life.broker.pause()
    time.sleep(rng.uniform(0.1, 0.6))
    life.broker.resume()


def jump(life, rng):
    """The clock jumps, forth and back, and is right at last; sometimes the daemon is killed while it is wrong."""
    for _ in range(rng.randint(1, 3)):
        offset_s = rng.choice((-60 * YEAR_S, -time.time(), -2 * YEAR_S, -3600, -5, 5, 3600, 3 * YEAR_S, 50 * YEAR_S))
        life.tell(f"the clock is off by {offset_s:.0f} s")
        life.time.jump(offset_s)
        time.sleep(rng.uniform(0, 0.3))
        if rng.random() < 0.3:
            life.end()
            life.start()
            time.sleep(0.5)
    life.time.jump(0.0)


def full(life, rng):
    """The disk is full for a while; sometimes the daemon is killed meanwhile."""
    time.sleep(rng.uniform(0, 0.2))
    ballast = life.gate / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            pass
    time.sleep(rng.uniform(0.1, 0.5))
    if rng.random() < 0.3:
        life.end()
        life.start()
        time.sleep(0.7)
    ballast.unlink()


def replug(life, rng):
    """The radio bridge is pulled out and put back."""
    for _ in range(rng.randint(1, 2)):
        time.sleep(rng.uniform(0, 0.3))
        life.bridge.unplug()
        time.sleep(rng.uniform(0, 0.3))
        life.bridge.plug()


def noise(life, rng):
    """The line damages what it carries."""
    life.bridge.noise = rng.choice((0.02, 0.1, 0.2))
    time.sleep(0.3)
    if rng.random() < 0.3:
        life.end()
        life.start()
        time.sleep(0.6)
    life.bridge.noise = 0.0


def reboot(life, rng):
    """The radio bridge starts anew; what it held is lost with it, which it names."""
    time.sleep(rng.uniform(0, 0.4))
    life.bridge.reboot()


FAULTS = {
    f.__name__: f
    for f in (
        nothing, kill, killer, copy, power, stop, cut, broker_stop, broker_kill, broker_pause, jump, full, replug, noise, reboot
    )
}  # fmt: skip


def possible(life):
    """Names of the faults that can be made here."""
    found = set(FAULTS)
    if not life.small:
        found -= {"full"}
    if not life.real:
        found -= {"broker_stop", "broker_kill", "broker_pause"}
    if not shutil.which("strace"):
        found -= {"power"}
    return found
