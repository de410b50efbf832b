"""Words of people on a small piece of paper: what cannot be printed goes, what is too long is broken."""

import re
from collections.abc import Callable


def cleaned(text: object) -> str:
    """A text of a file without what is no letter: control characters could steer a terminal or break a page."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)).strip()


def wrapped(text: str, width: float, most: int, measure: Callable[[str], float]) -> list[str]:
    """Lines of at most `width`, broken at spaces and behind hyphens and dots, in need anywhere; at most `most` of them."""
    pieces = [piece for word in text.split() for piece in [*re.findall(r"[^-./]+[-./]*|[-./]+", word), " "]]
    lines, line = [], ""
    for whole in pieces:
        piece = whole
        if measure((line + piece).rstrip()) <= width:
            line += piece if line else piece.lstrip()
            continue
        if line.strip():
            lines.append(line.rstrip())
        piece = piece.lstrip()
        while measure(piece) > width and len(piece) > 1:
            cut = next(n for n in range(len(piece) - 1, 0, -1) if n == 1 or measure(piece[:n]) <= width)
            lines.append(piece[:cut])
            piece = piece[cut:]
        line = piece
    if line.strip():
        lines.append(line.rstrip())
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], _shortened(lines[most - 1], width, measure)] if most else []


def _shortened(line: str, width: float, measure: Callable[[str], float]) -> str:
    while line and measure(line + "...") > width:
        line = line[:-1]
    return line.rstrip() + "..."
