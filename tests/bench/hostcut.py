"""Power cuts of the gateway's host: a real daemon on what is left of its disk, and thousands of disks of one long record.

What is on disk after a cut: everything that was synced, and of what was not, any sectors of 512 bytes.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
from hostrun import cuts, handled, record
from lives import Life

from tools.twin.broker import Embedded

ROUNDS_A_LIFE = 20


def lives(rounds, seed=1):
    """Rounds of a real daemon whose host loses its power, judged by bridge and reader -> (cuts, frames heard, violations)."""
    done = heard = 0
    bad = []
    while done < rounds:
        with tempfile.TemporaryDirectory(prefix="hostcut-", ignore_cleanup_errors=True) as folder:
            life = Life(Path(folder), seed, kinds=["power"])
            try:
                for _ in range(min(ROUNDS_A_LIFE, rounds - done)):
                    done += 1
                    if not life.round():
                        bad += [f"seed {seed}: {text}" for text in life.checker.violations]
                        break
            finally:
                life.close()
            heard += life.boards.heard
        seed += 1
        print(f"{done} of {rounds} rounds", file=sys.stderr, flush=True)
    return done, heard, bad


def disks(n, frames):
    """n disks of one record of so many frames -> (operations, of them syncs, [7]s, violations)."""
    with tempfile.TemporaryDirectory(prefix="hostcut-") as name:
        folder = Path(name)
        broker = Embedded(folder)
        recorded = record(folder, broker.url, frames)
        broker.close()
        _, operations, _ = recorded
        bad = cuts(recorded, folder / "disk", n, random.Random(7))
    return len(operations), sum(op.call == "sync" for op in operations), sum(bool(handled(op)) for op in operations), bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="of a real daemon (default 300)")
    parser.add_argument("--disks", type=int, default=5000, help="that the record may leave (default 5000)")
    parser.add_argument("--frames", type=int, default=1000, help="of the record (default 1000)")
    options = parser.parse_args()
    rounds, heard, bad = lives(options.rounds)
    operations, syncs, sevens, wrong = disks(options.disks, options.frames)
    print("| cuts of a real daemon | frames heard | violations | disks of one record | operations | syncs | [7] | violations |")
    print(f"|{'---|' * 8}")
    print(f"| {rounds} | {heard} | {len(bad)} | {options.disks} | {operations} | {syncs} | {sevens} | {len(wrong)} |")
    print(*(f"\n{text}" for text in (bad + wrong)[:20]), sep="")
    return 1 if bad or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
