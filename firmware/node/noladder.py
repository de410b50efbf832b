"""Stands in for the boot ladder (firmware/ladder.py) where an application was started without one: by a test, by hand."""


def _nothing(*args):
    return ()


class NoLadder:
    """What a Ladder says on a board that has no past, and nothing for all that a Ladder does."""

    slot = "a"
    other = "b"
    trial = safe = wake = closed = False
    strikes = floor = open = untold = 0
    quarantine = ()
    cause = 1

    def __getattr__(self, name):
        return _nothing
