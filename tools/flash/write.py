"""Copies files onto a board: only what changed, each beside the old one first, then all renamed, then read back.

A cable pulled while files are copied leaves the board as it was.
"""

import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from gateway.errors import HostError
from tools.flash.build import SLOT
from tools.flash.config import OLD_CONFIG
from tools.flash.connect import Connection
from tools.i18n import _

NEW = ".new"
# Bytes of files that are sent at once, before deflating: a board with 64 kB of heap holds them a few times over.
PIECE_BYTES = 2048
# Bytes of a SHA-256 by which files are compared. After writing all of it counts.
SHORT = 4

# Run on the board. _names(top): the files of the slot and those at the top that are ours; _digest(names): one SHA-256 over their
# paths and contents.
HASH = f"""
import hashlib
def _sha(path):
    found = hashlib.sha256()
    with open('/' + path, 'rb') as file:
        while True:
            data = file.read(512)
            if not data:
                return found.digest()
            found.update(data)
def _below(path, names):
    for entry in os.ilistdir('/' + path):
        name = path + '/' + entry[0]
        if entry[1] & 0x4000:
            _below(name, names)
        else:
            names.append(name)
def _names(top):
    names = []
    for entry in os.ilistdir('/'):
        if entry[0] in top or entry[0].endswith('{NEW}') and not entry[1] & 0x4000:
            names.append(entry[0])
        if entry[0] == '{SLOT}' and entry[1] & 0x4000:
            _below('{SLOT}', names)
    return sorted(names)
def _digest(names):
    found = hashlib.sha256()
    for name in names:
        found.update(name.encode() + _sha(name))
    return found.digest().hex()
"""
# Prints the first bytes of a digest of all names, then those of each file's.
LIST = f"""
import binascii
_found = _names(_top)
_said = hashlib.sha256('\\n'.join(_found).encode()).digest()[:{SHORT}]
print(binascii.b2a_base64(_said + b''.join([_sha(name)[:{SHORT}] for name in _found])).decode())
"""
# _put(): writes what comes in `_data`, pieces of files with a line "MODE SIZE PATH" each, beside the files that are in force.
# _swap(digest, stale): where all of it reads back right, puts it in force and removes the stale. Slot a is in force then,
# whichever an update had put in its place, and no strike counts against it. Prints the digest of what is there now. Where power
# goes in the midst, the ladder finishes what /swap names.
COPY = f"""
def _put():
    while True:
        line = _data.readline().decode().split()
        if not line:
            return
        size = int(line[1])
        with open('/' + line[2] + '{NEW}', line[0]) as file:
            while size:
                data = _data.read(min(size, 512))
                if not data:
                    raise OSError(5)
                file.write(data)
                size -= len(data)
        if line[0] == 'wb':
            _new.append(line[2])
def _swap(digest, stale):
    if _digest([name + '{NEW}' for name in _new]) != digest:
        return
    if _new:
        with open('/swap', 'w') as file:
            file.write('\\n'.join(_new))
    for name in _new:
        os.rename('/' + name + '{NEW}', '/' + name)
    for name in stale:
        os.remove('/' + name)
    if hasattr(os, 'sync'):
        os.sync()
    if 'rungs.mpy' in os.listdir('/'):
        import rungs
        record = rungs.load('/')[0]
        rungs.flashed(record)
        if not rungs.save('/', record):
            raise OSError(5)
    if _new:
        os.remove('/swap')
    _guard()
    print(_digest(_names(_top)))
"""
# What an earlier flashing has begun to put in its place must not be taken for what comes now.
_FORGET = """
try:
    os.remove('/swap')
except OSError:
    pass
"""


class Plan(NamedTuple):
    """What has to be done: paths to write, paths that are right already, paths to remove."""

    write: list[str]
    same: list[str]
    remove: list[str]


def hashes(connection: Connection, files: Iterable[str]) -> dict[str, str]:
    """What of `files` is on the board, and what else lies in the slot: the head of each SHA-256 in hexadecimal, by path."""
    expected = sorted(files)
    said = binascii.a2b_base64(connection.run(f"_top = {_top(files)!r}\n{LIST}", uses=(HASH,)))
    names, digests = said[:SHORT], said[SHORT:]
    if names != _short("\n".join(expected).encode()):
        expected = connection.run("print('\\n'.join(_found))").split() if digests else []
    if len(digests) != SHORT * len(expected):
        raise HostError("transfer", _("the board does not say what it holds"), connection.port, _("run the command again"))
    return {path: digests[SHORT * at : SHORT * (at + 1)].hex() for at, path in enumerate(expected)}


def _top(files: Iterable[str]) -> list[str]:
    return [*sorted(path for path in files if "/" not in path), OLD_CONFIG]


def _short(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:SHORT]


def plan(files: Mapping[str, bytes], there: Mapping[str, str]) -> Plan:
    """Compare the files that a board shall have with what is there."""
    write = [path for path, data in files.items() if there.get(path) != _short(data).hex()]
    same = [path for path in files if path not in write]
    return Plan(write, same, sorted(path for path in there if path not in files))


def copy(connection: Connection, files: Mapping[str, bytes], todo: Plan, step: Callable[[str], None]) -> None:
    """Do what the plan says, read back, and put the slot in force. `step`: called with each path that is sent.

    HostError (transfer) when the board has something else afterwards.
    """
    # The ladder can finish the rest once it is there; without main.py nothing begins.
    paths = sorted(todo.write, key=lambda path: (path == "main.py", path != "ladder.mpy"))
    script = f"_top = {_top(files)!r}\n_new = []\n{_FORGET}{_folders(paths)}"
    for names, piece in _pieces(files, paths):
        for path in names:
            step(path)
        connection.run(f"{script}_put()", uses=(HASH, COPY), data=piece)
        script = ""
    new = {f"{path}{NEW}": files[path] for path in paths}
    stale = [path for path in todo.remove if path not in new]
    said = connection.run(f"{script}_swap({_digest(new, new)!r}, {stale!r})", uses=(HASH, COPY)).strip()
    if said != _digest(files, sorted(files)):
        _refuse(connection, files, files if said else new)


def _pieces(files: Mapping[str, bytes], paths: Iterable[str]) -> Iterator[tuple[list[str], bytes]]:
    """(paths, bytes for _put) of each piece: small files share one, a large one takes several."""
    names: list[str] = []
    piece = b""
    for path in paths:
        data, mode = files[path], "wb"
        while data or mode == "wb":
            room = PIECE_BYTES - len(piece)
            piece += f"{mode} {len(data[:room])} {path}\n".encode() + data[:room]
            data, mode = data[room:], "ab"
            names.append(path)
            if len(piece) >= PIECE_BYTES:
                yield names, piece
                names, piece = [], b""
    if piece:
        yield names, piece


def _digest(files: Mapping[str, bytes], paths: Iterable[str]) -> str:
    """As _digest of the board."""
    return hashlib.sha256(b"".join(path.encode() + hashlib.sha256(files[path]).digest() for path in paths)).hexdigest()


def _refuse(connection: Connection, files: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    there = hashes(connection, files)
    wrong = sorted(path for path, data in wanted.items() if there.get(path) != _short(data).hex())
    what = _("{count} files read back otherwise than written: {paths}").format(count=len(wrong), paths=", ".join(wrong[:3]))
    raise HostError("transfer", what, connection.port, _("run the command again"))


def _folders(paths: Iterable[str]) -> str:
    """A script that makes the folders of some paths, each after the one that holds it."""
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
    return f"for folder in {sorted(found)!r}:\n    try:\n        os.mkdir('/' + folder)\n    except OSError:\n        pass\n"
