"""The order of the lanes in a channel: each wire has a lane of its own, and the order with the fewest crossings wins."""

from typing import NamedTuple

LEFT, RIGHT = -1, 1


class Run(NamedTuple):
    """A wire in a channel: the rows at which it leaves to the left and to the right, and the rows that its lane spans."""

    wire: int
    left: tuple[float, ...]
    right: tuple[float, ...]
    low: float
    high: float


def run(wire: int, ports: list[tuple[int, float]]) -> Run:
    """A wire with its ports: (LEFT, RIGHT or 0 for up and down out of the channel, row)."""
    rows = [row for _side, row in ports]
    left, right = (tuple(row for side, row in ports if side == which) for which in (LEFT, RIGHT))
    return Run(wire, left, right, min(rows), max(rows))


def crossings(first: Run, second: Run) -> int:
    """How often they cross if the first one's lane is left of the second one's."""
    over = sum(second.low < row < second.high for row in first.right)
    return over + sum(first.low < row < first.high for row in second.left)


def order(runs: list[Run]) -> list[int]:
    """The wires from the leftmost lane on: neighbours change places as long as that saves a crossing."""
    found = sorted(runs, key=lambda each: (each.low + each.high, each.wire))
    for _pass in range(len(found)):
        moved = False
        for at, each in enumerate(found):
            best, cost, saved = at, 0, 0
            for to in range(at - 1, -1, -1):
                cost += crossings(each, found[to]) - crossings(found[to], each)
                if cost < saved:
                    best, saved = to, cost
            if best != at:
                found.insert(best, found.pop(at))
                moved = True
        if not moved:
            break
    return [each.wire for each in found]
