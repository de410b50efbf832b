"""The manifest of a release: for which boards it is, its number, and the files of a slot. Pure; a board forgets it again.

Lines of ASCII, each ended by a line feed (firmware/README.md, Updates):

    jourdain 1
    kind TYPE ROLE SERVICE LINK CHIP DRIVERS
    mpy VERSION
    release NUMBER
    version TEXT
    SHA256 SIZE PATH        one a file, ascending; the last is `modules`, without which no launcher loads a slot
"""

from firmware.wire.errors import const

SIZE_MAX = const(12288)  # bytes of a manifest
FILES_MAX = const(100)
FILE_MAX = const(65536)  # bytes of one file
_LINE_MAX = const(160)
_PATH_MAX = const(64)
_DIGITS_MAX = const(9)
_LAST = b"modules"


def kind_of(config):
    """Return the kind of board that a configuration (dict) describes: all that decides which modules a slot holds."""
    drivers = sorted({spec["driver"] for spec in (config.get("sensors") or {}).values()})
    words = (
        config["type"], config["role"], config.get("service"), config.get("link"), (config.get("radio") or {}).get("chip"),
        "+".join(drivers),
    )  # fmt: skip
    return " ".join([word or "-" for word in words])


def head(file):
    """Read what comes before the files: (kind, mpy, release, version) as (str, int, int, str). ValueError.

    file: binary, at its start; afterwards at the first file's line.
    """
    if _line(file) != b"jourdain 1":
        raise ValueError("this is no manifest of version 1")
    kind = _value(file, b"kind")
    mpy = _number(_value(file, b"mpy"))
    release = _number(_value(file, b"release"))
    return str(kind, "utf-8"), mpy, release, str(_value(file, b"version"), "utf-8")


def entries(file):
    """Yield (sha256: 32 bytes, size, path) for each file, from where `head` ended. ValueError: anything else is there."""
    before = b""
    count = 0
    while before != _LAST:
        parts = _line(file).split(b" ")
        if len(parts) != 3 or len(parts[0]) != 64 or parts[2] <= before or count == FILES_MAX:
            raise ValueError("a line that is no file, out of order, or one too many")
        before = parts[2]
        count += 1
        text = str(parts[0], "utf-8")
        digest = bytes.fromhex(text)
        size = _number(parts[1])
        if digest.hex() != text or size > FILE_MAX or not _is_path(before):
            raise ValueError("a file's hash, size or path is not allowed")
        yield digest, size, str(before, "utf-8")
    if file.read(1):
        raise ValueError("something follows the last file")


def _line(file):
    line = file.readline(_LINE_MAX)
    if line[-1:] != b"\n":
        raise ValueError("a line is too long or cut off")
    for byte in line[:-1]:
        if not 32 <= byte < 127:
            raise ValueError("a byte is no ASCII")
    return line[:-1]


def _value(file, name):
    word, _, value = _line(file).partition(b" ")
    if word != name or not value:
        raise ValueError("a line is missing or not in its place")
    return value


def _number(text):
    if len(text) > _DIGITS_MAX or not text.isdigit() or (text[:1] == b"0" and len(text) > 1):
        raise ValueError("a number is not allowed")
    return int(text)


def _is_path(path):
    # Nothing but bytecode below firmware/ and the load order: no way out of the slot, and none of the slot's own records.
    if path == _LAST:
        return True
    if path[:9] != b"firmware/" or path[-4:] != b".mpy" or len(path) > _PATH_MAX:
        return False
    for part in path[:-4].split(b"/"):
        if not part:
            return False
        for byte in part:
            if not (97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95):  # a-z 0-9 _
                return False
    return True
