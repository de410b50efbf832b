"""Which key ids are issued, and to whom: none twice, whatever became of its board, and none to two boards."""

from datetime import UTC, datetime
from secrets import token_bytes

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.keys.quality import judge
from tools.keys.secrets import KID, SECRET_LEN, Entries


def today() -> str:
    """The date as it is noted: YYYY-MM-DD, UTC."""
    return datetime.now(UTC).date().isoformat()


def owners(fleet: Inventory | None) -> dict[str, list[str]]:
    """The boards that boards.yaml gives each key id: one, unless two sites use it."""
    found: dict[str, list[str]] = {}
    for board in fleet.boards.values() if fleet else ():
        for kid in board.kids:
            found.setdefault(kid, []).append(board.name)
    return found


def lacking(fleet: Inventory, entries: Entries) -> list[Board]:
    """The boards whose newest key id has no secret yet."""
    return [board for board in fleet.nodes if board.kid not in entries]


def issue(entries: Entries, kid: str, board: str, secret: bytes | None = None) -> None:
    """Add a key, with a secret of chance unless one is given. Raises HostError: test_key, bad_keys."""
    entries[kid] = {"board": board, "secret": (secret or token_bytes(SECRET_LEN)).hex(), "made": today()}
    judge(kid, live(entries), _("key id {kid}").format(kid=kid))


def live(entries: Entries) -> dict[str, str]:
    """{key id: secret} of the keys that are not retired."""
    return {kid: entry["secret"] for kid, entry in entries.items() if "secret" in entry}


def next_kid(wanted: str, board: Board | None, fleet: Inventory | None, entries: Entries) -> str:
    """The key id to issue: as asked for, else the newest that boards.yaml gives the board, else the next free one. HostError."""
    owned = owners(fleet)
    kid = wanted
    if not kid and board is not None and board.kid and board.kid not in entries:
        kid = board.kid
    kid = kid or _free({*entries, *owned})
    where = _("key id {kid}").format(kid=kid)
    hint = _("take another one; without --kid the next free one is taken")
    if not KID.match(kid):
        what = _("a key id has 4 or 8 hexadecimal digits, not {kid!r}").format(kid=kid)
        raise HostError("bad_keys", what, "--kid", hint)
    if kid in entries:
        what = _("this key id was issued already, for {board}").format(board=entries[kid].get("board") or "?")
        raise HostError("bad_keys", what, where, hint)
    others = [name for name in owned.get(kid, ()) if board is None or name != board.name]
    if others:
        what = _("this key id belongs to {board}").format(board=", ".join(others))
        raise HostError("bad_keys", what, where, _("name that board, or take another key id"))
    return kid


def _free(taken: set[str]) -> str:
    for digits in (4, 8):
        number = max((int(kid, 16) for kid in taken if len(kid) == digits), default=0) + 1
        if number < 16**digits:
            return f"{number:0{digits}x}"
    raise HostError("bad_keys", _("all key ids are issued"), "--kid", _("name one that is free"))


def pending(board: Board, fleet: Inventory, entries: Entries) -> str | None:
    """A new key that the board was given and does not have yet: what a rotation goes on with that was cut short."""
    owned = owners(fleet)
    unused = [
        kid
        for kid, entry in entries.items()
        if entry.get("board") == board.name and "secret" in entry and "counts_on" not in entry
    ]
    ready = [kid for kid in unused if kid not in owned]
    if board.kid in unused and len(board.kids) > 1:
        return board.kid
    return ready[-1] if ready else None
