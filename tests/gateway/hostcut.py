"""Power cuts of the host: the daemon's file operations, recorded by strace, and the disks that a cut may leave.

What `kill -9` cannot show: the page cache survives a killed process, and does not survive a cut. The rules of a disk here: what
was synced is there; of what was written since, any sectors of SECTOR bytes are there, in any order of the writes; a file that was
made, renamed or removed since the folder was synced may be so or not (a synced file is there: every file system of a Raspberry Pi
does that).
"""

import contextlib
import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
TEARS = ("none", "all", "any", "any", "first", "last")  # which of the unsynced sectors are there
WRITES = "openat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,lseek,mmap,sync_file_range,copy_file_range,sendfile"
CALLS = WRITES + ",fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat,link,linkat,sendto,sendmsg"
# SQLite's shared memory: no data, made anew by whoever opens first after a boot.
_VOLATILE = ("-shm",)
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.S)
_FD = re.compile(r"^(\d+)<((?:\\x..|[^>])*)>")


class Operation(NamedTuple):
    """A system call that succeeded: its name, the path that it concerns, where in the file, what bytes. For a rename `data` is
    the new path; for ftruncate `at` is the length.
    """

    call: str
    path: str
    at: int
    data: bytes


class Trace:
    """Traces one daemon: start it with `prefix`. `before`: {path: bytes} of `folder` at the beginning."""

    def __init__(self, folder, file):
        self.folder, self.file = folder, file
        file.unlink(missing_ok=True)
        self.before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.prefix = ("strace", "-f", "-y", "-xx", "-s", "9999999", "--seccomp-bpf", "-o", str(file), "-e", f"trace={CALLS}")

    def kill(self, daemon):
        """SIGKILL for the daemon itself; strace ends with it, its record complete."""
        end = time.monotonic() + 10
        while daemon.alive:
            for child in _children(daemon.pid):
                with contextlib.suppress(ProcessLookupError):  # it ended by itself
                    os.kill(child, signal.SIGKILL)
            assert time.monotonic() < end, "strace does not end"
            time.sleep(0.01)

    def stop(self, daemon):
        """SIGTERM for the daemon itself."""
        for child in _children(daemon.pid):
            os.kill(child, signal.SIGTERM)
        return daemon.wait()

    def operations(self):
        """What the daemon did to files below the folder and to everything that is no file, in order."""
        return list(_operations(self.file, str(self.folder)))


