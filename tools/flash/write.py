"""Copies files onto a board: only what changed, each beside the old one first, then all renamed, then read back.

A cable pulled while files are copied leaves the board as it was.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.errors import HostError
from tools.flash.build import SLOT
from tools.flash.config import OLD_CONFIG
from tools.flash.connect import Connection
from tools.i18n import _

NEW = ".new"

# Runs on the board: prints a JSON pair [path, sha256] for each file of the slot and for those at the top that are ours.
LIST = """
import hashlib, json, os
def h(p):
    s = hashlib.sha256()
    with open('/' + p, 'rb') as f:
        while True:
            b = f.read(512)
            if not b:
                break
            s.update(b)
    print(json.dumps([p, s.digest().hex()]))
def w(p):
    try:
        found = list(os.ilistdir('/' + p))
    except OSError:
        return
    for e in found:
        n = p + '/' + e[0]
        if e[1] & 0x4000:
            w(n)
        else:
            h(n)
for e in os.ilistdir('/'):
    if e[0] in TOP or e[0].endswith('.new') and not e[1] & 0x4000:
        h(e[0])
w(SLOT)
"""


class Plan(NamedTuple):
    """What has to be done: paths to write, paths that are right already, paths to remove."""

    write: list[str]
    same: list[str]
    remove: list[str]


def hashes(connection: Connection, top: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the slot's files on the board, of those of `top` that are there, and of the first layout's configuration."""
    script = f"TOP = {[*top, OLD_CONFIG]!r}\nSLOT = {SLOT!r}\n{LIST}"
    return dict(json.loads(line) for line in connection.run(script).splitlines() if line.strip())


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def plan(files: Mapping[str, bytes], there: Mapping[str, str]) -> Plan:
    """Compare the files that a board shall have with what is there."""
    write = [path for path, data in files.items() if there.get(path) != sha256(data)]
    same = [path for path in files if path not in write]
    return Plan(write, same, sorted(path for path in there if path not in files))


def copy(connection: Connection, files: Mapping[str, bytes], todo: Plan, step: Callable[[str], None]) -> None:
    """Do what the plan says, and read back. HostError (transfer) when the board has something else afterwards."""
    for folder in _folders(todo.write):
        connection.run(f"import os\ntry:\n    os.mkdir({'/' + folder!r})\nexcept OSError:\n    pass")
    for path in todo.write:
        step(path)
        connection.write(f"/{path}{NEW}", files[path])
    wanted = {f"{path}{NEW}": sha256(files[path]) for path in todo.write}
    there = hashes(connection, files)
    _verify(connection, {path: digest for path, digest in wanted.items() if there.get(path) != digest})
    stale = [path for path in todo.remove if path not in wanted]
    connection.run(_swap(todo.write, stale))
    there = hashes(connection, files)
    _verify(connection, {path: data for path, data in files.items() if there.get(path) != sha256(data)})


def _verify(connection: Connection, wrong: Mapping[str, object]) -> None:
    if wrong:
        what = _("{count} files read back otherwise than written: {paths}").format(
            count=len(wrong), paths=", ".join(sorted(wrong)[:3])
        )
        raise HostError("transfer", what, connection.port, _("run the command again"))


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders of some paths, each after the one that holds it."""
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
    return sorted(found)


def _swap(written: Iterable[str], stale: Iterable[str]) -> str:
    """A script that puts every new file into the place of the old one, then removes what is left over."""
    return (
        "import os\n"
        f"for p in {list(written)!r}:\n"
        f"    os.rename('/' + p + {NEW!r}, '/' + p)\n"
        f"for p in {list(stale)!r}:\n"
        "    os.remove('/' + p)\n"
        "if hasattr(os, 'sync'):\n"
        "    os.sync()\n"
    )


# Runs on the board: slot a is in force, whichever an update had put in its place, and no strike counts against it.
IN_FORCE = """
import os
if 'rungs.mpy' in os.listdir('/'):
    import rungs
    r = rungs.load('/')[0]
    rungs.flashed(r)
    if not rungs.save('/', r):
        raise OSError(5)
"""
