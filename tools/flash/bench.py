"""Which board is at which port: as it was said, or as the chips say that hang there. Nothing is guessed."""

import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.diag.service import Port, Service
from tools.flash import connect, esp, identify, micropython, ports
from tools.flash.job import CONSOLE, REPL, SILENT
from tools.fleet import find_board
from tools.i18n import _

PROBE_S = 1.5


class Place(NamedTuple):
    """A port, what is there, and which chip (empty: it does not say). connection: its REPL where it was entered already."""

    port: str
    there: str = ""
    uid: str = ""
    connection: connect.Connection | None = None


@dataclass
class Bench:
    """Which board is at which port. `places`: by board's name; `faults`: boards that are nowhere; `others`: ports with a chip
    that is none of the boards that were asked for."""

    places: dict[str, Place] = field(default_factory=dict)
    faults: dict[str, HostError] = field(default_factory=dict)
    others: list[Place] = field(default_factory=list)


def assign(inv: Inventory, boards: Iterable[Board], named: Sequence[str]) -> Bench:
    """Match boards and ports. named: the words of --port, `BOARD=PORT` binds one; the others are a pool, whose chips are asked.

    Without a pool the USB ports are one. Nothing is guessed: a board goes where it is bound to, or where its chip is.
    HostError: no_device, ambiguous, unknown_board.
    """
    boards = list(boards)
    bound, pool = _sorted_out(inv, named)
    bench = Bench(places={name: Place(port) for name, port in bound.items()})
    seeking = [board for board in boards if board.name not in bound]
    if not seeking:
        return bench
    if len(boards) == 1 and len(pool) <= 1:
        bench.places[boards[0].name] = _the_place(inv, boards[0], pool)
        return bench
    if not pool:
        pool = [each.device for each in ports.candidates() if each.device not in bound.values()]
    _by_chip(bench, inv, seeking, pool)
    return bench


def _sorted_out(inv: Inventory, named: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    bound: dict[str, str] = {}
    pool: list[str] = []
    for word in named:
        name, equals, port = word.partition("=")
        if equals and not set(name) & set("/:?"):  # no path, no address
            bound[find_board(inv, name).name] = ports.resolve(port)
        else:
            pool.append(ports.resolve(word))
    taken = sorted({port for port in [*bound.values(), *pool] if [*bound.values(), *pool].count(port) > 1})
    if taken:
        raise HostError("ambiguous", _("a port was named twice"), ", ".join(taken), _("a port has one board"))
    return bound, pool


def _the_place(inv: Inventory, board: Board, pool: Sequence[str]) -> Place:
    if pool:
        return Place(pool[0])
    known = ports.for_chip(board.uid) if board.uid else None
    if known:
        return Place(known)
    drives = micropython.bootsel(inv.presets.boards[board.type])
    others = ports.candidates()
    if drives and others:
        there = [str(drive.folder) for drive in drives] + [str(other) for other in others]
        raise HostError("ambiguous", _("a board is in BOOTSEL mode, and others are plugged in"), ", ".join(there),
                        _("plug in one alone, or name its port: --port PORT"))  # fmt: skip
    return Place("", SILENT) if drives else Place(ports.resolve("auto"))


def _by_chip(bench: Bench, inv: Inventory, seeking: Sequence[Board], pool: Sequence[str]) -> None:
    says = {port: board.uid for board in seeking if board.uid and (port := ports.for_chip(board.uid)) and port in pool}
    asked = [port for port in pool if port not in says]
    found = [*(Place(port, uid=uid) for port, uid in says.items()), *_all_asked(asked)]
    found = _by_loaders(inv, seeking, found)
    by_uid = {place.uid: place for place in found if place.uid}
    for board in seeking:
        if board.uid in by_uid:
            bench.places[board.name] = by_uid.pop(board.uid)
    used = [place.port for place in bench.places.values()]
    bench.others = [place for place in found if place.port not in used]
    _leave(bench.others)
    there = ", ".join(f"{place.port}: {_named(inv, place)}" for place in bench.others)
    lost = [board for board in seeking if board.name not in bench.places]
    for board in lost:
        kind = inv.presets.boards[board.type]
        alone = len([other for other in lost if inv.presets.boards[other.type].micropython == kind.micropython]) == 1
        if alone and len(micropython.bootsel(kind)) == 1:
            bench.places[board.name] = Place("", SILENT)
        else:
            bench.faults[board.name] = _nowhere(inv, board, there)


def _by_loaders(inv: Inventory, seeking: Sequence[Board], found: Sequence[Place]) -> list[Place]:
    """An ESP32 without MicroPython says nothing, but its loader tells its chip: asked where such a board is still sought."""
    there = {place.uid for place in found}
    if not any(board.uid not in there and inv.presets.boards[board.type].platform == "esp32" for board in seeking):
        return list(found)
    with ThreadPoolExecutor(max(1, len(found))) as threads:
        return list(threads.map(lambda place: _by_loader(place) if place.there == SILENT else place, found))


def _by_loader(place: Place) -> Place:
    try:
        return place._replace(uid=esp.identify(place.port).uid)
    except HostError as error:
        return place._replace(there=error.name) if error.name == "missing_tool" else place


def _all_asked(names: Sequence[str]) -> list[Place]:
    """Who is at each of these ports, all asked at once. Ctrl-C leaves each of them running its own program."""
    with ThreadPoolExecutor(max(1, len(names))) as threads:
        asked = [threads.submit(who_is_there, name) for name in names]
        try:
            return [each.result() for each in asked]
        except BaseException:
            _leave([each.result() for each in asked])
            raise


def _leave(places: Iterable[Place]) -> None:
    for place in places:
        if place.connection:
            with contextlib.suppress(HostError):
                place.connection.restart()
            place.connection.close()


def _nowhere(inv: Inventory, board: Board, there: str) -> HostError:
    what = _("{board} is not among the boards that are plugged in").format(board=board.name)
    hint = _("plug it in, or say where it is: --port {board}=PORT").format(board=board.name)
    if board.uid is None:
        what = _("boards.yaml does not know yet which chip {board} is").format(board=board.name)
        hint = _("say where it is, and that it is this one: --adopt --port {board}=PORT").format(board=board.name)
    return HostError("no_device", what, there or inv.where(board.name), hint)


def _named(inv: Inventory, place: Place) -> str:
    owner = next((board.name for board in inv.boards.values() if board.uid and board.uid == place.uid), "")
    return owner or place.uid or place.there or "?"


def who_is_there(port: str) -> Place:
    """Ask a port which chip hangs there: in its REPL, which stays entered, else by its console. Nobody there: no uid."""
    try:
        connection = connect.Connection(port)
    except HostError as error:
        if error.name == "repl_closed":
            return _by_console(port)
        return Place(port, SILENT if error.name == "no_device" else error.name)
    try:
        return Place(port, REPL, identify.ask(connection).uid, connection)
    except HostError as error:
        connection.close()
        return Place(port, error.name)


def _by_console(port: str) -> Place:
    try:
        line = Port(port)
    except HostError as error:
        return Place(port, error.name)
    try:
        return Place(port, CONSOLE, Service(line, lambda _identity: b"").greet(PROBE_S, 1).uid)
    except HostError as error:
        return Place(port, error.name)
    finally:
        line.close()
