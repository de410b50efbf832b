"""Releases that boards fetch by radio, a block an answer: bundles in a folder beside the store, by the name on their way."""

import os
import tempfile
from pathlib import Path

from gateway import bundle
from gateway.errors import HostError

BLOCK = 64  # bytes at most, as the protocol has it
_HEADS = 9  # key, array, part, offset and the head of the bytes


class Releases:
    """`folder`: where the bundles lie. Nothing is judged here: boards do, and `jourdain release check`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[bytes, bundle.Bundle] = {}

    def add(self, path: Path) -> bundle.Bundle:
        """Take over a bundle; it is on disk when this returns. Raises HostError (bad_release, disk_error)."""
        found = bundle.read(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(path.read_bytes())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # the daemon may be another user
            os.replace(temporary, self._path(found.digest))
        except OSError as error:
            what = f"the release cannot be kept: {error}"
            raise HostError("disk_error", what, str(self.folder), "are you the daemon's user?") from None
        return found

    def answer(self, name: bytes, asked: object, room: int) -> list[int | bytes] | None:
        """The value of key -11 for a board that asks `[part, offset]`; `room`: bytes that key and value may have.

        None: there is no such release, no such part, nothing sensible was asked, or not one byte fits.
        """
        if not isinstance(asked, list) or len(asked) != 2 or not all(type(number) is int for number in asked):
            return None
        found = self._load(name)
        part, offset = asked
        size = min(BLOCK, room - _HEADS)
        if found is None or size < 1 or not 0 <= part < len(found.parts) or not 0 <= offset <= len(found.parts[part]):
            return None
        return [part, offset, found.block(part, offset, size)]

    def _load(self, name: bytes) -> bundle.Bundle | None:
        if name not in self._kept and len(name) == bundle.DIGEST_LEN:
            try:
                self._kept = {name: bundle.read(self._path(name))}  # one at a time: a town updates one kind after the other
            except HostError:
                return None
        return self._kept.get(name)

    def _path(self, name: bytes) -> Path:
        return self.folder / f"{name.hex()}.zip"
