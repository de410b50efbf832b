"""The rungs of the boot ladder: its record, and the rules by which it changes. On a board /rungs.mpy.

A rule is a function of the record `r`, a list that lies on flash as JSON, in two generations. NAME(r, ...) of this file is
ladder.NAME(...) to the application (ladder.py). A rule that returns True wants the board to start anew.
"""

import gc
import json
import sys
from binascii import crc32

# Places in the record.
SLOT = 0  # in use
TRIAL = 1  # slot on trial, "": none
RELEASE = 2  # of the trial
FLOOR = 3  # the highest release that was confirmed
OPEN = 4  # 1 while this boot counts and has sent nothing
STRIKES = 5
TRIES = 6  # strikes of the trial
ASKED = 7  # questions of the trial without an answer
SAFE = 8  # round of the safe mode, 0: none
TRYING = 9  # 1 while the end of the safe mode is tried
SUSPECT = 10  # the sensor that the strikes point at, or ""
QUARANTINE = 11  # names of sensors
PAROLE = 12  # a sensor that is out of quarantine for a trial of its own, or ""
SENSORS = 13  # names of all
GATED = 14  # 1: power is cut between wakes, so power-on is no boot that counts
CRASHES = 15  # [code, text] of what was not told yet, the oldest first
CLOSED = 16  # 1: in production, nobody comes to the REPL by Ctrl-C

MOST_STRIKES = 5  # then the next rung: a sensor into quarantine, at last the safe mode
MOST_TRIES = 3  # strikes that end a trial
MOST_ASKED = 5  # questions in a row without an answer that end a trial
LAST_ROUND = 9  # of the safe mode: a board that can do nothing else must not wear out its flash by counting
RING = 4  # crashes that are kept
DAY_H = 24
QUARANTINED = 34  # codes of firmware/wire/errors.py
IN_SAFE_MODE = 35
BITTEN = 37
EXCEPTION = 40
REVERTED = 56
POWER = 1  # causes of a reset, as firmware.ports numbers them
WATCHDOG = 3
SLEEP = 4
SOFT = 5
CTRL_C = 3


def new():
    """Return the record of a board without a past."""
    return ["a", "", 0, 0, 0, 0, 0, 0, 0, 0, "", [], "", [], 0, [], 0]


# --- the rules


def begin(r, cause, note):
    """Judge how the boot before ended, and count this one. Return (cause, wake): the true cause; is it a scheduled wake?

    cause: of the reset, as the chip has it; note: what was retained.
    """
    kind, text = note[:1], "".join([chr(byte) for byte in note[1:]])
    struck = kind in (b"C", b"X")
    if kind == b"C":
        tell(r, note[1], text[1:])
    if kind in (b"C", b"X", b"R"):
        cause = SOFT
    elif kind == b"D":
        cause = SLEEP
    elif cause == WATCHDOG:
        struck = True
        tell(r, BITTEN, text)
    wake = cause == SLEEP or (cause == POWER and bool(r[GATED]))
    if struck or (r[OPEN] and kind != b"R" and (r[TRIAL] or not wake)):
        strike(r, named(r, text))
    if r[TRIAL] or not wake:
        r[OPEN] = 0 if safe(r) else 1
    return cause, wake


def safe(r):
    """Return whether this boot is one of the safe mode: console and hello only."""
    return bool(r[SAFE] and not r[TRYING] and not r[TRIAL])


def named(r, text):
    """Return the sensor whose name begins with `text`, or ""."""
    for name in r[SENSORS]:
        if text and name[: len(text)] == text:
            return name
    return ""


def strike(r, suspect):
    """Count a boot that ended badly; where there are too many, take the next rung."""
    if r[TRIAL]:
        r[TRIES] += 1
        if r[TRIES] >= MOST_TRIES:
            revert(r)
    elif r[PAROLE]:
        confine(r, r[PAROLE])
    elif r[SAFE]:
        r[SAFE] = min(r[SAFE] + 1, LAST_ROUND)
        r[TRYING] = 0
    else:
        r[STRIKES] += 1
        r[SUSPECT] = suspect or r[SUSPECT]
        if r[STRIKES] >= MOST_STRIKES:
            left = [name for name in r[SENSORS] if name not in r[QUARANTINE]]
            if left:
                confine(r, r[SUSPECT] if r[SUSPECT] in left else left[0])
            else:
                r[SAFE] = 1
                tell(r, IN_SAFE_MODE, "%d strikes" % r[STRIKES])
            r[STRIKES] = 0
            r[SUSPECT] = ""


def confine(r, name):
    """Put a sensor into quarantine."""
    r[PAROLE] = ""
    r[QUARANTINE].append(name)
    tell(r, QUARANTINED, name)


def release(r):
    """Give the sensor that has been in quarantine longest another chance."""
    r[PAROLE] = r[QUARANTINE].pop(0)


def tell(r, code, text):
    """Keep what went wrong until it is told; the oldest gives way."""
    r[CRASHES] = r[CRASHES][1 - RING :] + [[code, text[:40]]]


def crash(r, code, text="", suspect=""):
    """What went wrong now (`code` 0: an exception): it is told after the next boot, and is a strike there."""
    tell(r, code or EXCEPTION, text)
    r[SUSPECT] = suspect or r[SUSPECT]


def sent(r):
    """A frame was sent: this boot has come to something."""
    r[OPEN] = 0


def settled(r, hours=0):
    """An hour was good, or the board is about to sleep. `hours`: since boot; each day a sensor leaves quarantine."""
    r[OPEN] = r[STRIKES] = r[SAFE] = r[TRYING] = 0
    r[SUSPECT] = r[PAROLE] = ""
    if hours and hours % DAY_H == 0 and r[QUARANTINE]:
        release(r)
        return True
    return False


