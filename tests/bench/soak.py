"""`make soak`: the long runs, with the report of the latest one kept beside this file.

Each round is a town of its own seed whose daemon is killed with SIGKILL and whose broker is cut off; then a day without
faults, and property tests with many more examples. Exit status 1 when a round's books do not balance.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp
import town

REPORT = Path(__file__).with_name("soak.md")


def one_round(seed: int, seconds: float, *extra: str) -> dict:
    """A town of the fleet as it is; the document of its books."""
    document, _ = town.run(14, seconds, "--seed", str(seed), *extra)
    return document


def summary(document: dict) -> str:
    """One line of the report's table."""
    totals, readings = document["totals"], document["totals"]["readings"]
    lost = " ".join(f"{reason} {n}" for reason, n in totals["lost"].items())
    return (
        f"| {document['seed']} | {document['town_seconds'] / 3600:.1f} | {document['daemon']['starts'] - 1} | {totals['sent']} |"
        f" {lost} |"
        f" {totals['duplicates']} | {totals.get('republished', 0)} | {readings['taken']} | {readings['recovered']} |"
        f" {readings['lost']} | {len(document['violations'])} |"
    )


def properties(examples: int) -> str:
    """The property tests with more examples; the last line of pytest."""
    env = {**os.environ, "JOURDAIN_EXAMPLES": str(examples)}
    command = [sys.executable, "-P", "-m", "pytest", "-n", "2", "tests/wire", "tests/radio", "tests/gateway", "--timeout", "3600"]
    done = subprocess.run(command, cwd=mp.ROOT, env=env, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="towns with kills and a cut (default 20)")
    parser.add_argument("--kills", type=int, default=20, help="kills a round (default 20)")
    parser.add_argument("--examples", type=int, default=5000, help="examples a property (default 5000; 0: leave out)")
    options = parser.parse_args()
    begun, lines, bad = time.monotonic(), [], 0
    for seed in range(1, options.rounds + 1):
        document = one_round(seed, 60, "--kill", str(options.kills), "--cut", "20")
        bad += bool(document["violations"] or document["faults"])
        lines.append(summary(document))
        print(lines[-1], flush=True)
    document = one_round(99, 1440)
    bad += bool(document["violations"] or document["faults"])
    lines.append(summary(document))
    print(lines[-1], flush=True)
    tests = properties(options.examples) if options.examples else "left out"
    head = (
        f"# The latest soak\n\n{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores,"
        f" {(time.monotonic() - begun) / 60:.0f} minutes. {options.rounds} towns of an hour, each with {options.kills} kills"
        " (SIGKILL) of the daemon and the broker cut off for 20 s, then a day of the town without faults.\n\n"
        "| seed | hours | kills | frames sent | lost | duplicates | republished | readings | recovered | lost | violations |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    tail = f"\n\nRounds whose books do not balance: {bad}.\n\nProperty tests, {options.examples} examples each: {tests}\n"
    REPORT.write_text(head + "\n".join(lines) + tail, encoding="utf-8")
    return 1 if bad or "failed" in tests else 0


if __name__ == "__main__":
    sys.exit(main())
