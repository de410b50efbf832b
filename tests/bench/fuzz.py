"""Every door of the gateway with a million inputs: the tests of tests/fuzz, which take their number from JOURDAIN_FUZZ.

Where `atheris` is installed (it has no wheel for every Python), `--atheris SECONDS` also lets it search by coverage.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TEST = re.compile(r"^_+ (test_\w+(?:\[[^\]]*\])?) _+$")


def run(n):
    """-> (exit status, {test: its last line of output}, the last line of all)."""
    env = {**os.environ, "JOURDAIN_FUZZ": str(n)}
    command = [sys.executable, "-P", "-m", "pytest", "-n", "2", "-rP", "--timeout", "36000", "tests/fuzz"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    said, name = {}, None
    for line in done.stdout.splitlines():
        if found := _TEST.match(line):
            name = found[1]
        elif name and line.startswith("{"):
            said[name] = line
    bad = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "E   "))]
    return done.returncode, said, bad


def coverage(seconds):
    """What atheris finds in the codecs in so many seconds, or that it is not here."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        return "atheris is not installed: no search by coverage."
    code = (
        "import atheris, sys\n"
        "with atheris.instrument_imports(include=['firmware', 'gateway']):\n"
        "    from firmware.wire import hdlc, link\n"
        "    from firmware.wire.errors import WireError\n"
        "def one(data):\n"
        "    for proto, body in hdlc.Decoder().feed(data):\n"
        "        try:\n"
        "            link.parse(body)\n"
        "        except WireError:\n"
        "            pass\n"
        f"atheris.Setup([sys.argv[0], '-max_total_time={seconds}'], one)\n"
        "atheris.Fuzz()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    return f"atheris, {seconds} s: exit {done.returncode}; {done.stderr.strip().splitlines()[-1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="a door (default 1,000,000)")
    parser.add_argument("--atheris", type=int, default=60, metavar="SECONDS")
    options = parser.parse_args()
    begun_s = time.monotonic()
    status, said, bad = run(options.inputs)
    print(f"{options.inputs:,} inputs a door, {(time.monotonic() - begun_s) / 60:.0f} minutes.\n")
    print("| door | how they went |\n|---|---|")
    for name, line in sorted(said.items()):
        print(f"| {name.removeprefix('test_').replace('_', ' ')} | {line.strip('{}').replace(chr(39), '')} |")
    print(f"\n{coverage(options.atheris)}")
    print(*bad, sep="\n")
    return 1 if status or not said else 0


if __name__ == "__main__":
    sys.exit(main())
