"""Try a wheel in an empty environment, from a folder whose own `tools/`, `gateway/` and `firmware/` must not be taken for ours.

`try_wheel.py dist/*.whl`: installs from the lock, then runs the command, the daemon's module and the firmware build.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUST_HOLD = ("firmware/main.py", "firmware/wire/frame.py", "firmware/boards/pico.yaml", "gateway/schema/001.sql",
             "tools/twin/boards.yaml", "tools/twin/board/machine.py", "firmware/wire/README.md")  # fmt: skip
MUST_NOT = ("tests/", ".mpy", "__pycache__", "secrets.json", "keys.json")


def check_contents(wheel: Path) -> None:
    """The wheel carries the firmware and the data, and nothing that must stay at home."""
    names = zipfile.ZipFile(wheel).namelist()
    for need in MUST_HOLD:
        assert need in names, f"{need} is not in the wheel"
    for name in names:
        assert not any(word in name for word in MUST_NOT), f"{name} should not be in the wheel"
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size // 1024} kB")


def install(folder: Path, wheel: Path) -> Path:
    """A new environment with the locked libraries and the wheel; returns its bin folder."""
    venv.create(folder, with_pip=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "lock/run.txt"], check=True)
    subprocess.run([*pip, "--no-deps", wheel], check=True)
    return folder / "bin"


def decoys(folder: Path) -> None:
    """Folders of our names that would break everything if they were imported."""
    for name in ("tools", "gateway", "firmware"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the decoy was imported')\n")


def main() -> int:
    wheel = Path(sys.argv[1]).resolve()
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as temp:
        bin_, desk = install(Path(temp) / "venv", wheel), Path(temp) / "desk"
        desk.mkdir()
        decoys(desk)
        tries = [
            [bin_ / "jourdain", "--help"],
            [bin_ / "python", "-P", "-m", "gateway", "--help"],
            [bin_ / "jourdain", "twin", "--seconds", "20", "--speed", "0", "--seed", "7", "--json"],
        ]
        for command in tries:
            done = subprocess.run(command, cwd=desk, capture_output=True, text=True, timeout=300, check=False)
            shown = " ".join(str(c) for c in command[1:])
            assert done.returncode == 0, f"{shown} ended with {done.returncode}\n{done.stdout[-500:]}{done.stderr[-2000:]}"
            print(f"tried: {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