def about(r, gated, sensors, lucky=False):
    """What the board is: is its power gated, names of its sensors. `lucky`: a sensor leaves quarantine (once a day)."""
    r[GATED] = 1 if gated else 0
    if r[SENSORS] != sensors:
        r[SENSORS] = sensors
        r[QUARANTINE] = [name for name in r[QUARANTINE] if name in sensors]
        r[PAROLE] = r[SUSPECT] = ""
    if lucky and r[QUARANTINE]:
        release(r)


def stage(r, slot, release):
    """Try `slot` from the next boot on, until an answer comes or the trial has failed."""
    r[TRIAL] = slot
    r[RELEASE] = release
    r[TRIES] = r[ASKED] = 0


def asked(r):
    """A frame went that asks for an answer. In a trial, the first after too many is its end."""
    if not r[TRIAL]:
        return False
    r[ASKED] += 1
    if r[ASKED] <= MOST_ASKED:
        return False
    revert(r)
    return True


def answered(r):
    """The gateway has answered: what runs is good."""
    if r[TRIAL]:
        r[SLOT] = r[TRIAL]
        r[TRIAL] = ""
        r[FLOOR] = max(r[FLOOR], r[RELEASE])
        r[STRIKES] = r[SAFE] = r[TRYING] = 0


def slots(r):
    """Return [slot, other slot] in the order in which they are to be tried: both ways round."""
    slot = r[TRIAL] or r[SLOT]
    return (slot, other(slot)), (other(slot), slot)


def revert(r):
    """End the trial: the slot before it is in force."""
    tell(r, REVERTED, "release %d" % r[RELEASE])
    r[TRIAL] = ""
    r[OPEN] = r[STRIKES] = 0


def found(r, slot):
    """`slot` was loaded; where that is not the one that was to be, it is the one from now on."""
    if r[TRIAL] and r[TRIAL] != slot:
        revert(r)
    elif not r[TRIAL] and r[SLOT] != slot:
        tell(r, REVERTED, "slot " + r[SLOT])
        r[SLOT] = slot


def flashed(r):
    """A cable has put an application into slot a: it is in force, and what the one before it did is no matter."""
    r[SLOT + 1 : FLOOR] = ["", 0]
    r[FLOOR + 1 : GATED] = new()[FLOOR + 1 : GATED]
    r[SLOT] = "a"


def told(r):
    """What went wrong was told."""
    r[CRASHES] = []


def crashes(r):
    """Return what went wrong and was not told: [code, text] each, the oldest first."""
    return r[CRASHES]


def retry(r):
    """The safe mode has lasted long enough: try the application."""
    r[TRYING] = 1
    return True


def reboot(r):
    """Start anew, on purpose."""
    return True


def stop(r):
    """Somebody has stopped the board: what it had sent until then says nothing about it."""
    r[OPEN] = 0


def close(r, on):
    """Close the REPL from the next boot on, or open it again; what Ctrl-C does until then the caller decides."""
    r[CLOSED] = 1 if on else 0


def other(slot):
    """Return the slot that is not `slot`."""
    return "b" if slot == "a" else "a"


# --- flash


def load(root):
    """Return (record, file to write next, generation). Where both generations are damaged the board has no past."""
    r, at, generation = new(), 0, 0
    for i in range(2):
        try:
            with open(root + "ladder-%d" % i, "rb") as file:
                data = file.read()
            if crc32(data[:-4]).to_bytes(4, "little") == data[-4:] and int.from_bytes(data[:4], "big") > generation:
                found = json.loads(data[4:-4])
                r = found + new()[len(found) :]  # an older ladder's record is shorter
                at, generation = 1 - i, int.from_bytes(data[:4], "big")
        except (OSError, ValueError):
            pass
    return r, at, generation


def save(root, r):
    """Write the record where it differs from what is in force; return whether it is on flash now."""
    old, at, generation = load(root)
    if r == old:
        return True
    data = (generation + 1).to_bytes(4, "big") + json.dumps(r).encode()
    try:
        with open(root + "ladder-%d" % at, "wb") as file:
            file.write(data + crc32(data).to_bytes(4, "little"))
    except OSError as error:
        sys.print_exception(error)
    return load(root)[0] == r


# --- what a Ladder sees of it


def show(ladder, r):
    """Let the Ladder show what the record says."""
    ladder.trial = bool(r[TRIAL])
    ladder.strikes = r[STRIKES]
    ladder.quarantine = r[QUARANTINE]
    ladder.safe = r[SAFE] if safe(r) else 0
    ladder.floor = r[FLOOR]
    ladder.untold = len(r[CRASHES])
    ladder.open = r[OPEN]
    ladder.closed = bool(r[CLOSED])


def start(ladder, cause, note):
    """Judge the boot before and count this one, for a new Ladder."""
    r = load(ladder.root)[0]
    if not r[CLOSED]:
        __import__("micropython").kbd_intr(CTRL_C)  # the launcher let nobody in
    ladder.cause, ladder.wake = begin(r, cause, note)
    save(ladder.root, r)
    show(ladder, r)


def apply(ladder, name, args):
    """Do what ladder.NAME(*args) means, and free this module."""
    try:
        r = load(ladder.root)[0]
        if name == "crash":
            args = (args + ("",))[:2] + (ladder.sensor,)
        found = globals()[name](r, *args)
        whole = save(ladder.root, r)
        show(ladder, r)
    finally:
        sys.modules.pop("rungs", None)
        gc.collect()
    if name == "crash":
        ladder.dead = True
        ladder.retain(b"X" if whole else b"C" + bytes(args[:1]) + args[1].encode()[:9])
    elif name == "stop" or found is True:
        ladder.retain(b"R")
    if found is True:
        __import__("machine").reset()
    return found
