"""Labels on a sheet of A4 for an office printer: three columns of eight, as sheets of 63.5 x 33.9 mm labels are cut."""

from collections.abc import Iterator
from html import escape

from tools.i18n import _
from tools.label import svg
from tools.label.layout import Layout

PAGE_MM = (210, 297)
COLUMNS, ROWS = 3, 8
LABEL_MM = (63.5, 33.9)
_LEFT, _TOP, _STEP_X, _STEP_Y = 7.25, 12.9, 66.0, 33.9


def pages(labels: list[Layout], start: int, cut: bool) -> list[str]:
    """SVG pages with labels of LABEL_MM. start: the first place that is free, from 1, by rows; cut: with lines to cut along."""
    count = COLUMNS * ROWS
    placed = list(enumerate(labels, start=start - 1))
    return [_page(placed, page, cut) for page in range(placed[-1][0] // count + 1)]


def html(svgs: list[str], title: str) -> str:
    """The pages as one document that a browser prints."""
    note = _("Print at 100 %, without margins and without fitting to the page.")
    style = (
        "@page{size:A4;margin:0}body{margin:0}p{font:4mm sans-serif;margin:3mm}svg{display:block;break-after:page}"
        "svg:last-child{break-after:auto}@media print{p{display:none}}"
    )
    head = f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title><style>{style}</style></head>'
    return f"{head}<body><p>{escape(note)}</p>{''.join(svgs)}</body></html>\n"


def _page(placed: list[tuple[int, Layout]], page: int, cut: bool) -> str:
    width, height = PAGE_MM
    size = f'width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(_labels(placed, page, cut))}</svg>\n'


def _labels(placed: list[tuple[int, Layout]], page: int, cut: bool) -> Iterator[str]:
    for place, label in placed:
        on, at = divmod(place, COLUMNS * ROWS)
        if on == page:
            row, column = divmod(at, COLUMNS)
            x, y = _LEFT + column * _STEP_X, _TOP + row * _STEP_Y
            frame = f'<rect width="{label.width:g}" height="{label.height:g}" fill="none" stroke="#999" stroke-width="0.1"/>'
            yield f'<g transform="translate({x:g} {y:g})">{svg.drawing(label)}{frame if cut else ""}</g>'
