"""Several boards at once: which is at which port, a thread each, and what became of them."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.diag.service import Port, Service
from tools.flash import connect, identify, ports
from tools.flash.deploy import deploy
from tools.flash.job import CONSOLE, REPL, SILENT, Halt, Job
from tools.i18n import _

TICK_S = 0.1  # how soon a question or Ctrl-C is noticed
PROBE_S = 1.5


class Place(NamedTuple):
    """A port, what is there, and which chip (empty: it does not say). connection: its REPL where it was entered already."""

    port: str
    there: str = ""
    uid: str = ""
    connection: connect.Connection | None = None


class Stop:
    """Ends everything at safe points: `halt` raises Halt in each thread once `now` was called."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def now(self) -> None:
        """All shall stop."""
        self._event.set()

    def halt(self) -> None:
        """Raise Halt where all shall stop."""
        if self._event.is_set():
            raise Halt


class Questions:
    """What threads want to know of the person, asked one after the other by the main thread. `put(question) -> bool`."""

    def __init__(self, put: Callable[[str], bool], stop: Stop) -> None:
        self._put = put
        self._stop = stop
        self._waiting: queue.Queue[tuple[str, queue.Queue[bool]]] = queue.Queue()

    def ask(self, question: str) -> bool:
        """Called by a board's thread; returns what the person says. Halt when all shall stop."""
        answer: queue.Queue[bool] = queue.Queue()
        self._waiting.put((question, answer))
        while True:
            self._stop.halt()
            with contextlib.suppress(queue.Empty):
                return answer.get(timeout=TICK_S)

    def serve(self) -> None:
        """Called by the main thread: ask what waits."""
        with contextlib.suppress(queue.Empty):
            while True:
                question, answer = self._waiting.get_nowait()
                answer.put(self._put(question))


def run(jobs: Sequence[Job], stop: Stop, questions: Questions) -> bool:
    """Take all jobs to their end, a thread each. True when Ctrl-C was hit: then each has stopped at a safe point.

    What ends the whole command (a library that is missing) is raised, after every board was left in order.
    """
    crashes: list[BaseException] = []

    def work(job: Job) -> None:
        try:
            deploy(job)
        except BaseException as error:  # of one thread; the main one raises it
            crashes.append(error)

    threads = [threading.Thread(target=work, args=(job,), name=job.entry.name, daemon=True) for job in jobs]
    interrupted = False
    for thread in threads:
        thread.start()
    while alive := [thread for thread in threads if thread.is_alive()]:
        try:
            questions.serve()
            alive[0].join(TICK_S)
        except KeyboardInterrupt:
            interrupted = True
            stop.now()
    if crashes:
        raise crashes[0]
    return interrupted


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
        bench.places[boards[0].name] = Place(_the_port(boards[0], pool))
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
        if equals and name in inv.boards:
            bound[name] = ports.resolve(port)
        else:
            pool.append(ports.resolve(word))
    taken = sorted({port for port in [*bound.values(), *pool] if [*bound.values(), *pool].count(port) > 1})
    if taken:
        raise HostError("ambiguous", _("a port was named twice"), ", ".join(taken), _("a port has one board"))
    return bound, pool


def _the_port(board: Board, pool: Sequence[str]) -> str:
    if pool:
        return pool[0]
    return (board.uid and ports.for_chip(board.uid)) or ports.resolve("auto")


def _by_chip(bench: Bench, inv: Inventory, seeking: Sequence[Board], pool: Sequence[str]) -> None:
    says = {port: board.uid for board in seeking if board.uid and (port := ports.for_chip(board.uid)) and port in pool}
    asked = [port for port in pool if port not in says]
    with ThreadPoolExecutor(max(1, len(asked))) as threads:
        found = [*(Place(port, uid=uid) for port, uid in says.items()), *threads.map(who_is_there, asked)]
    by_uid = {place.uid: place for place in found if place.uid}
    for board in seeking:
        if board.uid in by_uid:
            bench.places[board.name] = by_uid.pop(board.uid)
    used = [place.port for place in bench.places.values()]
    bench.others = [place for place in found if place.port not in used]
    for place in bench.others:
        if place.connection:
            with contextlib.suppress(HostError):
                place.connection.restart()
            place.connection.close()
    there = ", ".join(f"{place.port}: {_named(inv, place)}" for place in bench.others)
    for board in seeking:
        if board.name not in bench.places:
            what = _("{board} is not among the boards that are plugged in").format(board=board.name)
            hint = _("plug it in, or say where it is: --port {board}=PORT").format(board=board.name)
            if board.uid is None:
                what = _("boards.yaml does not know yet which chip {board} is").format(board=board.name)
            bench.faults[board.name] = HostError("no_device", what, there or inv.where(board.name), hint)


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


def counted(jobs: Iterable[Job]) -> Mapping[str, int]:
    """How many boards came to which result."""
    results = [job.result for job in jobs]
    return {name: results.count(name) for name in ("applied", "already so", "failed")}
