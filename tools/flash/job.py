"""A board on its way into service: what was asked for, and all that is known of it so far."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from firmware.node.manifest import kind_of
from gateway.bundle import Bundle
from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.diag.selftest import Check
from tools.flash import uplink
from tools.flash.config import board_config
from tools.flash.connect import Connection
from tools.flash.identify import Found
from tools.flash.progress import Progress
from tools.flash.running import Hello, Running, service_key
from tools.flash.write import Plan

APPLIED, ALREADY_SO, FAILED = "applied", "already so", "failed"
REPL, CONSOLE, SILENT = "repl", "console", "silent"  # as connect.what_is_there has them


class Halt(Exception):  # noqa: N818 - no fault: everything stops at a safe point
    """Ctrl-C was hit."""


class Item(NamedTuple):
    """One thing that a board shall have: `result` is APPLIED, ALREADY_SO or FAILED."""

    item: str
    result: str
    why: str


@dataclass(frozen=True)
class How:
    """What the command line says, for all boards.

    confirm(board, question) raises HostError where nobody says yes; halt() raises Halt once all shall stop.
    micropython: missing, old, always, never; None: as `old` where an image is at hand. uplink_s: None for as long as it takes.
    release: the one to take, else one of `releases`, by kind.
    """

    inv: Inventory
    secrets: Path
    issued: Mapping[str, Mapping[str, str]]
    confirm: Callable[[str, str], None]
    halt: Callable[[], None]
    trust: bytes | None = None
    release: Bundle | None = None
    releases: Mapping[str, Bundle] = field(default_factory=dict)
    micropython: str | None = None
    bundle: Path | None = None
    adopt: bool = False
    selftest: bool = True
    uplink_s: float | None = None
    upstream: uplink.Upstream | None = None
    record: Path | None = None
    labels: Path | None = None
    dry_run: bool = False


@dataclass
class Job:
    """A board on its way.

    adopted: the chip that is bound to the entry now; missing: why there is no REPL; micropython_sha256: of the image that was
    put on; closed: in production, its REPL was closed; sent: bytes of a release; piv: the counter that comes next.
    """

    how: How
    entry: Board
    steps: Progress
    port: str | None = None
    there: str = ""
    connection: Connection | None = None
    running: Running | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    found: Found | None = None
    uid: str | None = None
    adopted: str | None = None
    missing: HostError | None = None
    micropython_sha256: str | None = None
    closed: bool = False
    fresh_counter: bool = False
    todo: Plan = field(default_factory=lambda: Plan([], [], []))
    sent: int = 0
    hello: Hello | None = None
    log: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    piv: int | None = None
    seen: uplink.Seen | None = None
    uplink_said: str = ""
    items: list[Item] = field(default_factory=list)
    error: HostError | None = None
    halted: bool = False
    left_out: bool = False
    seconds: float = 0.0

    @property
    def result(self) -> str:
        """What became of the board."""
        if self.error or self.halted:
            return FAILED
        return APPLIED if any(item.result == APPLIED for item in self.items) else ALREADY_SO

    @property
    def release(self) -> Bundle | None:
        """The release that this board gets, where its REPL is closed."""
        return self.how.release or self.how.releases.get(self.kind)

    @property
    def kind(self) -> str:
        """What decides which modules it has."""
        return str(kind_of(board_config(self.how.inv, self.entry)))

    @property
    def repl(self) -> Connection:
        """The REPL that was entered."""
        assert self.connection is not None
        return self.connection

    @property
    def program(self) -> Running:
        """The board's program that was started, or greeted."""
        assert self.running is not None
        return self.running

    @property
    def where(self) -> str:
        """The place of an error."""
        return self.port or self.entry.name

    def confirm(self, question: str) -> None:
        """Somebody says yes to this, or HostError (unconfirmed). A board in its REPL waits meanwhile."""
        with self.connection.awake() if self.connection else contextlib.nullcontext():
            self.how.confirm(self.entry.name, question)

    def item(self, name: str, changed: bool, why: str) -> None:
        """Note what became of one thing, and say it."""
        self.items.append(Item(name, APPLIED if changed else ALREADY_SO, why))
        self.steps.done(why)

    def listen(self, line: Any) -> Running:
        """The running program at a line (of service.Line), which is asked under the board's own key."""
        where = (line.name, str(self.how.secrets))
        self.running = Running(line, lambda who: service_key(who, self.entry, self.how.issued, where), self.how.halt)
        self.log = self.running.log
        return self.running

    def leave(self) -> None:
        """Whatever went wrong, the board goes on with what it has, and its port is free."""
        if self.connection:
            with contextlib.suppress(HostError):  # it is gone
                self.connection.restart()
        self.free()

    def free(self) -> None:
        """Let go of the port; the board stays as it is."""
        if self.connection:
            self.connection.close()
        if self.running:
            self.running.close()
        self.connection = self.running = None
