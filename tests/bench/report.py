"""`make bench`: run every bench beside this file and write one page with tables and plots.

A bench is a module of this folder with `measure(quick: bool) -> dict`:
{"title", "text", "rows": [{"what", "value", "unit", "limit", "holds"}],
 "plots": [{"title", "xlabel", "ylabel", "x", "lines": {label: [y]}}], "profile": text}.
`limit` is text; `holds` is True, False, or None where nothing is promised. Exit status 1 when a promise does not hold.
"""

import argparse
import html
import importlib.util
import io
import json
import os
import platform
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHES = ("budgets", "powercut", "wear", "flash", "receive", "disk", "services", "gateway", "backlog", "town")
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#123}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ccd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.no{color:#a00;font-weight:bold}.yes{color:#060}svg{max-width:100%;height:auto}"""


def load(name: str):
    """Import the bench `name` of this folder."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plot_svg(plot: dict) -> str:
    """One plot as inline SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    for label, values in plot["lines"].items():
        axes.plot(plot["x"], values, marker="o" if len(values) < 40 else None, label=label)
    axes.set(title=plot["title"], xlabel=plot["xlabel"], ylabel=plot["ylabel"])
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def table(rows: list[dict]) -> str:
    """Rows of one bench as an HTML table; what does not hold says so in words."""
    lines = ["<table><tr><th>what<th>measured<th>promised<th>holds</tr>"]
    for row in rows:
        value = row["value"]
        shown = f"{value:,.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        holds = {True: '<td class="yes">yes', False: '<td class="no">NO', None: "<td>"}[row.get("holds")]
        limit = html.escape(str(row.get("limit") or ""))
        lines.append(f"<tr><td>{html.escape(row['what'])}<td class=n>{shown} {row.get('unit', '')}<td>{limit}{holds}</tr>")
    return "\n".join([*lines, "</table>"])


def page(results: list[dict]) -> str:
    """The whole report."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    parts = [f"<!doctype html><meta charset=utf-8><title>Jourdain: measured</title><style>{STYLE}</style>"]
    parts += [f"<h1>Jourdain: measured</h1><p>{where}. Ratios were measured side by side in one run.</p>"]
    for result in results:
        parts += [f"<h2>{html.escape(result['title'])}</h2><p>{html.escape(result.get('text', ''))}</p>", table(result["rows"])]
        parts += [plot_svg(plot) for plot in result.get("plots", [])]
        if result.get("profile"):
            parts.append(f"<pre>{html.escape(result['profile'])}</pre>")
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--quick", action="store_true", help="smaller runs, same rows")
    parser.add_argument("benches", nargs="*", help=f"some of {', '.join(BENCHES)}")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for name in options.benches or BENCHES:
        print(f"bench {name} ...", file=sys.stderr, flush=True)
        results.append(load(name).measure(options.quick))
        for row in results[-1]["rows"]:
            promise = f"   promised {row['limit']}: {'yes' if row['holds'] else 'NO'}" if row.get("limit") else ""
            print(f"  {row['what']}: {row['value']} {row.get('unit', '')}{promise}")
    (options.out / "report.html").write_text(page(results), encoding="utf-8")
    (options.out / "report.json").write_text(json.dumps(results, indent=1, default=str), encoding="utf-8")
    print(f"written: {options.out / 'report.html'}", file=sys.stderr)
    return 1 if any(row.get("holds") is False for r in results for row in r["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
