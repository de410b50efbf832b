"""What goes upstream next: alarms before live readings before the backlog, each in the order heard.

A function of the rows it is offered, of what was read from disk for it, of the window and of the time. It holds few rows: what
does not fit waits on disk, and is asked for again when there is room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

from gateway.upstream.cursor import Intervals, Span, runs

ALARM, LIVE, BACKLOG, STRICT = "alarm", "live", "backlog", "strict"

RESERVE = 2  # places of the window that the backlog leaves to alarms and live readings
SHARE = 3  # so many live batches, then one of the backlog, where both wait
SPANS = 1000  # beyond so many pieces nothing overtakes the backlog any more
HOLD = 2000  # live rows in memory, half as many of each other lane; at least two batches
_GAPS = 64  # gaps that one reading of the disk looks into


class Waiting(Protocol):
    """What a lane has to know of a row of the store."""

    @property
    def id(self) -> int: ...
    @property
    def take(self) -> int: ...
    @property
    def urgent(self) -> int: ...


R = TypeVar("R", bound=Waiting)


class Rules(NamedTuple):
    """`batch`: readings that fill one; `age_s`: after so long it leaves without company; `window`: batches in the air at most;
    `strict`: nothing overtakes but alarms.
    """

    batch: int = 50
    age_s: float = 5.0
    window: int = 20
    strict: bool = False


class Read(NamedTuple):
    """What to read from disk: dated rows within `spans`, in order, at most `limit`; of lane ALARM the urgent ones alone."""

    lane: str
    spans: list[Span]
    limit: int


class Batch(NamedTuple, Generic[R]):
    """Rows of one lane, in order, at least one."""

    lane: str
    rows: list[R]


def weight(row: Waiting) -> int:
    """By how many readings a row fills a batch."""
    return row.take.bit_count() or 1


class _Lane(Generic[R]):
    """One queue: `held` in memory, and behind it what lies on disk above id `upto`, if it is `behind`.

    `aside`: what came in while the disk is read, None when that was too much.
    """

    def __init__(self, upto: int, newest: int, hold: int) -> None:
        self.held: deque[R] = deque()
        self.weight = 0
        self.upto = upto
        self.behind = upto < newest
        self.aside: list[R] | None = None
        self.hold = hold

    @property
    def room(self) -> int:
        return self.hold - len(self.held) - len(self.aside or ())

    def offer(self, rows: Sequence[R]) -> Sequence[R]:
        """The newest rows there are. Returns those that are in memory now; the others wait for a reading of the disk."""
        if self.behind:
            if self.aside is not None:
                # What is being read needs its half of the room.
                self.aside = [*self.aside, *rows] if len(rows) + self.hold // 2 <= self.room else None
            return ()
        if self.room < len(rows):
            self.behind = True
            rows = rows[: self.room]
        self.put(rows)
        return rows

    def put(self, rows: Sequence[R]) -> None:
        if rows:
            self.held.extend(rows)
            self.weight += sum(map(weight, rows))
            self.upto = rows[-1].id

    def take(self, most: int) -> list[R]:
        """Rows of at most `most` readings, at least one row."""
        if most == 1:
            row = self.held.popleft()
            self.weight -= weight(row)
            return [row]
        total, n = 0, 0
        for row in self.held:
            more = weight(row)
            if n and total + more > most:
                break
            total += more
            n += 1
        self.weight -= total
        if n == len(self.held):
            rows = list(self.held)
            self.held.clear()
            return rows
        return [self.held.popleft() for _ in range(n)]


class Lanes(Generic[R]):
    """One connection. `done`: what the broker has; `newest`: the highest id on disk. What is missing up to it is the backlog."""

    def __init__(self, rules: Rules, done: Intervals, newest: int) -> None:
        self.rules = rules
        self._newest = newest
        self._old = newest  # where the backlog ends
        # Done, in the air or held: what no reading of the disk must bring again.
        self._taken = done.copy()
        hold = max(HOLD // 2, 2 * rules.batch)
        begin = self._begin(newest)
        self._alarm: _Lane[R] = _Lane(begin, newest, hold)
        self._live: _Lane[R] = _Lane(begin if rules.strict else newest, newest, max(HOLD, hold))
        self._backlog: _Lane[R] = _Lane(newest if rules.strict else begin, newest, hold)
        self._lanes = {ALARM: self._alarm, LIVE: self._live, BACKLOG: self._backlog}
        self._slow = self._live if rules.strict else self._backlog
        self._given_up = False  # alarms of the backlog come in their turn
        self._ages: deque[tuple[int, float]] = deque()  # live rows up to this id came then
        self._run = 0  # live batches since the last one of the backlog
        self._reading: tuple[Read, int] | None = None

    def _begin(self, newest: int) -> int:
        """Everything up to this id is taken."""
        gap = self._taken.gap(0, newest + 1)
        return gap[0] - 1 if gap else newest

    @property
    def held(self) -> int:
        """Rows in memory."""
        return sum(len(lane.held) + len(lane.aside or ()) for lane in self._lanes.values())

    @property
    def idle(self) -> bool:
        """Nothing waits, in memory or on disk."""
        return not any(lane.held or lane.behind for lane in self._lanes.values())

    @property
    def taken(self) -> Intervals:
        """Ids that the broker has, that are in the air, or that are held here; to be read only."""
        return self._taken

    @property
    def reading(self) -> list[Span]:
        """Ids that are being read from the disk."""
        return self._reading[0].spans if self._reading else []

    def leave(self, spans: Iterable[Span]) -> None:
        """Pass these ids over; they are neither held nor being read."""
        for first, last in spans:
            self._taken.add(first, last)

    # What comes

    def offer(self, rows: Sequence[R], now_s: float) -> None:
        """Rows that were stored just now, in their order; what counts as backlog already is passed over."""
        if rows and rows[0].id <= self._newest:
            rows = [row for row in rows if row.id > self._newest]
        if not rows:
            return
        self._newest = rows[-1].id
        urgent = [row for row in rows if row.urgent]
        if urgent:
            self._own(self._alarm.offer(urgent))
            rows = [row for row in rows if not row.urgent]
        if rows and (held := self._live.offer(rows)):
            self._own(held)
            self._ages.append((held[-1].id, now_s))

    def _own(self, rows: Sequence[R]) -> None:
        if not rows:
            return
        if rows[-1].id - rows[0].id + 1 == len(rows):
            self._taken.add(rows[0].id, rows[-1].id)
            return
        for first, last in runs(row.id for row in rows):
            self._taken.add(first, last)

    def again(self, newest: int) -> None:
        """Look at everything on disk once more, up to id `newest`: rows got their date. Not while a reading is under way."""
        self._newest = max(self._newest, newest)
        begin = self._begin(self._newest)
        for lane in (self._alarm, self._slow):
            lane.upto, lane.behind = begin, begin < self._newest
        if not self.rules.strict:
            self._live.behind = False
            self._old = self._newest
        self._given_up = False

    # The disk

    def want(self) -> Read | None:
        """What to read next; None while a reading is under way, or when nothing is wanted."""
        if self._reading is not None:
            return None
        self._crowd()
        for name, lane in self._lanes.items():
            end = self._old if lane is self._backlog else self._newest
            if not lane.behind or 2 * len(lane.held) > lane.hold:
                continue
            spans = list(islice(self._taken.gaps(lane.upto, end + 1), _GAPS))
            if not spans:
                lane.behind = False
                continue
            lane.aside = []
            read = Read(name, spans, lane.hold // 2)
            self._reading = read, end
            return read
        return None

    def _crowd(self) -> None:
        """Each alarm out of the backlog leaves a hole: with too many of them the rest come in their turn."""
        if not self._given_up and len(self._taken) > SPANS and self._alarm.upto < self._old:
            self._given_up = True
            self._alarm.upto = self._old
            self._slow.upto, self._slow.behind = self._begin(self._old), True
        elif self._given_up and len(self._taken) <= SPANS // 2:
            self._given_up = False
            self._alarm.upto, self._alarm.behind = self._begin(self._old), True

    def came(self, rows: Sequence[R], upto: int, now_s: float, void: Iterable[Span] = ()) -> None:
        """The answer to `want`: its rows; every id of its spans up to `upto` was looked at, and none of `void` will ever be."""
        assert self._reading is not None
        (read, end), self._reading = self._reading, None
        lane = self._lanes[read.lane]
        aside, lane.aside = lane.aside, None
        # An alarm that this lane comes across is brought by its own, if that has not given up.
        mine = rows if lane is self._alarm else [row for row in rows if not row.urgent or self._in_turn(row)]
        self._own(mine)
        for first, last in void:
            self._taken.add(first, last)
        lane.put(mine)
        lane.upto = upto
        if aside is not None and self._taken.gap(upto, end + 1) is None:
            lane.behind = False
            self._own(aside)
            lane.put(aside)
        if lane is self._live and lane.held:
            self._ages.append((lane.held[-1].id, now_s))

    def _in_turn(self, row: R) -> bool:
        return self._given_up and row.id <= self._old

    # What leaves

    def next(self, now_s: float, flying: int, *, stopping: bool = False) -> Batch[R] | None:
        """The batch that leaves now, while `flying` are in the air; None when none does."""
        rules = self.rules
        if flying >= rules.window:
            return None
        if self._alarm.held:
            return Batch(ALARM, self._alarm.take(rules.batch))
        backlog = self._backlog
        old = backlog.held and (backlog.weight >= rules.batch or not backlog.behind)
        turn = old and self._run >= SHARE
        live = self._live
        if live.held and not turn and (live.weight >= rules.batch or stopping or self._due_s(now_s) <= 0):
            self._run = self._run + 1 if old else 0
            return Batch(STRICT if rules.strict else LIVE, live.take(rules.batch))
        if turn or (old and flying < max(1, rules.window - RESERVE)):
            self._run = 0
            return Batch(BACKLOG, backlog.take(rules.batch))
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the live batch leaves without company, None where no live reading waits."""
        return self._due_s(now_s) if self._live.held else None

    def _due_s(self, now_s: float) -> float:
        ages, first = self._ages, self._live.held[0].id
        while ages[0][0] < first:
            ages.popleft()
        # A clock that went back must not hold a batch for longer than its age.
        return min(self.rules.age_s, max(0.0, ages[0][1] + self.rules.age_s - now_s))
