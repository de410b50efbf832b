"""Several boards at once: a thread each, and one place for questions, for Ctrl-C and for what became of them."""

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from gateway import record
from gateway.errors import HostError
from tools.flash import keep, outcome
from tools.flash.bench import Bench, Place
from tools.flash.deploy import deploy, make_files
from tools.flash.job import Halt, Job

TICK_S = 0.1  # how soon a question or Ctrl-C is noticed


class Stop:
    """Ends everything at safe points: `halt` raises Halt in each thread once `now` was called."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def now(self) -> None:
        """All shall stop."""
        self._event.set()

    @property
    def hit(self) -> bool:
        """Shall all stop?"""
        return self._event.is_set()

    def halt(self) -> None:
        """Raise Halt where all shall stop."""
        if self.hit:
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
        """Called by the main thread: ask what waits. Ctrl-C is an answer as well: all shall stop."""
        while not self._waiting.empty():
            question, answer = self._waiting.get()
            try:
                with ctrl_c(signal.default_int_handler):
                    answer.put(self._put(question))
            except (KeyboardInterrupt, click.Abort):
                self._stop.now()
                return


@contextlib.contextmanager
def ctrl_c(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """What Ctrl-C does meanwhile. In a thread, which it does not reach, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def leave_out(jobs: Sequence[Job]) -> None:
    """Leave out what the record says is in service with these very files. HostError (bad_record)."""
    path = jobs[0].how.record
    entries = record.read(path) if path else []
    for job in jobs:
        with contextlib.suppress(HostError):  # what cannot be built is said when it is tried
            make_files(job)
            last = keep.in_service(entries, job.entry, job.files)
            if last:
                job.left_out, job.uid = True, job.entry.uid
                job.item("record", False, keep.said(last))


def run(jobs: Sequence[Job], bench: Bench, stop: Stop, questions: Questions) -> bool:
    """Take all jobs to their end, a thread each. True when Ctrl-C was hit: then each has stopped at a safe point.

    What ends the whole command (a library that is missing) is raised, after every board was left in order.
    """
    crashes: list[BaseException] = []

    def work(job: Job) -> None:
        try:
            deploy(job)
        except BaseException as error:  # of one thread; the main one raises it
            crashes.append(error)
        if len(jobs) > 1:
            outcome.say_end(job)

    threads = [threading.Thread(target=work, args=(job,), daemon=True) for job in jobs if _placed(job, bench)]
    # No exception: one in the midst of a join() makes Python take a thread for ended that is not.
    with ctrl_c(lambda _number, _frame: stop.now()):
        for thread in threads:
            thread.start()
        while alive := [thread for thread in threads if thread.is_alive()]:
            questions.serve()
            alive[0].join(TICK_S)
    if crashes:
        raise crashes[0]
    return stop.hit


def _placed(job: Job, bench: Bench) -> bool:
    """Is there something to be done for this board, and a place where?"""
    place = bench.places.get(job.entry.name, Place(""))
    job.port, job.there, job.connection = place.port or None, place.there, place.connection
    job.error = bench.faults.get(job.entry.name)
    if job.error:
        keep.keep(job)
        outcome.say_end(job)
    return not job.error and not job.left_out
