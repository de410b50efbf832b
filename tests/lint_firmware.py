"""Check the firmware against the type stubs of each kind of board: `lint_firmware.py STUBS_DIR`.

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
# The kinds of boards that have stubs of their own, and their families.
KINDS = {
    "esp32": "esp32", "esp32-s3": "esp32", "esp32-c3": "esp32",
    "pico": "rp2", "pico-w": "rp2", "pico2": "rp2", "pico2-w": "rp2",
}  # fmt: skip
# What the board families share is checked against both; a port of the other family only against its own.
OTHER = {"esp32": ("ports/rp2.py",), "rp2": ("ports/esp32.py",)}
# Host-only branches of the shared wire code: boards never load them.
HOST_ONLY = ("cryptography", "tools", "gateway")
# The boot ladder lies at the top of a board, where its modules are called so.
AT_THE_TOP = ("ladder", "rungs")


def messages(kind: str, stubs: Path) -> list[str]:
    """mypy's complaints about firmware/ as seen by the boards of this kind."""
    config = stubs / "mypy.ini"
    config.write_text(CONFIG + "".join(f"[mypy-{name}.*]\nignore_missing_imports = True\n" for name in HOST_ONLY + AT_THE_TOP))
    files = [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("firmware/**/*.py"))]
    files = [f for f in files if not f.endswith(OTHER[KINDS[kind]])]
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--custom-typeshed-dir", str(stubs / kind)]
    command += ["--cache-dir", str(stubs / f"cache-{kind}"), *files]
    env = {**os.environ, "MYPYPATH": f"{stubs / kind}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if line.startswith("firmware/") and ": error:" in line]


def main() -> int:
    stubs = Path(sys.argv[1]).resolve()
    seen: set[str] = set()
    for kind in KINDS:
        found = messages(kind, stubs)
        print(f"firmware against the stubs of {kind}: {len(found)} faults")
        print("".join(f"{line}\n" for line in found if line not in seen), end="")
        seen.update(found)
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
