"""Can this machine run Jourdain? Asked before anything is installed: runs on any Python 3, imports nothing of ours."""

import os
import platform
import sys


def fault() -> str:
    """Return the one line that helps, or an empty string when the machine is right."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        have = "%d.%d" % sys.version_info[:2]  # noqa: UP031 - runs on a Python that may be too old for f-strings
        return "Python %s found, 3.11 to 3.13 needed: try `make setup PYTHON=python3.12`" % have  # noqa: UP031
    try:
        import ensurepip  # noqa: F401, PLC0415
        import venv  # noqa: F401, PLC0415
    except ImportError:
        return "Python has no venv: as root, `apt install python3-venv`"
    if sys.maxsize < 2**32:
        return "32-bit Python: the gateway's libraries have no 32-bit wheels; install a 64-bit system"
    if sys.platform not in ("linux", "darwin"):
        return "%s is not supported: use Linux or macOS" % sys.platform  # noqa: UP031
    if platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return "architecture %s is not supported: x86-64 or aarch64 needed" % platform.machine()  # noqa: UP031
    if hasattr(os, "statvfs"):
        free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize
        if free < 400e6:
            return "only %d MB free here: the environment needs 400 MB" % (free // 1000000)  # noqa: UP031
    return ""


if __name__ == "__main__":
    line = fault()
    if line:
        sys.stderr.write("jourdain: " + line + "\n")
        sys.exit(2)
