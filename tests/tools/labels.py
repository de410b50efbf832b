"""What reads a label back: a raster of our SVG, made here from its rectangles alone, and a decoder that is not ours."""

import re

import numpy
import zxingcpp
from PIL import Image

_PATH = re.compile(r'<path transform="translate\(([\d.]+) ([\d.]+)\) scale\(([\d.]+)\)" d="([^"]+)"')
_RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1h-\d+z")
_PLACED = re.compile(r'<g transform="translate\(([\d.]+) ([\d.]+)\)">')


def codes(svg: str):
    """[(x, y, module, rectangles)] in mm of the codes of an SVG, those of a sheet at their places."""
    found = []
    for at in _PATH.finditer(svg):
        placed = list(_PLACED.finditer(svg, 0, at.start()))
        left, top = map(float, placed[-1].groups()) if placed else (0.0, 0.0)
        runs = [tuple(map(int, run)) for run in _RUN.findall(at[4])]
        found.append((left + float(at[1]), top + float(at[2]), float(at[3]), runs))
    return found


def raster(svg: str, dpi: int) -> Image.Image:
    """What a printer of that resolution makes of the codes of an SVG."""
    width, height = (float(word) for word in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    dots = numpy.full((round(height * dpi / 25.4), round(width * dpi / 25.4)), 255, numpy.uint8)
    for left, top, module, runs in codes(svg):
        for x, y, length in runs:
            edges = (left + x * module, left + (x + length) * module, top + y * module, top + (y + 1) * module)
            x0, x1, y0, y1 = (round(mm * dpi / 25.4) for mm in edges)
            dots[y0:y1, x0:x1] = 0
    return Image.fromarray(dots)


def read(image: Image.Image):
    """The codes that the decoder finds: [(text, mode)]."""
    return [(code.text, code.format.name) for code in zxingcpp.read_barcodes(image)]
