"""The boot ladder for the desk: `Desk.ladder = climb`. MicroPython only; `record()` reads what it keeps."""

import sys

import firmware

sys.path.append(firmware.__path__ if isinstance(firmware.__path__, str) else firmware.__path__[0])
import ladder as module
import machine


def climb(cause=1):
    """The Ladder of a boot that begins now, of what is on /f and was retained."""
    made = module.Ladder()
    made.root, made.feed, made.retain = "/f/", _nothing, module.retain
    made.slot, made.other = "a", "b"
    rungs().start(made, machine.state["cause"], module.retained())
    made.suspect()
    return made


def rungs():
    """The module of the rules, loaded anew."""
    return __import__("rungs")


def record():
    """The record (list) as it is on flash."""
    return rungs().load("/f/")[0]


def put(**changes):
    """Change the record on flash: `put(CRASHES=[[37, "x"]])`."""
    found = record()
    for name, value in changes.items():
        found[getattr(rungs(), name)] = value
    assert rungs().save("/f/", found)


def _nothing():
    pass