def _children(pid):
    """Process ids; none when it has ended."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def text(escaped):
    """The bytes of a string as strace -xx writes it."""
    return bytes.fromhex(escaped.replace("\\x", ""))


def calls(file):
    """(name, arguments, result) of every call that succeeded. A sync stands where it returned, all others where they began:
    what a call under way has written may be on disk, what it syncs is not yet there for sure.
    """
    begun, found = {}, []
    with file.open(encoding="latin-1") as lines:
        for at, line in enumerate(lines):
            parts = _LINE.match(line.rstrip("\n"))
            if not parts:
                continue
            pid, resumed, name, rest = parts.groups()
            if rest.endswith("<unfinished ...>"):
                begun[pid] = at, rest.removesuffix("<unfinished ...>")
                continue
            since = at
            if resumed:
                name = resumed
                since, head = begun.pop(pid, (at, ""))
                rest = head + rest
            arguments, equals, result = rest.rpartition(" = ")
            if equals and not result.startswith(("-1 ", "?")):
                where = at if name in ("fsync", "fdatasync") else since
                found.append((where, name, arguments.rstrip().removesuffix(")"), re.split("[< ]", result)[0]))
    return [call[1:] for call in sorted(found, key=lambda call: call[0])]


def _operations(file, folder):
    positions, appending = {}, set()
    for name, arguments, result in calls(file):
        if name == "openat":
            yield from _opened(arguments, result, positions, appending, folder)
            continue
        if name.startswith(("rename", "unlink", "link")):
            paths = [text(p).decode() for p in re.findall(r'"((?:\\x..)*)"', arguments)]
            if paths and paths[0].startswith(folder):
                yield Operation(name[:6], paths[0], 0, paths[-1].encode())
            continue
        found = _FD.match(arguments)
        if not found:
            continue
        fd, path = found[1], text(found[2]).decode() if found[2].startswith("\\x") else found[2]
        data = b"".join(text(p) for p in re.findall(r'"((?:\\x..)*)"', arguments[found.end() :]))
        inside = path.startswith(folder)
        if name == "lseek":
            positions[fd] = int(result)
        elif name in ("fdatasync", "fsync"):
            yield Operation("sync", path, 0, b"")
        elif name == "ftruncate" and inside:
            yield Operation("ftruncate", path, int(arguments.rsplit(", ", 1)[1]), b"")
        elif name == "fallocate" and inside:  # of files that are new
            yield Operation("ftruncate", path, sum(map(int, arguments.split(", ")[-2:])), b"")
        elif name == "pwrite64" and inside:
            yield Operation("write", path, int(arguments.rsplit(", ", 1)[1]), data[: int(result)])
        elif name == "write" and inside:
            at = -1 if fd in appending else positions.get(fd, 0)
            positions[fd] = positions.get(fd, 0) + int(result)
            yield Operation("write", path, at, data[: int(result)])
        elif name in ("write", "writev", "sendto", "sendmsg"):
            assert not inside, f"{name} on a file is not modelled"
            yield Operation("out", path, 0, data[: int(result)])
        elif name == "mmap":
            assert not inside or path.endswith(_VOLATILE) or "PROT_WRITE" not in arguments, f"{path} is written by a mapping"
        else:
            assert not inside, f"{name} is not modelled"


def _opened(arguments, fd, positions, appending, folder):
    path = text(re.search(r'"((?:\\x..)*)"', arguments)[1]).decode()
    positions[fd] = 0
    appending.discard(fd)
    if path.startswith(folder):
        if "O_APPEND" in arguments:
            appending.add(fd)
        if "O_CREAT" in arguments:
            yield Operation("create", path, 0, b"")
        if "O_TRUNC" in arguments:
            yield Operation("ftruncate", path, 0, b"")


def disk(before, operations, rng, how=None):
    """{path: bytes}: a folder that a cut right behind `operations` may leave, of `before`. how: one of TEARS, else by chance."""
    files = {str(path): bytearray(data) for path, data in before.items()}  # as the kernel sees it
    sure = {path: bytes(data) for path, data in files.items()}  # by path, what is on disk for sure
    pending = {path: [] for path in files}  # writes since
    named = []  # renames and removals that the folder's sync has not made sure
    for op in operations:
        if op.call in ("create", "write", "ftruncate"):
            if op.path not in files:
                files[op.path], pending[op.path] = bytearray(), []
            at = len(files[op.path]) if op.at < 0 else op.at
            _apply(files[op.path], op._replace(at=at))
            pending[op.path].append(op._replace(at=at))
        elif op.call == "sync" and op.path in files:
            sure[op.path], pending[op.path] = bytes(files[op.path]), []
        elif op.call == "sync":
            sure.update({path: b"" for path in files if Path(path).parent == Path(op.path) and path not in sure})
            named = [(a, b, old) for a, b, old in named if Path(a).parent != Path(op.path)]
        elif op.call in ("rename", "unlink") and op.path in files:
            _name(op, files, sure, pending, named)
        elif op.call == "link":
            raise AssertionError("link is not modelled")
    left = {path: _torn(sure.get(path), pending[path], rng, how) for path in files}
    for path, new, old in reversed(named):
        if rng.random() < 0.5:  # it did not come to the disk
            if new:
                left[path] = left.pop(new, None)
            left.update({name: data for name, data in old.items() if data is not None})
    return {Path(path): data for path, data in left.items() if data is not None and not path.endswith(_VOLATILE)}


def _name(op, files, sure, pending, named):
    """A rename or a removal. Kept: what would be back under the old names."""
    new = op.data.decode() if op.call == "rename" else ""
    gone = {name: sure.get(name) for name in ((new,) if new else (op.path,)) if name in files}
    named.append((op.path, new, gone))
    data, waits, known = files.pop(op.path), pending.pop(op.path), sure.pop(op.path, None)
    if new:
        files[new], pending[new] = data, waits
        sure.pop(new, None)
        if known is not None:
            sure[new] = known


def _apply(data, op):
    if op.call == "ftruncate":
        del data[op.at :]
        data.extend(bytes(op.at - len(data)))
    elif op.call == "write":
        data.extend(bytes(max(0, op.at - len(data))))
        data[op.at : op.at + len(op.data)] = op.data


def _torn(sure, pending, rng, how):
    """What is left of a file of which only `sure` was synced (None: not even its name); None: it is not there."""
    if sure is None and rng.random() < 0.3:
        return None
    data = bytearray(sure or b"")
    how = how or rng.choice(TEARS)
    first = rng.randrange(len(pending) + 1)
    for index, op in enumerate(pending):
        if op.call == "ftruncate":
            if how == "all" or rng.random() < 0.5:
                _apply(data, op)
            continue
        for start in range(0, len(op.data), SECTOR):
            share = {"none": 0, "all": 1, "any": 0.5, "first": index < first, "last": index >= first}[how]
            if rng.random() < share:
                _apply(data, op._replace(at=op.at + start, data=op.data[start : start + SECTOR]))
    return bytes(data)


def stored(folder):
    """Names (kid || PIV) of the frames in the store of a folder."""
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        table = next((name for name in ("uplink", "reading") if name in tables), None)
        rows = db.execute(f"SELECT kid, piv FROM {table}").fetchall() if table else []
    return {kid + piv.to_bytes(4, "big") for kid, piv in rows}


def put(folder, files):
    """Make `folder` hold these files ({path: bytes}) and no others."""
    for path in [p for p in folder.rglob("*") if p.is_file() and p not in files]:
        path.unlink()
    for path, data in files.items():
        mode = path.stat().st_mode if path.exists() else 0o600
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode & 0o777)
