"""Ctrl-C at a simulated board (board_repl.py), and the modules of that board whose waits it ends."""

import select
import time


class Keys:
    """Ctrl-C: a key to the prompt, KeyboardInterrupt to code, and lost on code that has closed this way in by kbd_intr().

    Code is interrupted where it waits, feeds a watchdog, or ends. SIGINT would do so anywhere: this port raises it out of its
    signal handler, in the midst of a garbage collection or of the file system, which are of no use afterwards.
    """

    code_runs = closed = False

    def listen(self, path):
        """Hear of it by the pipe at `path`."""
        self.file = open(path, "rb")  # noqa: SIM115
        self.waiting = select.poll()
        self.waiting.register(self.file, select.POLLIN)

    def take(self):
        """Was it pressed?"""
        return bool(self.waiting.poll(0) and self.file.read(1))

    def check(self):
        """Interrupt the code that runs, where it was."""
        if self.code_runs and self.take() and not self.closed:
            raise KeyboardInterrupt

    def sleep_ms(self, ms):
        """Sleep until it is, or for so long."""
        end = time.ticks_add(time.ticks_ms(), ms)
        while True:
            left_ms = max(0, time.ticks_diff(end, time.ticks_ms()))
            self.waiting.poll(left_ms)
            self.check()
            if not left_ms:
                return


keys = Keys()


class Poll:
    """select.poll(), whose waits Ctrl-C ends."""

    def __init__(self):
        self.real = select.poll()
        self.real.register(keys.file, select.POLLIN)

    def poll(self, timeout_ms=-1):
        found = [each for each in self.real.poll(timeout_ms) if each[0] is not keys.file]
        keys.check()
        return found

    ipoll = poll

    def __getattr__(self, name):
        return getattr(self.real, name)


class BoardSelect:
    """`select` as this board has it."""

    poll = Poll

    def __getattr__(self, name):
        return getattr(select, name)


class BoardTime:
    """`time` as this board has it."""

    @staticmethod
    def sleep(seconds):
        keys.sleep_ms(int(seconds * 1000))

    @staticmethod
    def sleep_ms(ms):
        keys.sleep_ms(ms)

    def __getattr__(self, name):
        return getattr(time, name)
