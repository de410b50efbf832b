"""Where everything of a label stands, in millimetres: the code on the left, beside it the words that a person reads."""

from collections.abc import Callable
from typing import NamedTuple

from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.label.code import text_of
from tools.label.words import cleaned, wrapped

EDGE_MM = 1.5  # nothing is printed nearer to the edge: a printer's feed is no better
CAPTION_MM = 1.9
QUIET = 4  # modules around a code that stay white, by its standard
Measure = Callable[[str, float, bool], float]  # (text, size in mm, bold) -> its width in mm


class Text(NamedTuple):
    """A line of text: where its baseline begins, the size of its type, in mm."""

    x: float
    y: float
    size: float
    words: str
    bold: bool = False


class Layout(NamedTuple):
    """A label. modules: the code's dark ones by row; x, y: its corner without quiet zone; module: the size of one, in mm."""

    width: float
    height: float
    modules: tuple[bytes, ...]
    x: float
    y: float
    module: float
    texts: tuple[Text, ...]


def layout(inv: Inventory, board: Board, size: tuple[float, float], measure: Measure, dpi: int = 300) -> Layout:
    """The label of a board, `size` wide and high in mm, for a printer of that resolution. `measure`: of what will draw it."""
    width, height = size
    modules = matrix(text_of(board))
    room = min(height - EDGE_MM - CAPTION_MM, width * 0.46)
    # A module is a whole number of a printer's dots, so that all are alike.
    module = int(room / (len(modules) + 2 * QUIET) * dpi / 25.4) * 25.4 / dpi
    side = module * (len(modules) + 2 * QUIET)
    top = (height - CAPTION_MM - EDGE_MM / 2 - side) / 2
    texts = _caption(board, side, top + side, height, measure)
    texts += _facts(inv, board, (side + 0.5, EDGE_MM, width - EDGE_MM, height - EDGE_MM), measure)
    return Layout(width, height, modules, QUIET * module, top + QUIET * module, module, tuple(texts))


def matrix(text: str) -> tuple[bytes, ...]:
    """The modules of a QR code, a byte each, 1 where dark. As much error correction as its size has room for, M at least."""
    import segno  # noqa: PLC0415 - only where a code is drawn

    return tuple(bytes(row) for row in segno.make_qr(text, error="m").matrix)


def _caption(board: Board, side: float, top: float, height: float, measure: Measure) -> list[Text]:
    """What kind of code it is: people scan any code that is on a box."""
    words = "LoRaWAN TR005" if board.lorawan else "Jourdain"
    x = max(EDGE_MM, (side - measure(words, CAPTION_MM, False)) / 2)
    return [Text(x, min(top + CAPTION_MM, height - EDGE_MM * 0.7), CAPTION_MM, words)]


def _facts(inv: Inventory, board: Board, box: tuple[float, float, float, float], measure: Measure) -> list[Text]:
    """The board's name as large as it fits, its title, and what one asks for at the telephone."""
    left, top, right, bottom = box
    width = right - left
    site = inv.sites[board.site]
    small = [cleaned(site.contact)] if site.contact else []
    small = [cleaned(site.title), *small]
    if board.uid:
        small.insert(0, _("chip …{digits}").format(digits=board.uid[-6:]))
    if board.kid:
        small.insert(0, _("key id {kid}").format(kid=board.kid))
    if board.lorawan:
        eui = board.lorawan.dev_eui.upper()
        small.insert(0, "DevEUI " + " ".join(eui[at : at + 4] for at in range(0, 16, 4)))
    size = next((s for s in (4.0, 3.6, 3.2, 2.8) if measure(board.name, s, True) <= width), 2.6)
    texts: list[Text] = []
    y = top
    for line in wrapped(board.name, width, 3, lambda words: measure(words, size, True)):
        y += size * 1.15
        texts.append(Text(left, y, size, line, True))
    below = _stacked(small, left, bottom, width, measure)
    title = cleaned(board.title) if board.title != board.name else ""
    size = 2.8 if measure(title, 2.8, False) <= 2 * width else 2.4
    room = int((below[0].y - 2.7 - y) / (size * 1.15))
    for line in wrapped(title, width, max(0, room), lambda words: measure(words, size, False)):
        y += size * 1.15
        texts.append(Text(left, y + 0.7, size, line))
    return texts + below


def _stacked(lines: list[str], left: float, bottom: float, width: float, measure: Measure) -> list[Text]:
    """Small lines that end at the bottom; one that is too long goes on in the next."""
    size = 2.2 if all(measure(line, 2.2, False) <= width for line in lines) else 2.0
    shown = [part for line in lines for part in wrapped(line, width, 2, lambda words: measure(words, size, False))]
    return [Text(left, bottom - 0.4 - at * 2.55, size, line) for at, line in enumerate(reversed(shown))][::-1]
