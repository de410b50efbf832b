"""`make soak`: the long runs, with the report of the latest ones kept beside this file.

A part is a section of the report with a date of its own; `ARGS="--only wear cycles"` runs those and leaves the other sections
as they are. Exit status 1 when something that must hold did not, which the section says too.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import mp  # noqa: E402
import town  # noqa: E402

REPORT = HERE / "soak.md"
HEAD = "# The latest soak\n"
Outcome = tuple[str, bool]  # the section's text, and whether all of it holds


def towns(options: argparse.Namespace) -> Outcome:
    """Towns whose daemon is killed with SIGKILL and whose broker is cut off; then a day of the town without faults."""
    runs = [(14, 60, "--seed", str(seed), "--kill", str(options.kills), "--cut", "20") for seed in range(1, options.rounds + 1)]
    lines, bad = [], 0
    for run in [*runs, (14, 1440, "--seed", "99")]:
        document, _ = town.run(*run)
        bad += bool(document["violations"] or document["faults"])
        lines.append(town_row(document))
        print(lines[-1], flush=True)
    text = (
        f"{options.rounds} towns of an hour, each with {options.kills} kills (SIGKILL) of the daemon and the broker cut off for"
        " 20 s, then a day of the town without faults.\n\n"
        "| seed | hours | kills | frames sent | lost | duplicates | republished | readings | recovered | lost | violations |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    return text + "\n".join(lines) + f"\n\nRounds whose books do not balance: {bad}.", not bad


def town_row(document: dict) -> str:
    """One line of the towns' table."""
    totals, readings = document["totals"], document["totals"]["readings"]
    lost = " ".join(f"{reason} {n}" for reason, n in totals["lost"].items())
    return (
        f"| {document['seed']} | {document['town_seconds'] / 3600:.1f} | {document['daemon']['starts'] - 1} | {totals['sent']} |"
        f" {lost} |"
        f" {totals['duplicates']} | {totals.get('republished', 0)} | {readings['taken']} | {readings['recovered']} |"
        f" {readings['lost']} | {len(document['violations'])} |"
    )


def properties(options: argparse.Namespace) -> Outcome:
    """The property tests with more examples."""
    env = {**os.environ, "JOURDAIN_EXAMPLES": str(options.examples)}
    folders = ["tests/wire", "tests/radio", "tests/node", "tests/gateway"]
    command = [sys.executable, "-P", "-m", "pytest", "-n", "2", *folders, "--timeout", "3600"]
    done = subprocess.run(command, cwd=mp.ROOT, env=env, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    return f"{options.examples} examples each: {last}", done.returncode == 0


def bench(name: str, what: str, *args: str) -> Callable[[argparse.Namespace], Outcome]:
    """A part that is another bench of this folder, which prints its table itself and ends with 1 when something does not hold."""

    def run(options: argparse.Namespace) -> Outcome:
        command = [sys.executable, "-P", str(HERE / f"{name}.py"), *args]
        done = subprocess.run(command, cwd=mp.ROOT, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        return f"{what}\n\n{done.stdout.strip()}", done.returncode == 0

    return run


PARTS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "powercut": bench("powercut", "Power cut at every program, erase and sync of a board's flash, each with every tear."),
    "cycles": bench("cycles", "The whole node on the heap of a board, made a sieve.", "10000"),
    "nonce": bench("nonce", "The controller killed with SIGKILL, then restored from a backup.", "1000"),
    "wear": bench("wear", "What a board's reports do to its flash.", "--days", "365"),
    "lives": bench("lives", "A gateway under all that can happen to it, judged from outside.", "--rounds", "1000"),
    "hostcut": bench("hostcut", "Power cuts of the gateway's host."),
    "week": bench("week", "A broker away for a week, simulated."),
    "flashkill": bench("flashkill", "`jourdain flash` killed with SIGKILL, and power cuts of the board.", "--rounds", "150"),
    "fuzz": bench("fuzz", "Every door of the gateway, mutated inputs."),
    "towns": towns,
    "properties": properties,
}


def sections(text: str) -> dict[str, str]:
    """The sections of a report by the name of their part."""
    parts = re.split(r"^## (\w+)\n", text, flags=re.M)
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=20, help="towns with kills and a cut (default 20)")
    parser.add_argument("--kills", type=int, default=20, help="kills a town (default 20)")
    parser.add_argument("--examples", type=int, default=5000, help="examples a property (default 5000)")
    options = parser.parse_args()
    bad = 0
    for name in options.only:
        begun = time.monotonic()
        print(f"soak {name} ...", file=sys.stderr, flush=True)
        text, holds = PARTS[name](options)
        bad += not holds
        minutes = (time.monotonic() - begun) / 60
        where = f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, {minutes:.0f} minutes."
        kept = sections(REPORT.read_text(encoding="utf-8"))
        kept[name] = f"{where} {'All holds.' if holds else 'NOT ALL HOLDS.'} {text}"
        body = "".join(f"\n## {part}\n\n{kept[part]}\n" for part in PARTS if part in kept)
        REPORT.write_text(HEAD + body, encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
