"""A label as SVG: sizes in millimetres, sharp on any printer, no font but the one that is there."""

from xml.sax.saxutils import escape

from tools.label.layout import Layout, Text

FONT = "DejaVu Sans, Arial, Helvetica, sans-serif"
# Widths in parts of the size, of the widest usual font: what fits there fits in the others.
_NARROW = dict.fromkeys("iljI.,:;'|!", 0.34) | dict.fromkeys("frt()[]/- ", 0.42)
_WIDE = dict.fromkeys("mwMW@%", 0.97) | dict.fromkeys("ABCDEFGHKLNOPQRSTUVXYZ", 0.72)
_WIDTHS = _NARROW | _WIDE


def measure(text: str, size: float, bold: bool) -> float:
    """The width of a text in mm, of type `size` mm high."""
    return sum(_WIDTHS.get(letter, 0.64) for letter in text) * size * (1.1 if bold else 1)


def document(label: Layout) -> str:
    """A file with one label."""
    size = f'width="{label.width:g}mm" height="{label.height:g}mm" viewBox="0 0 {label.width:g} {label.height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{drawing(label)}</svg>\n'


def drawing(label: Layout) -> str:
    """The label alone, for a document that holds several, in mm."""
    white = f'<rect width="{label.width:g}" height="{label.height:g}" fill="#fff"/>'
    place = f"translate({label.x:.4f} {label.y:.4f}) scale({label.module:.5f})"
    code = f'<path transform="{place}" d="{_runs(label.modules)}" fill="#000" shape-rendering="crispEdges"/>'
    return white + code + f'<g font-family="{FONT}" fill="#000">' + "".join(map(_text, label.texts)) + "</g>"


def _text(text: Text) -> str:
    weight = ' font-weight="bold"' if text.bold else ""
    place = f'x="{text.x:.2f}" y="{text.y:.2f}" font-size="{text.size:.2f}"'
    return f"<text {place}{weight}>{escape(text.words)}</text>"


def _runs(modules: tuple[bytes, ...]) -> str:
    """Dark modules as rectangles, one for each run of a row."""
    parts = []
    for y, row in enumerate(modules):
        x = 0
        while (x := row.find(1, x)) >= 0:
            end = row.find(0, x)
            end = len(row) if end < 0 else end
            parts.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
            x = end
    return "".join(parts)
