"""A technician's desk: a Pico with a bin's sensor on it, an inventory that knows it, and the command `jourdain`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import pytest
from desk import Desk
from emulator import Pico
from first_frame import messages
from solder import Air, solder

from firmware.wire import cbor, hdlc, link
from firmware.wire.frame import parse
from firmware.wire.seal import derive, unseal
from gateway.inventory import load
from tools.keys import secrets
from tools.twin.circuit import build
from tools.twin.nature import Nature

HERE = Path(__file__).resolve().parent
BOARD, KID, UID = "bin-desk", "0001", "ff" * 8  # what the emulated flash chip says
# As few bytes as a board can have: on a cable, with one sensor.
TOWN = Template("""
sites:
  desk: {title: Desk, plan: none}
plans:
  none: {band: eu868, freq_hz: 868100000, sf: 9, bw_hz: 125000, cr: 5, power_dbm: 14}
gateways:
  desk: {site: desk, title: Desk, position: [48.64820, -2.82260], role: controller}
boards:
  $board:
    title: Bin on the desk
    type: pico
    service: bin
    link: serial
    gateway: desk
    uid: "$uid"
    kids: ["$kid"]
    position: [48.64812, -2.82271]
    report_s: $report_s
    settings: {empty_mm: 1150, full_mm: 250}
    sensors: {distance: a02yyuw}
""")
PASSPHRASE = "a Pico lies on the desk"
COMMAND_S = 500  # of wall time


class Said(NamedTuple):
    """How a command ended. `wall_s`: what it took here; `board_s`: by the board's clock, as beside a real one."""

    code: int
    out: str
    err: str
    wall_s: float
    board_s: float

    @property
    def document(self) -> Any:
        """What it said with --json."""
        return json.loads(self.out)


class Workshop:
    """A folder with boards.yaml and secrets.json, and `desk`, on which the board lies: empty, or with what `flash` holds."""

    def __init__(self, folder: Path, uf2: Path | None = None, flash: bytes = b"") -> None:
        self.folder = folder
        self.say()
        self.fleet = load(folder / "boards.yaml")
        self.board = self.fleet.boards[BOARD]
        pico = Pico(uf2, flash)
        circuit, _ = build(pico.clock, self.board, Nature(1, [self.board]).around(self.board), 1, Air())
        solder(pico, self.board, circuit)
        self.desk = Desk(folder, pico)

    def say(self, report_s: int = 900) -> None:
        """Write boards.yaml."""
        (self.folder / "boards.yaml").write_text(TOWN.substitute(board=BOARD, uid=UID, kid=KID, report_s=report_s))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start `jourdain words`, which lives by the board's clock."""
        told = {"JOURDAIN_BOOTSEL": str(self.desk.drive), "JOURDAIN_PASSPHRASE": PASSPHRASE, "LC_ALL": "C.UTF-8"}
        return subprocess.Popen(
            [sys.executable, "-P", str(HERE / "chip_time.py"), str(self.desk.clock), *words],
            cwd=self.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **told},
        )  # fmt: skip

    def run(self, *words: str) -> Said:
        """Run `jourdain words` to its end."""
        wall_s, board_s = time.monotonic(), self.desk.now_s
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=COMMAND_S)
        finally:
            process.kill()
        said = Said(process.returncode, out, err, time.monotonic() - wall_s, self.desk.now_s - board_s)
        print(f"jourdain {' '.join(words)}: exit {said.code}, {said.wall_s:.0f} s here, {said.board_s:.1f} s on the board")
        return said

    def prepare(self, image: Path) -> None:
        """What a technician does once: a key for the board, and a bundle with its MicroPython."""
        for words in (("keys", "new", BOARD), ("bundle", "--image", f"pico={image}")):
            said = self.run(*words)
            assert said.code == 0, said.err

    def flash(self, *more: str) -> Said:
        """`jourdain flash` the board, wherever it is, with --json."""
        return self.run("flash", BOARD, "--port", self.desk.port, "--json", *more)

    def ask(self, *words: str) -> Said:
        """`jourdain board` with the running board, with --json."""
        return self.run("board", BOARD, *words, "--port", self.desk.port, "--json")

    def opened(self) -> list[tuple[int, Any]]:
        """(counter, payload) of the sealed frames that the board has sent on its cable, opened with its key."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JOURDAIN_PASSPHRASE", PASSPHRASE)
            secret = secrets.read(self.folder / "secrets.json")[KID]["secret"]
        key = derive(bytes.fromhex(secret), bytes.fromhex(KID))
        heard = [link.parse(body) for _, proto, body in messages(self.desk.pico) if proto == hdlc.PROTO_MESSAGE]
        # What is not handled yet comes again.
        sent = dict.fromkeys(bytes(message[2]) for message in heard if message[0] == link.HEARD)
        frames = [parse(frame) for frame in sent]
        return [(frame.piv, cbor.loads(unseal(key, frame))) for frame in frames]
