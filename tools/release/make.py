"""From the fleet to releases: boards that need the same files are of one kind, and a kind has one bundle."""

import hashlib
from collections.abc import Iterable

from firmware.node.manifest import kind_of
from gateway import bundle
from gateway.inventory import Board, Inventory
from tools.flash.build import SLOT, build_slot
from tools.flash.config import board_config

BLOCK, BLOCK_LOW_RATE = 64, 25  # bytes of an answer by radio; in the low-rate profile what 50 bytes leave of a frame


def kinds(inv: Inventory, boards: Iterable[Board]) -> dict[str, Board]:
    """{kind: one board of it}."""
    found: dict[str, Board] = {}
    for board in boards:
        found.setdefault(kind_of(board_config(inv, board)), board)
    return found


def slot_files(board: Board, port: str | None = None) -> dict[str, bytes]:
    """What a slot of a board holds, {path inside the slot: bytes}. Raises HostError (compile, missing_tool)."""
    inside = f"{SLOT}/"
    files = build_slot(board, port)
    return {path.removeprefix(inside): data for path, data in files.items() if path.startswith(inside)}


def name_of(found: bundle.Manifest) -> str:
    """A file name for a release of a kind that no other one has."""
    words = found.kind.split(" ")
    short = hashlib.sha256(found.kind.encode()).hexdigest()[:6]
    return "-".join([word for word in words[:4] if word != "-"] + [short, f"r{found.release}"]) + ".zip"


def uplinks(found: bundle.Bundle, block: int, unchanged: Iterable[bytes] = ()) -> int:
    """How many uplinks a board asks with for a whole release by radio, one block each.

    unchanged: SHA-256 of the files that the board has already. The end of the manifest is asked for too.
    """
    kept = set(unchanged)
    sizes = [len(found.parts[0]), len(found.parts[1])]
    sizes += [entry.size for entry in found.manifest.entries if entry.digest not in kept]
    return 1 + sum(-(-size // block) for size in sizes)
