"""The town's end: what is under way arrives, board after board stops, and the books are closed."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from gateway.books import Books, Counts
from tools.twin import books
from tools.twin.member import Member

if TYPE_CHECKING:
    from tools.twin.town import Town

_QUIET_US = 600_000_000  # longest town time for what is under way at the end
_DRAIN_S = 60.0
_SLICE_S = 0.02


def drain(town: Town) -> None:
    """Let what is under way arrive: nodes stop at a quiet moment, then the bridge, then the daemon, when all is read back."""
    town.view.note("the town ends; what is under way is drained")
    if town.kills.left and town.daemon.up:
        town.kill(town.daemon.starts)  # its moment did not come; the last life is to live
    town.kills.left = 0
    limit_us = town.clock.now_us + _QUIET_US
    nodes = [member for member in town.members if member.board.role == "node"]
    for group in (nodes, [member for member in town.members if member.board.role != "node"]):
        waiting = group
        while waiting:
            late = town.clock.now_us > limit_us
            for member in waiting:
                if late or (member.quiet(town.ledger) and (member in nodes or _bridge_empty(town))):
                    _switch_off(town, member)
            waiting = [member for member in waiting if member.process.running]
            town.run_for(50_000)
    town.ledger.close()
    _drain_daemon(town)


def _bridge_empty(town: Town) -> bool:
    if any(member.chip is not None and member.chip.emission is not None for member in town.members):
        return False
    return not any(town.ledger.on_bridge(page) for page in town.ledger.pages.values())


def _switch_off(town: Town, member: Member) -> None:
    """Ctrl-C where there is a cable, else cut the power."""
    if member.cable is not None:
        member.process.feed(b"\x03")
        town.clock.run_until(town.clock.now_us + 1_000_000)
        if member.process.running or member.process.exit_code == 2:
            town.ledger.faults.append(f"{member.name}: did not end by Ctrl-C")
    member.process.power_off()


def _drain_daemon(town: Town) -> None:
    deadline = time.monotonic() + _DRAIN_S + town.options.cut_s
    while not _read_back(town):
        if time.monotonic() > deadline:
            town.surprises["not read back in time"] += 1
            break
        town.run_for(250_000)
        time.sleep(_SLICE_S)
    code = town.daemon.stop()
    town.daemon.pump()
    if code != 0:
        town.ledger.faults.append(f"the daemon ended with {code}\n{town.daemon.stderr_tail()}")


def _read_back(town: Town) -> bool:
    if not town.daemon.up:
        return False
    try:
        with contextlib.closing(Books(town.folder / "store.db")) as store:
            if store.backlog() or store.waiting():
                return False
            published = sum(counts.readings_published for counts in store.counts().values())
    except sqlite3.Error:
        return False
    return town.reader.count() >= published


def document(town: Town) -> dict[str, Any]:
    """The document; `violations` says in words what does not balance."""
    with contextlib.closing(Books(town.folder / "store.db")) as store:
        counts, counters = store.counts(), store.counters()
    read = town.reader.snapshot()
    boards: dict[str, Any] = {}
    surprises = town.surprises + Counter(values_that_changed=town.reader.conflicts, unreadable=town.reader.unreadable)
    for name, page in town.ledger.pages.items():
        boards[name] = books.board_books(page, counts.get(page.kid, Counts()), read, town.options.kill > 0)
        surprises += books.compare(page, read)
    known = {(page.site, page.kid) for page in town.ledger.pages.values()}
    surprises["strangers"] = sum((site, kid) not in known for site, kid, _ in read)
    document: dict[str, Any] = {
        "seed": town.options.seed,
        "town_seconds": round(town.clock.now_us / 1e6, 3),
        "wall_seconds": round(time.monotonic() - town.begun, 3),
        "totals": books.totals(boards),
        "boards": boards,
        "surprises": {name: n for name, n in surprises.items() if n},
        "daemon": {"starts": town.daemon.starts, "killed": town.kills.done, "counters": counters},
        "cables": {
            "resent": town.ledger.resent,
            "late_handled": sum(cable.late_handled for cable in town.cables),
            "broker_cuts": town.proxy.cuts,
        },
        "requests": sum(member.process.calls for member in town.members),
        "faults": town.ledger.faults,
    }
    document["violations"] = books.check(document)
    return document
