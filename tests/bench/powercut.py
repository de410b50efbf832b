"""The power-cut runner in full: every program, erase and sync of every scenario, each with every tear.

`python tests/bench/powercut.py` prints the table. Exit status 1 when something that must hold was broken.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "node")]
import cuts  # noqa: E402

TEARS = 4
PROMISED = 5000


def run(tears: int = TEARS) -> dict[str, dict]:
    """{scenario: what cuts.run says}, two at a time."""
    names = cuts.scenarios()
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(lambda name: cuts.run(name, tears), names), strict=True))


def table(found: dict[str, dict]) -> str:
    """The results as a table in Markdown."""
    lines = ["| scenario | operations of a boot | cuts | in the file system's | violations |", "|---|---|---|---|---|"]
    for name, said in found.items():
        by = ", ".join(f"{operation} {n}" for operation, n in sorted(said["by"].items(), key=lambda row: -row[1]))
        lines.append(f"| {name} | {said['operations']} | {said['cuts']} | {by} | {len(said['violations'])} |")
    cut, bad = (sum(map(count, found.values())) for count in (lambda s: s["cuts"], lambda s: len(s["violations"])))
    return "\n".join([*lines, f"| **all** | | **{cut}** | | **{bad}** |"])


def measure(quick: bool = False) -> dict:
    """The rows of the report; `quick`: one tear at each operation."""
    found = run(1 if quick else TEARS)
    rows = [
        {"what": f"{name}: violations in {said['cuts']} power cuts", "value": len(said["violations"]), "unit": "", "limit": "0",
         "holds": not said["violations"]}
        for name, said in found.items()
    ]  # fmt: skip
    cut = sum(said["cuts"] for said in found.values())
    limit = PROMISED if not quick else PROMISED // TEARS
    rows.append({"what": "power cuts in all", "value": cut, "unit": "", "limit": f">= {limit:,}", "holds": cut >= limit})
    text = "Three boots in a row are cut, at any program, erase or sync of a real littlefs; then the board works."
    return {"title": "Power cuts", "text": text, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tears", type=int, default=TEARS, choices=range(1, TEARS + 1), help="tears at each operation")
    found = run(parser.parse_args().tears)
    print(table(found))
    for name, said in found.items():
        for operation, tear, what in said["violations"]:
            print(f"{name}, cut at operation {operation} ({tear}): {what}")
    return 1 if any(said["violations"] for said in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
