"""The flash of a board: a littlefs image of the files that the flash tool writes."""

from emulator import DISK_BYTES
from littlefs import LittleFS, LittleFSError, UserContext

BLOCK = 4096


def disk(files: dict[str, bytes]) -> bytes:
    """A littlefs image as MicroPython makes it on a Pico, with `{path without leading slash: content}`."""
    context = UserContext(buffsize=DISK_BYTES)
    fs = LittleFS(context=context, block_size=BLOCK, block_count=DISK_BYTES // BLOCK, prog_size=256, disk_version=0x00020000)
    for path, data in files.items():
        folder = path.rpartition("/")[0]
        if folder:
            fs.makedirs(folder, exist_ok=True)
        with fs.open(path, "wb") as file:
            file.write(data)
    fs.unmount()
    return bytes(context.buffer)


def names(flash: bytes) -> set[str]:
    """The files at the top of an image, which may be in use; empty where none can be read right now."""
    fs = LittleFS(context=UserContext(buffsize=DISK_BYTES), block_size=BLOCK, block_count=DISK_BYTES // BLOCK, mount=False)
    fs.context.buffer = bytearray(flash)
    try:
        fs.mount()
        return set(fs.listdir("/"))
    except LittleFSError:
        return set()
