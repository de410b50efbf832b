"""Brings a release into the idle slot, block by block, and lets the ladder try it. Loaded on demand and forgotten.

What has arrived is told by the files of the idle slot alone, so a cut at any moment costs the block under way:

    incoming                the name of the release on its way; what belongs to another one is forgotten
    part                    the part that is being received, as far as it got
    manifest.new            received whole
    signature.new           beside it: a trusted key signed it, and it is meant for this board
    manifest, signature     of a slot that is whole

Until a release is known to be meant for this board the slot keeps what it has. Then `modules` goes first and comes last:
a slot without it is loaded by no launcher. Nothing is switched here but by `ladder.stage`.
"""

import hashlib
import os
import sys

from firmware.wire.errors import DeviceError, const

from . import RELEASE, files, manifest

MANIFEST = const(0)
SIGNATURE = const(1)
_FILES = const(2)  # the number of the first file's part
_SIGNATURE_LEN = const(384)  # RSA-3072
_EXPONENT = const(65537)
_NAME_LEN = const(8)
_SHA256 = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"  # DigestInfo, RFC 8017
_TAIL = const(333)  # where the DigestInfo begins: 19 bytes of it and 32 of the hash end the message
_CHUNK = const(512)
_BLOCK = const(4096)  # of flash
_SPARE = const(16)  # blocks: folders have two each


