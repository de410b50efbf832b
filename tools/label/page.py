"""A commissioning sheet as one HTML page that needs nothing else: prints on A4, reads on a telephone."""

from collections.abc import Iterable, Sequence
from html import escape

from tools.i18n import _
from tools.label.words import cleaned

STYLE = """
@page{size:A4;margin:11mm 12mm}
*{box-sizing:border-box}
body{font:8.5pt/1.25 'DejaVu Sans',Arial,Helvetica,sans-serif;color:#000;background:#fff;max-width:186mm;margin:0 auto}
header{display:flex;justify-content:space-between;align-items:center;border-bottom:.5mm solid #000;padding-bottom:2mm}
h1{font-size:17pt;margin:0;line-height:1.15}
h2{font-size:9pt;margin:3mm 0 .8mm;border-bottom:.2mm solid #000}
header svg{width:64mm;height:34mm;flex:none}
.columns{display:flex;gap:6mm;align-items:flex-start}
.columns>div{flex:1;min-width:0}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.35mm 2mm .35mm 0;border-bottom:.1mm solid #bbb;font-weight:normal;
 overflow-wrap:break-word}
th{width:34%;color:#333}
thead th{width:auto;font-size:7.5pt;white-space:nowrap}
tr.failed td{font-weight:bold}
.hash{font:6.5pt/1.25 'DejaVu Sans Mono',monospace;word-break:break-all}
.fill td{border-bottom:.25mm solid #000;height:8mm;width:50%}
.fill th{border:0;vertical-align:bottom;width:auto;white-space:nowrap;padding-left:2mm}
.fill th:first-child{padding-left:0}
div.remarks{border:.25mm solid #000;height:22mm;margin-top:3mm;padding:1mm 2mm;color:#333}
p{margin:.6mm 0 0}
p.alert{border:.5mm solid #000;padding:1mm 2mm;margin-top:2mm;font-weight:bold}
.note{color:#333;font-size:7.5pt;margin-top:1.2mm}
.drawing{break-before:page}
.drawing svg{max-width:100%;max-height:262mm;height:auto;display:block;margin:0 auto}
@media screen{body{padding:6mm}}
@media screen and (max-width:640px){.columns,header{display:block}}
"""


def document(title: str, language: str, parts: Iterable[str]) -> str:
    """The page."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{text(title)}</title>'
    page = f'<!doctype html>\n<html lang="{language}"><head>{head}<style>{STYLE}</style></head><body>'
    return page + "\n".join(parts) + "</body></html>\n"


def text(words: object) -> str:
    """Words of a file, harmless in HTML."""
    return escape(cleaned(words))


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it; nothing where there is nothing."""
    inside = "".join(parts)
    return f"<section><h2>{text(title)}</h2>{inside}</section>" if inside else ""


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values; a long hash small; an empty value is a line to write on."""
    return _table("".join(f"<tr><th>{text(name)}</th>{_cell(value)}</tr>" for name, value in rows))


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], failed: Iterable[int] = ()) -> str:
    """A table with a head; rows that are `failed` stand out, on paper too."""
    if not rows:
        return ""
    bad = set(failed)
    top = "".join(f"<th>{text(name)}</th>" for name in head)
    lines = [
        f"<tr{' class=failed' if at in bad else ''}>" + "".join(map(_cell, row)) + "</tr>" for at, row in enumerate(rows)
    ]
    return _table("".join(lines), f"<thead><tr>{top}</tr></thead>")


def columns(*sides: Iterable[str]) -> str:
    """Sections side by side."""
    return '<div class="columns">' + "".join(f"<div>{''.join(side)}</div>" for side in sides) + "</div>"


def fields(*rows: Sequence[str]) -> str:
    """Lines to fill in by hand, some of them beside each other."""
    lines = "".join("<tr>" + "".join(f"<th>{text(name)}</th><td></td>" for name in row) + "</tr>" for row in rows)
    return f'<table class="fill">{lines}</table>'


def box(words: str) -> str:
    """Room to write."""
    return f'<div class="remarks">{text(words)}</div>'


def drawing(svg: str) -> str:
    """A drawing on a page of its own, as large as that takes it."""
    return f'<div class="drawing">{svg}</div>'


def alert(words: str) -> str:
    """A sentence that nobody overlooks."""
    return f'<p class="alert">{text(words)}</p>' if words else ""


def note(words: str) -> str:
    """A small sentence."""
    return f'<p class="note">{text(words)}</p>'


def link(address: str, words: str) -> str:
    """A link whose address is good to read on paper too."""
    return f'<p class="note"><a href="{text(address)}">{text(words)}</a></p>'


def _cell(value: str) -> str:
    long = len(value) >= 40 and " " not in value
    return f'<td class="hash">{text(value)}</td>' if long else f"<td>{text(value)}</td>"


def _table(inside: str, head: str = "") -> str:
    return f"<table>{head}<tbody>{inside}</tbody></table>" if inside else ""


def missing() -> str:
    """What stands where the record says nothing yet."""
    return note(_("not recorded yet: `jourdain flash` does it"))
