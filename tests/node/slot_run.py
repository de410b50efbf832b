"""Runs a slot as the launcher does, on the board of fake/machine.py. MicroPython only; `python slot_run.py` is no test.

`load(folder)` imports what the launcher imports, in its order; `start(folder, role, host)` makes the application.
"""

import sys


def load(folder):
    """Import the slot's modules in the launcher's order."""
    sys.path.insert(0, folder + "/a")
    with open(folder + "/a/modules") as names:
        for name in names:
            __import__(name.strip())


def start(folder, role, host):
    """The application, with `host` on its serial line, after what only the start needs is gone."""
    from firmware.node.board import Board
    from firmware.node.console import Console
    from firmware.node.forget import forget_start

    app_module = __import__(f"firmware.{role}.app", None, None, ("run",))
    app = app_module._start(Board(role, Console(host, host)), folder + "/")
    forget_start()
    return app
