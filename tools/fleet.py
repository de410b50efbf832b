"""The board that a person means."""

from difflib import get_close_matches

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.label.code import scanned


def find_board(inv: Inventory, name: str) -> Board:
    """The board of that name, or of the label that was scanned. Raises HostError (unknown_board) with the nearest names."""
    found = inv.boards.get(name) or scanned(inv, name)
    if found is not None:
        return found
    near = get_close_matches(name, list(inv.boards), n=3, cutoff=0.5)
    hint = _("did you mean {names}?").format(names=", ".join(near)) if near else ", ".join(sorted(inv.boards)[:12])
    raise HostError("unknown_board", _("there is no board {name!r}").format(name=name), str(inv.path), hint)
