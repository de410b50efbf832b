"""A board's two slots on littlefs in RAM, and whoever sends it a release. MicroPython only; arguments: folders of parts."""

import hashlib
import os

from desk import DeviceError, PowerCut, RamDisk, mount  # noqa: F401 - the tests' own

from firmware.node.update import Updater

KIND = "pico node bin radio sx126x a02yyuw"


class Ladder:
    """The updater's view of the ladder: slot a runs."""

    slot = "a"
    other = "b"
    trial = False
    floor = 0
    staged = None
    fed = 0

    def feed(self):
        self.fed += 1

    def stage(self, slot, release):
        self.staged = slot, release


def parts_of(folder):
    """The parts of a release, as tests/node/releases.py wrote them."""
    found = []
    for number in range(len(os.listdir(folder)) - 1):
        with open(folder + f"/{number}", "rb") as file:
            found.append(file.read())
    return found


def name_of(parts):
    return hashlib.sha256(parts[0]).digest()[:8]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path, data):
    folder = ""
    for name in path.split("/")[1:-1]:
        folder += "/" + name
        try:
            os.mkdir(folder)
        except OSError:
            pass
    with open(path, "wb") as file:
        file.write(data)


def tree(folder, inside=""):
    """{path: bytes} of all files below a folder."""
    found = {}
    for entry in os.ilistdir(folder + inside):
        path = inside + "/" + entry[0]
        if entry[1] & 0x4000:
            found.update(tree(folder, path))
        else:
            found[path[1:]] = read(folder + path)
    return found


def listed(parts):
    """{path: bytes} of a release."""
    lines = parts[0].decode().split("\n")[5:-1]
    return {line.split(" ")[2]: part for line, part in zip(lines, parts[2:])}  # noqa: B905


def install(slot, parts):
    """Put a release into a slot, as a cable or an update left it."""
    for path, data in listed(parts).items():
        write(f"/f/{slot}/{path}", data)
    write(f"/f/{slot}/manifest", parts[0])
    write(f"/f/{slot}/signature", parts[1])


def updater(ladder=None, kind=KIND, name=None):
    out = Updater("/f/", ladder or Ladder(), kind)
    if name:
        out.begin(name)
    return out


def send(to, parts, block=64, most=None):
    """Send what is wanted, at most so many blocks; return how many went. The updater is not finished."""
    sent = 0
    while most is None or sent < most:
        want = to.wanted()
        if want is None:
            break
        if want:
            part, offset = want
            to.take(part, offset, parts[part][offset : offset + block])
            sent += 1
    return sent


def refusal(call, *args):
    """The name of the DeviceError that a call raises."""
    try:
        call(*args)
    except DeviceError as error:
        return error.name
    return None


def sent_to(parts, ladder=None, kind=KIND):
    """The name of the error with which a board refuses a release, None: it takes and stages it."""
    ladder = ladder or Ladder()
    try:
        to = updater(ladder, kind, name_of(parts))
        send(to, parts)
        to.finish()
    except DeviceError as error:
        assert ladder.staged is None
        return error.name
    assert ladder.staged == ("b", int(parts[0].split(b"\nrelease ")[1].split(b"\n")[0]))
    return None
