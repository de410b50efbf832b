"""`jourdain flash` killed with SIGKILL at random bytes, onto empty boards and onto boards in service, with power cuts besides.

    python -P tests/bench/flashkill.py --rounds 100 --seed 1

A round: the command is killed; its files must be the whole of an application (or none, on a board that had none), and that must
say hello; then the same command must bring the board into service. In four of ten rounds the board's power is cut in the same
moment, and it begins by itself: where that hits the renaming of an empty board's files before there is a ladder to finish it, the
same command does. Prints a table, and what was wrong. Exit status 1 when something was.
"""

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from flashkill import Bench


class Sum:
    """What the rounds came to."""

    def __init__(self):
        self.counts = collections.Counter()
        self.bad = []

    def table(self, minutes):
        """As Markdown."""
        row = {**self.counts, "rounds in which something was wrong": len(self.bad), "minutes": f"{minutes:.1f}"}
        lines = (" | ".join(map(str, cells)) for cells in (row, ["---"] * len(row), row.values()))
        return "\n".join([*(f"| {line} |" for line in lines), *(f"\nwrong: {story}" for story in self.bad)])


def round_of(bench, chance, bytes_of, counts):
    """One round -> "" or what was wrong, with where it was killed."""
    fresh, power, late = chance.random() < 0.3, chance.random() < 0.4, chance.random() < 0.2
    at = bytes_of[fresh] if late else chance.randrange(bytes_of[fresh])
    after_s = chance.random() if late else 0.0
    story = f"{'empty board' if fresh else 'board in service'}, byte {at}, {after_s:.2f} s later{', power cut' * power}: "
    bench.begin(fresh)
    with bench.board() as board:
        killed = bench.kill_at(board, at, after_s)
        counts["killed" if killed else "over before"] += 1
        if not power:
            state = bench.state(board)
            said = state == "empty" or bench.says_hello(board)
    if power:
        counts["power cut as well"] += 1
        with bench.board() as board:
            said = bench.says_hello(board)  # by itself, as it was switched on
            state = bench.state(board)
            said = said or state == "empty"
    mixed = state.startswith("mixed")
    counts[f"left {'mixed' if mixed else state}{' by a power cut' * power}"] += 1
    if (mixed and not (power and fresh)) or (state == "empty" and not fresh) or not (said or mixed):
        return f"{story}{state}, hello: {said}"
    with bench.board() as board:
        try:
            bench.finish(board)
        except AssertionError as error:
            return f"{story}the second command failed: {error}"
        state = bench.state(board)
    return "" if state == "new" else f"{story}after the second command {state}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun, found, bytes_of = time.monotonic(), Sum(), {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for fresh in (True, False):
            bench.begin(fresh)
            with bench.board() as board:
                bytes_of[fresh] = bench.finish(board)[1]
        for number in range(options.rounds):
            chance = random.Random(f"{options.seed}/{number}")
            found.counts["rounds"] += 1
            wrong = round_of(bench, chance, bytes_of, found.counts)
            if wrong:
                found.bad.append(f"round {number}: {wrong}")
                print(found.bad[-1], file=sys.stderr, flush=True)
    print(found.table((time.monotonic() - begun) / 60))
    print(f"\nSeed {options.seed}; bytes to an empty board {bytes_of[True]}, to one in service {bytes_of[False]}.")
    return 1 if found.bad else 0


if __name__ == "__main__":
    sys.exit(main())
