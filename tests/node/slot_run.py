"""Runs a slot as the launcher does, on the board of fake/machine.py. MicroPython only; `python slot_run.py` is no test.

`load(folder)` climbs the boot ladder as main.py does, without running; `start(folder, role, host)` makes the application.
"""

import sys

import machine


def load(folder):
    """Load ladder and slot as main.py does, and free what the launcher frees."""
    global ladder
    sys.path.insert(0, folder)
    module = __import__("ladder")
    ladder, _ = module.up(machine.WDT(timeout=8000), folder + "/")
    module.lighten()


def start(folder, role, host):
    """The application, with `host` on its serial line, after what only the start needs is gone."""
    from firmware.node.board import Board
    from firmware.node.console import Console
    from firmware.node.forget import forget_start

    app_module = __import__(f"firmware.{role}.app", None, None, ("run",))
    app = app_module._start(Board(role, Console(host, host), ladder), folder + "/")
    forget_start()
    return app
