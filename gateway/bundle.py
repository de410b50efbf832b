"""A release for one kind of board in one file: a zip of `manifest`, `signature` and the slot's files.

The manifest's text is described in firmware/node/manifest.py, which boards and this file share. Nothing here judges the
signature: a board does, and `jourdain release check`.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from firmware.node import manifest as form
from gateway.errors import HostError

SIGNATURE_LEN = 384  # RSA-3072
NAMES = ("manifest", "signature")
DIGEST_LEN = 8  # bytes of the manifest's SHA-256 that name a release on its way


class Entry(NamedTuple):
    """A file of a release: SHA-256 (32 bytes), size in bytes, path inside the slot."""

    digest: bytes
    size: int
    path: str


class Manifest(NamedTuple):
    """What a manifest says."""

    kind: str
    mpy: int
    release: int
    version: str
    entries: tuple[Entry, ...]


class Bundle(NamedTuple):
    """A release; `parts` as they travel: manifest, signature, then the files in the manifest's order."""

    manifest: Manifest
    parts: tuple[bytes, ...]

    @property
    def digest(self) -> bytes:
        """The name of this release on its way: the first 8 bytes of the manifest's SHA-256."""
        return hashlib.sha256(self.parts[0]).digest()[:DIGEST_LEN]

    def block(self, part: int, offset: int, size: int) -> bytes:
        """The bytes of a part from `offset`, at most `size`; nothing behind its end or in a part that is not there."""
        if not 0 <= part < len(self.parts) or offset < 0:
            return b""
        return self.parts[part][offset : offset + size]


def compose(kind: str, release: int, version: str, files: Mapping[str, bytes]) -> bytes:
    """The manifest of a slot's files, {path inside the slot: bytes}. Raises HostError (bad_release)."""
    found = {data[1] for path, data in files.items() if path.endswith(".mpy")}
    mpy = found.pop() if len(found) == 1 else ""
    lines = ["jourdain 1", f"kind {kind}", f"mpy {mpy}", f"release {release}", f"version {version}"]
    lines += [f"{hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in sorted(files.items())]
    text = "".join(f"{line}\n" for line in lines).encode()
    parse(text)
    return text


def parse(text: bytes, where: str = "") -> Manifest:
    """What a manifest says. Raises HostError (bad_release)."""
    try:
        if len(text) > form.SIZE_MAX:
            raise ValueError("the manifest is too long")
        file = io.BytesIO(text)
        kind, mpy, release, version = form.head(file)
        return Manifest(kind, mpy, release, version, tuple(Entry(*entry) for entry in form.entries(file)))
    except ValueError as error:
        raise HostError("bad_release", f"the manifest is not right: {error}", where, "build the release again") from None


def write(path: Path, manifest: bytes, signature: bytes, files: Mapping[str, bytes]) -> None:
    """Write a bundle; equal contents make equal bytes. Raises OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (*zip(NAMES, (manifest, signature), strict=True), *sorted(files.items())):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def read(path: Path) -> Bundle:
    """A bundle whose files are those of its manifest. Raises HostError (bad_release)."""
    return _read(path, str(path))


def load(data: bytes, where: str) -> Bundle:
    """As `read`, from bytes that lie elsewhere: `where`."""
    return _read(io.BytesIO(data), where)


def _read(file: Path | io.BytesIO, where: str) -> Bundle:
    try:
        with zipfile.ZipFile(file) as archive:
            text, signature = _member(archive, NAMES[0], form.SIZE_MAX), _member(archive, NAMES[1], SIGNATURE_LEN)
            manifest = parse(text, where)
            files = [_member(archive, entry.path, entry.size) for entry in manifest.entries]
            extra = set(archive.namelist()) - {*NAMES, *(entry.path for entry in manifest.entries)}
    except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        what = f"this is no release that can be read: {error}"
        raise HostError("bad_release", what, where, "name a file of `jourdain release build`") from None
    pairs = zip(manifest.entries, files, strict=True)
    wrong = [entry.path for entry, data in pairs if (hashlib.sha256(data).digest(), len(data)) != entry[:2]]
    if wrong or extra or len(signature) != SIGNATURE_LEN:
        what = f"not what the manifest says: {', '.join([*wrong, *sorted(extra)]) or 'the signature'}"
        raise HostError("bad_release", what, where, "copy the file again, or build the release again")
    return Bundle(manifest, (text, signature, *files))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).file_size > limit:
        raise ValueError(f"{name} is too long")
    with archive.open(name) as file:
        return file.read(limit + 1)
