"""Check the firmware against the type stubs of each board family: `lint_firmware.py STUBS_DIR`.

The stubs themselves do not pass mypy; only messages about our files count.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """[mypy]
check_untyped_defs = True
no_site_packages = True
follow_imports = silent
explicit_package_bases = True
"""
# What the board families share is checked against both; a port of the other family only against its own.
OTHER = {"esp32": ("ports/rp2.py",), "rp2": ("ports/esp32.py",)}
# Host-only branches of the shared wire code: boards never load them.
HOST_ONLY = ("cryptography", "tools", "gateway")


def messages(family: str, stubs: Path) -> list[str]:
    """mypy's complaints about firmware/ as seen by the boards of `family`."""
    config = stubs / "mypy.ini"
    config.write_text(CONFIG + "".join(f"[mypy-{name}.*]\nignore_missing_imports = True\n" for name in HOST_ONLY))
    files = [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("firmware/**/*.py"))]
    files = [f for f in files if not f.endswith(OTHER[family])]
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--custom-typeshed-dir", str(stubs / family)]
    command += ["--cache-dir", str(stubs / f"cache-{family}"), *files]
    env = {**os.environ, "MYPYPATH": f"{stubs / family}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if line.startswith("firmware/") and ": error:" in line]


def main() -> int:
    stubs = Path(sys.argv[1]).resolve()
    bad = 0
    for family in ("esp32", "rp2"):
        found = messages(family, stubs)
        bad += len(found)
        print(f"firmware against the stubs of {family}: {len(found)} faults")
        print("\n".join(found))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
