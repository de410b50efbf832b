"""What follows from the rows of `uplink`: windows and counts of a key context, and the readings and the bytes of a frame.

A group of clean frames writes its rows alone. A context and a link keep, beside their state, the last row that it contains; what
lies behind it is applied when the daemon starts, by the very function that applied it when it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cbor2

from firmware.wire.frame import HOP_LEN, TAG_LEN
from firmware.wire.host.payload import REPEAT as REPEATED
from firmware.wire.host.receiver import Context
from firmware.wire.host.rows import ANY, ROWS
from firmware.wire.host.window import WIDTH, Window
from firmware.wire.quantities import REPEATS
from firmware.wire.seal import Keys, seal
from gateway import quick
from gateway.errors import HostError
from gateway.ingress.source import Numbering
from gateway.quick import Entries
from gateway.store import Group, Store
from gateway.uplink import FILLS, OPAQUE, PLAIN, REPEAT, SEALED, Row

_PIV = 4
_CHUNK = 2000  # rows
_BATCHED = {key for key, _, kind, *_ in ROWS if kind != ANY}
NOBODY = b""  # the key id of frames that a relay or a street gateway passes on and that nothing proves: they move no window
# As little as a row may be applied by: there may be a hundred thousand.
_BEHIND = (
    "SELECT u.id, kid, piv, kind, take, c.name, seq, tag, CASE WHEN take > 1 THEN payload END"
    " FROM uplink u JOIN channel c ON c.id = u.channel WHERE u.id > ? AND tag IS NOT NULL ORDER BY u.id LIMIT ?"
)
EARLIEST_MS = -(2**60)  # the protocol limits neither age nor step, the store does


class Kid(Context):
    """A key context: keys, window, and what was counted. `recovered`: PIVs that came by a repeat, still in the window."""

    __slots__ = ("board", "direct", "duplicates", "recovered", "repeats", "stored")

    def __init__(self, keys: Keys, board: str, width: int = WIDTH) -> None:
        super().__init__(keys, Window(width))  # type: ignore[no-untyped-call]  # the boards' code is not annotated
        self.board = board
        self.recovered: set[int] = set()
        self.duplicates = self.stored = self.direct = self.repeats = 0

    @property
    def row(self) -> tuple[Any, ...]:
        """As the table `context` keeps it, without `upto`."""
        bottom = self.window.highest - self.window.width
        recovered = b"".join(piv.to_bytes(_PIV, "big") for piv in sorted(self.recovered) if piv > bottom)
        return self.keys.kid, self.window.pack(), recovered, self.duplicates, self.stored, self.direct, self.repeats

    def restore(self, row: tuple[Any, ...] | None) -> None:
        """Become what `row` of the table says, without kid and `upto`; None: never heard."""
        if row is None:
            row = (Window(self.window.width).pack(), b"", 0, 0, 0, 0)
        window, recovered, self.duplicates, self.stored, self.direct, self.repeats = row
        width, self.window = self.window.width, Window.unpack(window)
        if self.window.width < width:
            self.window = self.window.widened(width)
        self.recovered = {int.from_bytes(recovered[i : i + _PIV], "big") for i in range(0, len(recovered), _PIV)}


class Entry(NamedTuple):
    """One reading of a frame. kind: PLAIN; REPEAT, known by a later frame alone; FILLS, more of a reading known by a repeat.

    place: how many entries of its frame are newer. unix_ms: when it was taken. values: {key: value on the wire}.
    """

    piv: int
    place: int
    kind: int
    unix_ms: int
    values: dict[int, Any]


# Accepting a frame


def judge(kid: Kid, piv: int, found: Entries) -> tuple[int, int]:
    """(kind, take) of an authentic frame that is about to be accepted; `found`: all its entries, oldest first."""
    recovered = kid.recovered
    if len(found) == 1 and not recovered:
        return PLAIN, 1
    window = kid.window
    # What the window no longer remembers may have been received: better lost in a count than twice in a table.
    bottom = max(window.highest, piv) - window.width
    kind, take, bit = PLAIN, 0, 1
    for entry_piv, how, _, _ in reversed(found):
        if how == REPEATED:
            if entry_piv > bottom and entry_piv not in recovered and not window.seen(entry_piv):
                take |= bit
        elif bit == 1 and piv in recovered:
            kind = FILLS
        else:
            take |= bit
        bit <<= 1
    return kind, take


def apply(kid: Kid, piv: int, tag: bytes, kind: int, take: int, direct: int) -> None:  # noqa: PLR0917 - a row's columns
    """Accept a frame. `tag`: its AEAD tag; `direct`: how many of its entries are its own, not repeats; 0 where it is not read."""
    window = kid.window
    window.accept(piv, tag)
    kid.stored += 1
    kid.direct += direct
    if take > 1 and (repeats := take >> direct):
        for back in range(1, repeats.bit_length() + 1):
            if repeats >> (back - 1) & 1:
                kid.recovered.add(piv - back)
                kid.repeats += 1
    if kind == FILLS:
        kid.recovered.discard(piv)
        kid.repeats -= 1
    if len(kid.recovered) > window.width:
        bottom = window.highest - window.width
        kid.recovered = {old for old in kid.recovered if old > bottom}


def own(found: Entries) -> int:
    """How many of all entries of a frame are its own."""
    return sum(how != REPEATED for _, how, _, _ in found)


def direct(kind: int, take: int, payload: bytes | None) -> int:
    """How many entries of a row are its own. `payload` is looked at where `take` is above 1; it was found good before."""
    if kind in (OPAQUE, SEALED):
        return 0
    if take < 2 or payload is None:
        return 1
    known = cbor2.loads(payload)
    n = next((len(value) for key, value in known.items() if type(value) is list and key in _BATCHED), 1)
    return n - int(known.get(REPEATS, 0))


def counts(kind: int, take: int, payload: bytes | None) -> tuple[int, int]:
    """What a row adds to the readings counted (direct, repeats)."""
    n = direct(kind, take, payload)
    return n, (take >> n).bit_count() - (kind == FILLS)


# What a row says


def entries(row: Row, found: Entries | None = None) -> list[Entry]:
    """The readings of a row that go upstream, oldest first; none where it is not understood.

    `found`: all entries of its payload, where they are at hand.
    """
    if row.payload is None or row.kind in (OPAQUE, SEALED):
        return []
    if _moved(row):
        return [Entry(row.piv, 0, row.kind, row.unix_ms, cbor2.loads(row.payload))]
    if found is None:
        if row.kind == PLAIN and row.take == 1 and (values := quick.said(row.payload)) is not None:
            return [Entry(row.piv, 0, PLAIN, row.unix_ms, values)]
        found = quick.parse(row.payload, row.piv)[1]
    if len(found) == 1:
        return [Entry(row.piv, 0, row.kind, row.unix_ms, found[0][3])]
    wanted = row.take | (row.kind == FILLS)
    place = len(found)
    said = []
    for piv, how, before_s, values in found:
        place -= 1
        if wanted >> place & 1:
            kind = REPEAT if how == REPEATED else PLAIN if place else row.kind
            said.append(Entry(piv, place, kind, max(row.unix_ms - before_s * 1000, EARLIEST_MS), values))
    return said


def frame(row: Row, keys: Keys | None) -> bytes | None:
    """The frame of a row, byte by byte as it came; None where it has none, or where its keys are not held any more."""
    if row.frame is not None:
        return row.frame
    if row.tag is None or row.payload is None or keys is None:
        return None
    hop = len(row.tag) > TAG_LEN
    made: bytes
    if hop and not keys.k_hop:  # a reader need not hold it: then the hop tag is as it came, and the seal proves the rest
        keys = Keys(keys.kid, k_up=keys.k_up, iv=keys.iv, k_hop=bytes(16))
        made = seal(keys, row.piv, row.payload, hop=True)[:-HOP_LEN] + row.tag[TAG_LEN:]
    else:
        made = seal(keys, row.piv, row.payload, hop=hop)
    return made if made.endswith(row.tag) else None


def _moved(row: Row) -> bool:
    """Does it come from version 2, where a row was one reading? Its payload holds the values of that one alone."""
    return row.tag is None or row.frame is not None


# At the start


@dataclass(slots=True)
class Standing:
    """Contexts by key id and line numbers by board, and who changed since they were folded, by how many rows (`behind`)."""

    kids: dict[bytes, Kid]
    numbers: dict[str, Numbering] = field(default_factory=dict)
    changed: dict[bytes, Kid] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    behind: int = 0

    def group(self) -> Group:
        """What brings the tables up to date; of nothing newer than these rows."""
        contexts = [kid.row for kid in self.changed.values()]
        return Group(contexts=contexts, links={board: self.numbers[board].pack() for board in self.used}, folded=True)


def load(store: Store, held: Iterable[Kid] = ()) -> Standing:
    """What is on disk, the rows included that no context contains yet; `held` are brought to it.

    A context that nobody holds is in `changed` alone, without keys, where rows are to be folded into it: what is counted must not
    depend on what is configured today. Raises HostError as the store does, and bad_store for what no store of ours holds: SQLite
    has no checksums, and a bit may flip.
    """
    try:
        return _load(store, held)
    except (ValueError, TypeError, AttributeError, OverflowError, IndexError) as error:
        what = f"the store holds what none of ours does ({error})"
        raise HostError("bad_store", what, str(store.path), "move the file aside; the daemon then starts an empty one") from error


def _load(store: Store, held: Iterable[Kid]) -> Standing:
    standing = Standing({kid.keys.kid: kid for kid in held})
    contexts = {row[0]: row[1:] for row in store.read("SELECT * FROM context")}
    for kid in standing.kids.values():
        kid.restore(contexts[kid.keys.kid][:-1] if kid.keys.kid in contexts else None)
    links = {board: (seen, upto) for board, seen, upto in store.read("SELECT * FROM link")}
    standing.numbers = {board: Numbering(seen) for board, (seen, _) in links.items()}
    after = store.folded
    while rows := store.read(_BEHIND, (after, _CHUNK)):
        standing.behind += len(rows)
        after = rows[-1][0]
        for ident, kid, piv, kind, take, channel, seq, tag, payload in rows:
            context = contexts.get(kid)
            if context is None or ident > context[-1]:
                _replay(standing, context, kid, piv, kind, take, tag, payload)
            if seq is not None and ident > links.get(channel, (b"", 0))[1]:
                standing.numbers.setdefault(channel, Numbering()).note(seq, tag[-TAG_LEN:])
                standing.used.add(channel)
    return standing


def _replay(  # noqa: PLR0917 - a row's columns
    standing: Standing, context: tuple[Any, ...] | None, ident: bytes, piv: int, kind: int, take: int, tag: bytes, payload: bytes
) -> None:
    kid = standing.kids.get(ident) or standing.changed.get(ident)
    if kid is None:
        kid = Kid(Keys(ident), "")
        kid.restore(context and context[:-1])
    if ident == NOBODY:
        kid.stored += 1
    else:
        apply(kid, piv, tag[:TAG_LEN], kind, take, direct(kind, take, payload))
    standing.changed[ident] = kid
