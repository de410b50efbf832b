"""Labels as files."""

from pathlib import Path

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.label import svg
from tools.label.layout import layout

SIZE_MM = (64.0, 34.0)


def write_label(inv: Inventory, board: Board, folder: Path) -> Path:
    """The label of a board as BOARD.svg in a folder, made if it is missing. HostError (disk_error)."""
    return write(folder / f"{board.name}.svg", svg.document(layout(inv, board, SIZE_MM, svg.measure)).encode())


def write(path: Path, content: bytes) -> Path:
    """A file for a printer, its folder made if it is missing. HostError (disk_error)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        what = _("cannot write: {error}").format(error=error)
        raise HostError("disk_error", what, str(path), _("make room, or name another place")) from None
    return path
