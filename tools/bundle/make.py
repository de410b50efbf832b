"""What the boards of an inventory need, and a bundle of it."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from firmware.node import RELEASE, VERSION
from gateway.errors import HostError
from gateway.inventory import Inventory
from gateway.presets import BoardType
from tools.bundle.file import Bundle, Facts, Manifest, entries
from tools.flash import build, esp, uf2
from tools.i18n import _


class Needs(NamedTuple):
    """kinds: {image: a board type that takes it}; modules of the firmware, sorted."""

    kinds: dict[str, BoardType]
    modules: list[str]


class Picture(NamedTuple):
    """An image on its way into a bundle: its file's name there, its version, its bytes, and whether its hash is a known one."""

    file: str
    version: str
    data: bytes
    known: bool


def needs(inv: Inventory) -> Needs:
    """What the boards of an inventory need."""
    kinds: dict[str, BoardType] = {}
    modules = {*build.LADDER}
    for board in inv.boards.values():
        kind = inv.presets.boards[board.type]
        kinds.setdefault(kind.micropython.image, kind)
        modules.update(build.board_modules(board))
    return Needs(dict(sorted(kinds.items())), sorted(modules))


def judged(name: str, kind: BoardType, data: bytes, where: str, known: Facts) -> Picture:
    """An image as it came. HostError (bad_image): it is for another chip, damaged, or not the one of that name."""
    (esp if kind.platform == "esp32" else uf2).check(data, kind, where)
    version = version_in(data, kind, where)
    same = hashlib.sha256(data).hexdigest() == known.sha256.get(name)
    suffix = ".bin" if kind.platform == "esp32" else ".uf2"
    file = known.file(name, kind.platform) if same else f"{name}-v{version}{suffix}"
    return Picture(file, version, data, same)


def fetched(name: str, kind: BoardType, data: bytes, where: str, known: Facts) -> Picture:
    """An image that was fetched by its name: as `judged`, and it must be the very one where its hash is known."""
    found = judged(name, kind, data, where, known)
    if found.version != known.version:
        what = _("this is MicroPython {found}, {wanted} was asked for").format(found=found.version, wanted=known.version)
        raise HostError("bad_image", what, where, _("name another source: --source URL or FOLDER"))
    if name in known.sha256 and not found.known:
        what = _("the SHA-256 of this image is {found}, not {wanted}").format(
            found=hashlib.sha256(data).hexdigest(), wanted=known.sha256[name])  # fmt: skip
        raise HostError("bad_image", what, where, _("name another source: --source URL or FOLDER"))
    return found._replace(file=known.file(name, kind.platform))


def version_in(data: bytes, kind: BoardType, where: str) -> str:
    """The version that MicroPython will say when it runs: it stands in the image. HostError (bad_image)."""
    if kind.platform != "esp32":
        data = b"".join(data[at + 32 : at + 32 + uf2.PAYLOAD] for at in range(0, len(data), uf2.BLOCK))
    found = re.search(rb"MicroPython v(\d{1,3}\.\d{1,3}\.\d{1,3})", data)
    if found is None:
        raise HostError("bad_image", _("this image does not say which MicroPython it is"), where,
                        _("name another source: --source URL or FOLDER"))  # fmt: skip
    return found[1].decode()


def compose(wanted: Needs, images: Mapping[str, Picture], releases: Mapping[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
    """A bundle's manifest and files, {path: bytes}. HostError (compile, missing_tool)."""
    compiler = build.compiler_version()
    files = {f"bytecode/{build.key(module, compiler)}.mpy": build.bytecode(module) for module in wanted.modules}
    files |= {f"images/{image.file}": image.data for image in images.values()}
    files |= {f"releases/{name}": data for name, data in releases.items()}
    said = {name: (f"images/{image.file}", image.version) for name, image in sorted(images.items())}
    return Manifest(VERSION, RELEASE, compiler, digest(wanted, compiler), entries(files), said), files


def digest(wanted: Needs, compiler: str) -> str:
    """SHA-256 over what is needed: the names of images and the keys of bytecode."""
    keys = sorted(build.key(module, compiler) for module in wanted.modules)
    return hashlib.sha256(json.dumps([list(wanted.kinds), keys]).encode()).hexdigest()


def missing(bundle: Bundle, wanted: Needs) -> dict[str, list[str]]:
    """What a bundle lacks: images, and modules as this program has them."""
    keys = {module: f"bytecode/{build.key(module, bundle.compiler)}.mpy" for module in wanted.modules}
    return {
        "images": [name for name in wanted.kinds if name not in bundle.manifest.images],
        "modules": [module for module, name in keys.items() if name not in bundle.manifest.files],
    }
