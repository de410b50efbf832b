"""A daemon that breaks its word on purpose, so that who watches it can be watched: SABOTAGE names how, the rest is its command.

early: what was stored is acknowledged and committed later. unsynced: it never asks the disk to sync. unacked: what was given to
the broker counts as delivered. twice: what was heard before is new again.
"""

import asyncio
import inspect
import os
import sqlite3


class _Early(sqlite3.Connection):
    """Says yes to COMMIT, and does it when the next transaction begins."""

    owed = False

    def execute(self, sql, *values):
        if sql == "COMMIT":
            self.owed = True
            return super().execute("SELECT 1")
        if sql.startswith("BEGIN") and self.owed:
            self.owed = False
            super().execute("COMMIT")
        return super().execute(sql, *values)


class _Unsynced(sqlite3.Connection):
    def execute(self, sql, *values):
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *values)


def _connect(kind):
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **options: connect(*args, factory=kind, **options)


def early():
    _connect(_Early)


def unsynced():
    _connect(_Unsynced)


def unacked():
    from gateway.upstream.session import Session

    run = Session.run

    async def sabotaged(self, work):
        def careless(publish):
            def promise(*args, **options):
                real = asyncio.ensure_future(publish(*args, **options))
                real.add_done_callback(lambda done: done.cancelled() or done.exception())
                given = asyncio.get_running_loop().create_future()
                given.set_result(None)
                return given

            async def promised(*args, **options):
                await promise(*args, **options)

            return work(promised if inspect.iscoroutinefunction(publish) else promise)

        await run(self, careless)

    Session.run = sabotaged


def twice():
    from firmware.wire.host.window import Window
    from gateway.ingress.source import Numbering

    heard = Numbering.heard
    Numbering.heard = lambda self, seq, frame: heard(self, seq, frame) and False
    Window.duplicate = lambda *_: False
    Window.verdict = lambda *_: None


if __name__ == "__main__":
    from gateway.command import main

    globals()[os.environ["SABOTAGE"]]()
    main()
