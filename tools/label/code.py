"""What the QR of a label says: TR005 where the board has a LoRaWAN identity, else a form of ours, and the way back.

`LW:D0:<JoinEUI>:<DevEUI>:<VendorID ProfileID>[:O<owner token>]:S<board>` is the LoRa Alliance's TR005, which network servers
read. `JD:<site>:<board>` is ours; scanned into a command line it stands for the board, as TR005 does. Both are upper case, so
that the code's alphanumeric mode holds them in fewer modules, and both name the board to people. No key is in either.
"""

from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.i18n import _

TR005 = "LW:D0:"
OURS = "JD:"


def text_of(board: Board) -> str:
    """The text of a board's code."""
    identity = board.lorawan
    if identity is None:
        return f"{OURS}{board.site}:{board.name}".upper()
    owner = f":O{identity.owner}" if identity.owner else ""
    return f"{TR005}{identity.join_eui}:{identity.dev_eui}:{identity.profile}{owner}:S{board.name}".upper()


def scanned(inv: Inventory, text: str) -> Board | None:
    """The board whose label was scanned into a command line, None for what is no code. HostError (ambiguous)."""
    text = text.strip().upper()
    if not text.startswith((TR005, OURS)):
        return None
    # A DevEUI is one board's; what follows it may have changed since the label was printed.
    wanted = text.split(":")[3:4] if text.startswith(TR005) else [text]
    found = [board for board in inv.boards.values() if _mark(board, text) in wanted]
    if len(found) > 1:
        names = ", ".join(board.name for board in found)
        what = _("{names} differ in capitals alone, which a label does not tell").format(names=names)
        raise HostError("ambiguous", what, str(inv.path), _("write the name as it stands there"))
    return found[0] if found else None


def _mark(board: Board, text: str) -> str:
    """What of a code names this board."""
    if text.startswith(TR005):
        return board.lorawan.dev_eui.upper() if board.lorawan else ""
    return f"{OURS}{board.site}:{board.name}".upper()