class Updater:
    """`root`: where the board's files are; `kind`: of manifest.kind_of. DeviceError("update_release"): during a trial.

    After `begin`, `wanted` says what `take` takes next, and `finish` when that is nothing.
    Each raises DeviceError: store, or update_... when the release is refused, which forgets what had arrived.
    """

    def __init__(self, root, ladder, kind):
        if ladder.trial:
            raise DeviceError("update_release", "the release on trial is not confirmed yet")
        self._root = root
        self._ladder = ladder
        self._kind = kind
        self._slot = root + ladder.other + "/"
        self._part = MANIFEST
        self._entry: tuple = ()  # (digest, size, path) of the file whose turn it is
        self._at = 0  # where the manifest's next line begins
        self._want: tuple = ()

    def begin(self, name):
        """Go on with the release of this name (bytes: the first eight of its manifest's SHA-256), or begin it."""
        if len(name) != _NAME_LEN:
            raise DeviceError("update_damaged", "this is no name of a release")
        try:
            self._part = MANIFEST
            self._entry = ()
            _mkdir(self._slot[:-1])
            # A rename between two folders that power cut short is ended by whoever next opens a file to write; until then
            # littlefs hides another file of the folder as well.
            open(self._slot + "incoming", "ab").close()
            if files.read(self._slot + "incoming") != name:
                self.forget()
                files.write(self._slot + "incoming", name)
            if not _exists(self._slot + "manifest.new"):
                return
            self._part = SIGNATURE
            if _exists(self._slot + "signature.new"):
                self._open()
        except OSError as error:
            raise DeviceError("store", "update: %s" % error)

    def forget(self):
        """Forget the release on its way; the slot keeps the files that it has."""
        self._part = MANIFEST
        self._entry = ()
        for name in ("incoming", "signature.new", "manifest.new", "part"):
            _remove(self._slot + name)

    def wanted(self):
        """Return (part, offset) of the next block, None when all is there, or () when it must be asked again.

        Parts: manifest, signature, files in order. A call looks at one file at most, because that takes its time. The end
        of the manifest, whose size nobody knows before, is wanted too: an empty block.
        """
        self._want = ()
        if self._part >= _FILES:
            if not self._entry:
                return None
            try:
                if self._have():
                    self._next()
                    return ()
            except OSError as error:
                raise DeviceError("store", "update: %s" % error)
        self._want = self._part, _size(self._slot + "part")
        return self._want

    def take(self, part, offset, data):
        """Take the block (bytes) that was wanted last; any other one is ignored."""
        if (part, offset) != self._want:
            return
        self._want = ()
        end = offset + len(data)
        limit = self._entry[1] if self._entry else manifest.SIZE_MAX if part == MANIFEST else _SIGNATURE_LEN
        if end > limit:
            self._refuse("update_damaged", "part %d is longer than %d bytes" % (part, limit))
        path = self._slot + "part"
        try:
            with open(path, "ab") as file:
                file.write(data)
            if _size(path) != end:
                raise OSError(5)
            if part == MANIFEST:
                if not data:
                    self._received_manifest(path)
            elif end == limit:
                if part == SIGNATURE:
                    self._received_signature(path)
                elif self._place(path):
                    self._next()
                else:
                    raise DeviceError("update_damaged", self._entry[2])
        except OSError as error:
            raise DeviceError("store", "update: %s" % error)

    def finish(self):
        """Verify all of it once more, remove what is left over in the slot, and let the ladder try it at the next boot."""
        slot = self._slot
        if self.wanted() is not None:
            raise DeviceError("update_damaged", "the release is not complete")
        release = self._judge(slot + "signature.new", False)
        kept = []
        with open(slot + "manifest.new", "rb") as file:
            manifest.head(file)
            for digest, _, path in manifest.entries(file):
                self._ladder.feed()
                kept.append(path)
                if hash_of(slot + path) != digest:
                    _remove(slot + path)
                    raise DeviceError("update_damaged", path)
        try:
            self._clean("firmware", kept)
            # The order in which a cut between two of them does least: the manifest and its signature are sent again.
            os.rename(slot + "signature.new", slot + "signature")
            os.rename(slot + "manifest.new", slot + "manifest")
            _remove(slot + "incoming")
        except OSError as error:
            raise DeviceError("store", "update: %s" % error)
        self._ladder.stage(self._ladder.other, release)

    def _received_manifest(self, path):
        if hash_of(path)[:_NAME_LEN] != files.read(self._slot + "incoming"):
            self._refuse("update_damaged", "the manifest is another one")
        os.rename(path, self._slot + "manifest.new")
        self._part = SIGNATURE

    def _received_signature(self, path):
        self._judge(path, True)
        for name in ("modules", "manifest", "signature"):
            _remove(self._slot + name)
        os.rename(path, self._slot + "signature.new")
        self._open()

    def _judge(self, signature, room):
        # The number of the release, if it is meant for this board; nothing of an unsigned manifest is read.
        path = self._slot + "manifest.new"
        if not is_signed(self._root + "trust", hash_of(path), signature):
            self._refuse("update_signature", "no trusted key signed this")
        try:
            with open(path, "rb") as file:
                kind, mpy, release, _ = manifest.head(file)
                need = self._need(manifest.entries(file))
        except ValueError as error:
            self._refuse("update_damaged", str(error))
        if kind != self._kind:
            self._refuse("update_board", "for %s, this is %s" % (kind, self._kind))
        if mpy != getattr(sys.implementation, "_mpy", 0) & 0xFF:
            self._refuse("update_bytecode", "bytecode %d does not run here" % mpy)
        least = max(RELEASE, self._ladder.floor) + 1
        if release < least:
            self._refuse("update_release", "release %d, at least %d is needed" % (release, least))
        stat = os.statvfs(self._root)
        free = stat[0] * stat[3] if stat[3] <= stat[2] else 0  # littlefs counts some blocks twice: less than none wraps around
        if room and need > free:
            self._refuse("update_room", "%d bytes are needed, %d are free" % (need, free))
        return release

    def _need(self, entries):
        # What the slot grows by, and the largest file beside the one that it replaces.
        need = largest = 0
        for _, size, path in entries:
            blocks = -(-size // _BLOCK)
            largest = max(largest, blocks)
            need += max(0, blocks - -(-_size(self._slot + path) // _BLOCK))
        return (need + largest + _SPARE) * _BLOCK

    def _refuse(self, name, detail):
        self.forget()
        raise DeviceError(name, detail)

    def _open(self):
        with open(self._slot + "manifest.new", "rb") as file:
            manifest.head(file)
            self._at = file.tell()
        self._part = _FILES - 1
        self._next()

    def _next(self):
        # The file is not kept open: who holds one on littlefs must not lose it, and this object is dropped without a word.
        path = self._slot + "manifest.new"
        self._part += 1
        self._entry = ()
        if self._at < _size(path):
            with open(path, "rb") as file:
                file.seek(self._at)
                self._entry = next(manifest.entries(file))
                self._at = file.tell()

    def _have(self):
        # Whether the next file is in its place; the running slot has most files of a small update.
        digest, _, path = self._entry
        if hash_of(self._slot + path) == digest:
            return True
        source = self._root + self._ladder.slot + "/" + path
        if hash_of(source) != digest:
            return False
        part = self._slot + "part"
        buf = bytearray(_CHUNK)
        with open(source, "rb") as old, open(part, "wb") as new:
            while True:
                n = old.readinto(buf)
                if not n:
                    break
                new.write(memoryview(buf)[:n])
        return self._place(part)

    def _place(self, part):
        # The whole part under its name, if it is what the manifest says.
        digest, _, path = self._entry
        if hash_of(part) != digest:
            _remove(part)
            return False
        folder = self._slot[:-1]
        for name in path.split("/")[:-1]:
            folder += "/" + name
            _mkdir(folder)
        os.rename(part, self._slot + path)
        return True

    def _clean(self, folder, kept):
        for entry in os.ilistdir(self._slot + folder):
            path = folder + "/" + entry[0]
            if entry[1] & 0x4000:
                self._clean(path, kept)
            elif path not in kept:
                self._ladder.feed()
                os.remove(self._slot + path)


def is_signed(trust, digest, signature):
    """Return whether one of the keys in the file `trust` (moduli, 384 bytes each) made the signature in a file.

    digest: SHA-256 of what was signed. RSA, PKCS #1 v1.5: the whole encoded message is built and compared, so there is
    nothing to parse in what the signature opens to.
    """
    buf = bytearray(_SIGNATURE_LEN)
    try:
        with open(signature, "rb") as file:
            if file.readinto(buf) != _SIGNATURE_LEN or file.read(1):
                return False
        number = int.from_bytes(buf, "big")
        with open(trust, "rb") as file:
            while file.readinto(buf) == _SIGNATURE_LEN:
                modulus = int.from_bytes(buf, "big")
                if number < modulus:
                    opened = pow(number, _EXPONENT, modulus)
                    _encode(buf, digest)
                    if opened == int.from_bytes(buf, "big"):
                        return True
    except OSError:
        pass
    return False


def _encode(buf, digest):
    # EMSA-PKCS1-v1_5: 00 01 FF .. FF 00 DigestInfo hash, in one buffer, because each of these numbers is 400 bytes.
    for i in range(2, _TAIL - 1):
        buf[i] = 0xFF
    buf[0] = buf[_TAIL - 1] = 0
    buf[1] = 1
    buf[_TAIL:] = _SHA256 + digest


def hash_of(path):
    """Return the SHA-256 of a file (32 bytes), or b"" when it cannot be read."""
    hashed = hashlib.sha256()
    buf = bytearray(_CHUNK)
    try:
        with open(path, "rb") as file:
            while True:
                n = file.readinto(buf)
                if not n:
                    return hashed.digest()
                hashed.update(memoryview(buf)[:n])
    except OSError:
        return b""


def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


def _exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _mkdir(path):
    if not _exists(path):
        os.mkdir(path)


def _remove(path):
    if _exists(path):
        os.remove(path)
