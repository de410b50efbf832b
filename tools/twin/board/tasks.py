"""Task and TaskQueue in plain Python, with the interface that MicroPython's asyncio.core asks of its `_asyncio`.

The built-in ones stamp tasks with the machine's own ticks; these take `time.ticks_ms` and so follow the town's clock.
Put this module into `sys.modules["_asyncio"]` before asyncio is imported for the first time (`virtual` does).
"""

import sys
from time import ticks_diff, ticks_ms


def _core():
    return sys.modules["asyncio.core"]


class TaskQueue:
    """Tasks by the ticks at which they are due; those of one moment in the order in which they came."""

    def __init__(self):
        self.tasks = []

    def peek(self):
        return self.tasks[0] if self.tasks else None

    def push(self, task, due=None):
        task.data = None
        task.ph_key = due = ticks_ms() if due is None else due
        at = len(self.tasks)
        while at and ticks_diff(self.tasks[at - 1].ph_key, due) > 0:
            at -= 1
        self.tasks.insert(at, task)

    def pop(self):
        return self.tasks.pop(0)

    def remove(self, task):
        self.tasks.remove(task)


class Task:
    """A coroutine on its way. `state`: True under way, a TaskQueue of those who wait for its end or a function to
    call then, None ended and not yet awaited, False ended and awaited. `data`: what it waits on (a Task or a queue),
    the exception to throw into it, or the exception or StopIteration that it ended with."""

    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if self.state is True:
            self.state = TaskQueue()
        elif not self.state:
            self.state = False
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data or StopIteration
        waiting = _core().cur_task
        self.state.push(waiting)
        waiting.data = self

    def done(self):
        return not self.state

    def cancel(self):
        """Throw CancelledError into the task, or into the one that it waits for. False when it has ended."""
        core = _core()
        if not self.state:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):  # it waits in a queue of its own: of a lock, an event or a stream
            task.data.remove(task)
            core._task_queue.push(task)
        elif ticks_diff(task.ph_key, ticks_ms()) > 0:  # it sleeps
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True
