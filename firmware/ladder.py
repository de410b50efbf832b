"""The boot ladder: what a board makes of how it ended the last time.

On a board this is /ladder.mpy, with its rules in /rungs.mpy. Both need nothing of the two slots between which they choose,
and a cable alone changes them. `climb` judges the past, counts the boot, loads a slot and runs its application, which gets a
Ladder to talk to. Between two boots a note of at most 11 bytes is retained, which tells what flash cannot:

    S name    the board was busy with that sensor     R             it was restarted, or stopped, on purpose
    X         it crashed, and the record says how     C code text   it crashed, and flash did not take the record
    D         it went to sleep (RP2, whose deep sleep ends like the watchdog's bite)
"""

import gc
import machine
import os
import sys
from binascii import crc32


def clock_memory(data=None):
    """Return the 16 bytes in which the note lies, or write them: the head of the RTC's memory. As firmware.ports has it."""
    memory = machine.RTC().memory
    return memory()[:16] if data is None else memory(data + memory()[16:])


def scratch(data=None):
    """The same on an RP2, whose watchdog keeps four words."""
    at = 0x400D800C if "RP2350" in sys.implementation._machine else 0x4005800C
    if data is None:
        return b"".join([(machine.mem32[at + i] & 0xFFFFFFFF).to_bytes(4, "little") for i in (0, 4, 8, 12)])
    for i in (0, 4, 8, 12):
        machine.mem32[at + i] = int.from_bytes(data[i : i + 4], "little")


raw = scratch if sys.platform == "rp2" else clock_memory


def retained():
    """Return the note, b"" where there is none."""
    data = raw()
    if len(data) < 16 or data[0] > 11 or crc32(data[:12]).to_bytes(4, "little") != data[12:]:
        return b""
    return data[1 : data[0] + 1]


def retain(note):
    """Keep a note over the reset."""
    data = bytes((len(note),)) + note + bytes(11 - len(note))
    raw(data + crc32(data).to_bytes(4, "little"))


class Ladder:
    """What an application knows of the ladder. Every rule of rungs.py is a method of it.

    slot, other: "a" and "b", or the other way round; trial: bool; safe: round of the safe mode, 0: none; strikes;
    quarantine: names of sensors; floor: lowest release that may be installed; untold: crashes that wait to be told; open:
    this boot counts, and nothing was sent; closed: no Ctrl-C stops this board; cause: of the reset, a number of firmware.ports;
    wake: this is a scheduled wake; feed(): feeds the watchdog; retain(note).

    Rules come from flash each time: ask `open` before sent(), `trial` before asked() and answered().
    """

    root: str
    slot: str
    other: str
    feed: object
    retain: object

    def __getattr__(self, name):
        return lambda *args: __import__("rungs").apply(self, name, args)

    def suspect(self, name=""):
        """The board is busy with the sensor `name`, or ("") no longer."""
        self.sensor = name
        retain(b"S" + name.encode()[:10] if name else b"")


def leave(path):
    """Forget all that came of a slot that cannot be loaded."""
    sys.path.remove(path)
    for name in list(sys.modules):
        if name.split(".")[0] == "firmware":
            del sys.modules[name]
    gc.collect()


def finish(dog, root):
    """Put the rest of what a cable has brought in its place, where power went in the midst of that: /swap names all of it."""
    try:
        with open(root + "swap") as names:
            for name in names:
                dog.feed()
                path = root + name.strip()
                try:
                    os.rename(path + ".new", path)
                except OSError:
                    pass  # it is in its place
        os.remove(root + "swap")
    except OSError:
        pass


def up(dog, root):
    """Judge, count, and load a slot. Return (Ladder, its application's run). ImportError when no slot can be loaded."""
    finish(dog, root)
    try:
        import rungs
    except Exception:
        __import__("micropython").kbd_intr(3)  # who may stop this board cannot be read any more
        raise
    ladder = Ladder()
    ladder.root, ladder.feed, ladder.retain = root, dog.feed, retain
    rungs.start(ladder, machine.reset_cause(), retained())
    ladder.suspect()
    for slot, other in ladder.slots():
        ladder.slot, ladder.other = slot, other
        try:
            # Here, not in a function of its own: an import inside an import inside this is as deep as a board ever gets.
            sys.path.insert(0, root + slot)
            with open(sys.path[0] + "/modules") as names:
                for line in names:
                    dog.feed()
                    module = __import__(line.strip("> \n"), None, None, ("run",))
            run = module.run
        except Exception as error:
            sys.print_exception(error)
            leave(root + slot)
            continue
        ladder.found(slot)
        return ladder, run
    ladder.crash(0, "no slot can be loaded")
    raise ImportError("%sa, %sb" % (root, root))


def lighten():
    """Free all that a running board does not need of the ladder."""
    names = globals()
    for name in ("scratch", "clock_memory", "retained", "finish", "up", "leave", "climb", "lighten"):
        del names[name]
    for name in ("rungs", "ladder"):
        sys.modules.pop(name, None)
    gc.collect()


def climb(dog, root="/"):
    """Run the application, for ever. KeyboardInterrupt: a person wants the REPL; Exception: the board must start anew."""
    try:
        ladder, run = up(dog, root)
    except KeyboardInterrupt:
        retain(b"R")
        raise
    lighten()
    try:
        run(root, ladder)
        raise RuntimeError("the application has ended")
    except KeyboardInterrupt:
        ladder.stop()
        raise
    except Exception as error:
        if ladder.dead is not True:
            ladder.crash(getattr(error, "code", 0), getattr(error, "detail", "") or repr(error))
        raise
