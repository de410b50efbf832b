"""The boards of a town before they run: their inventory, secrets and flash images."""

from __future__ import annotations

import copy
import functools
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littlefs import LittleFS, UserContext
from ruamel.yaml import YAML

from gateway import inventory
from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.flash.config import CONFIG, board_files, counter_files
from tools.twin.process import Spec

BLOCK = 4096
BLOCKS = 160  # of the 352 (Pico) or more that boards have for files: what is used, and quick to make
# A board's heap in the objects of a 64-bit port, which are larger (a Pico has 240 kB free, an ESP32 about 110 kB), plus
# what the twin's own modules take from it.
HEAP = {"rp2": 400 * 1024, "esp32": 200 * 1024}
SHIM_HEAP = 64 * 1024
_SPREAD_E5 = 450  # clones stand within 500 m of what they are clones of


@dataclass
class Fleet:
    """The town's inventory, the one gateway that has boards, and a secret by kid."""

    inventory: Inventory
    gateway: str
    secrets: dict[str, str]

    @property
    def boards(self) -> list[Board]:
        """Every board of that gateway and of the air around it."""
        return [board for board in self.inventory.boards.values() if board.gateway in (None, self.gateway)]


def load(path: Path, folder: Path, seed: int, nodes: int | None = None) -> Fleet:
    """Read boards.yaml, copied into `folder` (the daemon's) or cloned there to `nodes` nodes.

    Raises InventoryError, HostError (bad_inventory) for a town without a gateway on the ground.
    """
    inventory.load(path)
    here = folder / "boards.yaml"
    text = path.read_bytes()
    here.write_bytes(text)
    if nodes is not None:
        _clone(here, seed, nodes)
    found = inventory.load(here)
    wired = {board.gateway for board in found.boards.values() if board.link == "serial" and board.gateway}
    if len(wired) != 1:
        what = f"the twin runs a town with one gateway that has boards on its ports, not {len(wired)}"
        raise HostError("bad_inventory", what, str(path), "give one gateway a radio bridge (role: bridge)")
    secrets = {kid: secret(seed, kid) for board in found.boards.values() for kid in board.kids}
    return Fleet(found, str(wired.pop()), secrets)


def secret(seed: int, kid: str) -> str:
    """The secret of a key id in this run of the twin, hexadecimal: chance that the seed repeats, good for nothing else."""
    return hashlib.sha256(f"jourdain twin, seed {seed}, key id {kid}".encode()).hexdigest()[:32]


def _clone(path: Path, seed: int, nodes: int) -> None:
    """Make boards.yaml name `nodes` radio nodes, each a copy of one of the town's at a place nearby."""
    yaml = YAML(typ="safe", pure=True)
    data = yaml.load(path)
    boards: dict[str, dict[str, Any]] = data["boards"]
    models = [(name, entry) for name, entry in boards.items() if entry.get("role", "node") == "node"]
    radio = [(name, entry) for name, entry in models if entry.get("link", "radio") == "radio"]
    # No town has dozens of wave buoys, and each costs the twin as much as ten bays.
    radio = [(name, entry) for name, entry in radio if entry.get("service") != "buoy"] or radio
    if not radio:
        raise HostError("bad_inventory", "there is no radio board to clone", str(path))
    kept = {name: entry for name, entry in boards.items() if entry.get("role", "node") != "node"}
    kept.update(models[:nodes])
    rng = random.Random(f"{seed}/clones")
    for i in range(max(0, nodes - len(models))):
        name, entry = radio[i % len(radio)]
        lat, lon = entry["position"]
        place = [round(at + rng.randint(-_SPREAD_E5, _SPREAD_E5) / 1e5, 5) for at in (lat, lon)]
        kid, uid = f"{0x1000 + i:04x}", str(entry["uid"])
        uid = f"{i + 1:0{len(uid)}x}"
        kept[f"{name}-{i + 1}"] = {**copy.deepcopy(entry), "kids": [kid], "uid": uid, "position": place}
    data["boards"] = kept
    out = YAML(typ="safe", pure=True)
    out.default_flow_style = False
    out.representer.ignore_aliases = lambda *data: True
    out.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with path.open("w", encoding="utf-8") as file:
        out.dump(data, file)


def flash_image(fleet: Fleet, board: Board) -> bytes:
    """What is on a board's flash after `jourdain flash`: a littlefs image with the very same files."""
    files = board_files(fleet.inventory, board, fleet.secrets, "unix")
    own: dict[str, bytes] = {name: files.pop(name) for name in (*CONFIG, "secret.json") if name in files}
    if board.kid:
        own.update(counter_files(board.kid))
    return _image(own, _application(tuple(files.items())))


@functools.lru_cache(maxsize=64)
def _application(files: tuple[tuple[str, bytes], ...]) -> bytes:
    """An image with the application alone, which boards of one kind share."""
    return _image(dict(files), None)


def _image(files: dict[str, bytes], base: bytes | None) -> bytes:
    """A littlefs image with these files, beside those of `base`."""
    flash = UserContext(buffsize=BLOCK * BLOCKS)
    if base is not None:
        flash.buffer[:] = base
    # Sizes as MicroPython's VfsLfs2 takes them.
    filesystem = LittleFS(
        context=flash, mount=base is not None, block_size=BLOCK, block_count=BLOCKS, read_size=32, prog_size=32,
        cache_size=128, lookahead_size=32,
    )  # fmt: skip
    if base is None:
        filesystem.format()
        filesystem.mount()
    made = {""}
    for name, data in files.items():
        folder = ""
        for part in name.split("/")[:-1]:
            folder = f"{folder}/{part}" if folder else part
            if folder not in made:
                filesystem.mkdir(folder)
                made.add(folder)
        with filesystem.open(name, "wb") as file:
            file.write(data)
    return bytes(flash.buffer)


def spec(fleet: Fleet, board: Board, folder: Path, seed: int) -> Spec:
    """A board ready to be switched on; its flash image and stderr lie in `folder`."""
    family = fleet.inventory.presets.boards[board.type].platform
    image = folder / f"{board.name}.littlefs"
    image.write_bytes(flash_image(fleet, board))
    chance = hashlib.sha256(f"jourdain twin, seed {seed}, board {board.name}".encode()).digest()
    return Spec(board.name, board.uid or "", family, HEAP.get(family, HEAP["rp2"]) + SHIM_HEAP, image, BLOCKS, chance)
