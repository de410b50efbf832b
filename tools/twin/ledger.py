"""Who writes the pages of the books while the town lives: outcomes of the air, messages on the cables, log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from gateway.inventory import Board
from tools.twin.books import Copy, Page, page
from tools.twin.clock import Clock
from tools.twin.tap import taken


class Ledger:
    """`pages` by name of the node. `bridges`: names of the radio bridges."""

    def __init__(self, clock: Clock, boards: list[Board], secrets: dict[str, str]) -> None:
        self.clock = clock
        self.pages: dict[str, Page] = {
            board.name: page(board.site, board.kid, board.link == "serial", secrets[board.kid])
            for board in boards
            if board.kid is not None
        }
        self.names = {(board.site, kid): board.name for board in boards for kid in board.kids}
        self.faults: list[str] = []
        self.resent = 0
        self.foreign = 0
        self.links: dict[str, tuple[float, float, int]] = {}  # by node: rssi dBm, snr dB, when heard last
        self.on_taken: Callable[[str, int, dict[int, int | bool | str]], object] = lambda name, piv, values: None
        self._bridges = {board.name for board in boards if board.role == "bridge"}
        self._site = boards[0].site if boards else ""
        self._boots: Counter[str] = Counter()
        self._open: dict[tuple[str, int, int], str] = {}  # (cable, boot, seq) -> node, not yet handled
        self._known: set[tuple[str, int, int]] = set()

    # -- the air

    def outcome(self, sender: str, receiver: str, payload: bytes, reason: str | None) -> None:
        """The end of a frame at a receiver."""
        sheet = self.pages.get(sender)
        if sheet is None or receiver not in self._bridges:
            return
        try:
            piv = parse(payload).piv
        except WireError:
            self.foreign += 1
            return
        sheet.copies.append(Copy(piv, bytes(payload), reason))

    def transmitted(self, name: str) -> set[int]:
        """PIVs of a node whose transmission, or way down its cable, has ended."""
        return {copy.piv for copy in self.pages[name].copies}

    # -- the cables

    def booted(self, cable: str) -> None:
        """The board of a cable numbers its frames from 1 again."""
        self._boots[cable] += 1

    def heard(self, cable: str, message: list[Any]) -> None:
        """A message [1] came down a cable, to the daemon or, while there is none, to nobody."""
        seq, frame, rssi_dbm, snr_x4 = message[1:5]
        try:
            found = parse(frame)
        except WireError:
            self.foreign += 1
            return
        name = self.names.get((self._site, found.kid.hex()))
        if name is None:
            self.foreign += 1
            return
        key = (cable, self._boots[cable], seq)
        if key in self._known:
            self.resent += 1
            return
        self._known.add(key)
        self._open[key] = name
        sheet = self.pages[name]
        if cable == name:
            sheet.copies.append(Copy(found.piv, bytes(frame), None))
        else:
            sheet.forwarded[found.piv] += 1
        self.links[name] = (rssi_dbm or 0.0, (snr_x4 or 0) / 4, self.clock.now_us)

    def handled(self, cable: str, seq: int) -> None:
        """The daemon has every frame of a cable up to `seq`."""
        boot = self._boots[cable]
        for key in [key for key in self._open if key[0] == cable and key[1] == boot and key[2] <= seq]:
            del self._open[key]

    def open_count(self, cable: str) -> int:
        """Frames that came down a cable and are not handled."""
        return sum(key[0] == cable for key in self._open)

    def close(self) -> None:
        """The end: what no daemon ever took."""
        for name in self._open.values():
            self.pages[name].unhandled += 1
        self._open.clear()

    # -- the boards' own words

    def log(self, name: str, text: str) -> None:
        """A log line of a board."""
        found = taken(text)
        sheet = self.pages.get(name)
        if found is not None and sheet is not None:
            piv, values = found
            sheet.taken[piv] = values
            sheet.taken_us[piv] = self.clock.now_us
            self.on_taken(name, piv, values)
        elif text.startswith("error "):
            if sheet is not None:
                sheet.errors[text.split()[1]] += 1
        elif "Traceback" in text:
            self.faults.append(f"{name}: {text}")

    def on_bridge(self, sheet: Page) -> int:
        """Frames of a radio node that a bridge has received and not yet passed on."""
        if sheet.wired:
            return 0
        heard = Counter(copy.piv for copy in sheet.copies if copy.reason is None)
        return sum(max(0, n - sheet.forwarded[piv]) for piv, n in heard.items())
