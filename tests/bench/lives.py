"""One gateway after another lives through everything that can happen, twenty rounds each, judged from outside.

    python -P tests/bench/lives.py --rounds 1000 --seed 1 --only kill power

Prints a table, the seed and the story of each life in which something was violated. Exit status 1 when there was one.
"""

import argparse
import collections
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
from lifefaults import FAULTS
from lives import Life

ROUNDS_A_LIFE = 20


class Sum:
    """What all the lives together came to."""

    def __init__(self):
        self.kinds = collections.Counter()
        self.heard = self.overflow = self.lost = self.again = 0
        self.bad = []

    def add(self, life):
        self.kinds += collections.Counter({kind: n for kind, n in life.counts.items() if kind in FAULTS})
        self.heard += life.boards.heard
        self.overflow += life.bridge.overflow
        self.lost += len(life.bridge.lost) - life.bridge.overflow
        self.again += life.checker.repeated
        if life.checker.violations:
            self.bad.append(life.seed)

    def table(self, minutes):
        """As Markdown."""
        row = {
            "rounds": sum(self.kinds.values()),
            "frames heard": self.heard,
            "the bridge's own overflow": self.overflow,
            "lost with its reboots": self.lost,
            "readings sent again after a cut": self.again,
            "lives with a violation": len(self.bad),
            "minutes": f"{minutes:.1f}",
        }
        faults = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        lines = (" | ".join(map(str, cells)) for cells in (row, ["---"] * len(row), row.values()))
        return "\n".join(f"| {line} |" for line in lines) + f"\n\nFaults: {faults}."


def live(folder, seed, rounds, kinds):
    """A life of so many rounds, or until something is violated -> Life, closed."""
    life = Life(folder, seed, kinds=kinds)
    try:
        for _ in range(rounds):
            if not life.round():
                break
    finally:
        life.close()
    return life


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=FAULTS)
    options = parser.parse_args()
    begun_s, total, seed = time.monotonic(), Sum(), options.seed
    while (done := sum(total.kinds.values())) < options.rounds:
        folder = Path(tempfile.mkdtemp(prefix="lives-"))
        life = live(folder, seed, min(ROUNDS_A_LIFE, options.rounds - done), options.only)
        total.add(life)
        if life.checker.violations:
            print(f"seed {seed}:", *life.checker.violations[:10], "the story:", *life.story[-12:], sep="\n  ")
            print(life.daemon.stderr[-2000:], flush=True)
        print(f"{done} of {options.rounds} rounds, {len(total.bad)} violated", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        seed += 1
    print(total.table((time.monotonic() - begun_s) / 60))
    return 1 if total.bad else 0


if __name__ == "__main__":
    sys.exit(main())
