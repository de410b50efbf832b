"""What reporting each 15 minutes does to a Pico's flash: a measured run of the whole node on a real littlefs.

`python tests/bench/wear.py` prints the table: writes a year of counter, queue and settings, and the years until the most
used block has had 100,000 erases: as measured, and at least, if one pair of blocks had all the erases.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "node")]
import cuts  # noqa: E402
import mp  # noqa: E402

ERASES = 100_000  # a block of the Pico's flash (W25Q16JV) is good for
YEAR = 365
DAYS = 180
PROMISED_YEARS = 10
RUNS = {
    "radio board, K = 16": ("reports", "radio", 16),
    "radio board, K = 1": ("reports", "radio", 1),
    "wired board, K = 16": ("reports", "cable", 16),
    "wired board, K = 1": ("reports", "cable", 1),
    "gated board (K = 1), a cold start each time": ("wakes", "gated"),
    "board in deep sleep, K = 16": ("wakes", "deep"),
    "one command a day, 15 minutes or not": ("commands",),
}


def run(what: str, days: int) -> dict:
    """One row of RUNS over so many days: wear_run.main's numbers, per year."""
    if RUNS[what][0] == "wakes":
        days = max(1, days // 6)  # each is a start of the whole application
    code = f"from wear_run import main\nmain{(*RUNS[what], days)!r}"
    said = json.loads(mp.run(code, heap_kb=8000, path=cuts.DESK, timeout_s=1200).splitlines()[-1])
    total, most = said["erases"]
    year = {owner: [round(n * YEAR / days) for n in counts] for owner, counts in said["uses"].items()}
    return {"done": said["done"], "year": year, "erases": round(total * YEAR / days), "most": most, "days": days,
            "blocks": said["used_blocks"], "years": ERASES / (most * YEAR / days) if most else None,
            "least": 2 * ERASES / (total * YEAR / days) if total else None}  # fmt: skip


def runs(days: int) -> dict[str, dict]:
    """All rows, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(lambda what: run(what, days), RUNS), strict=True))


def table(found: dict[str, dict]) -> str:
    """The rows as a table in Markdown."""
    head = ("writes a year: counter", "queue", "settings", "pages", "erases", "of the worst block", "years", "at least")
    lines = ["| board | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for what, row in found.items():
        writes = [row["year"][owner][0] for owner in ("counter", "queue", "settings")]
        pages = sum(counts[1] for counts in row["year"].values())
        most = round(row["most"] * YEAR / row["days"])
        years = f"{row['years']:.0f}" if row["years"] else "-"
        numbers = [f"{n:,}" for n in (*writes, pages, row["erases"], most)]
        lines.append(f"| {what} | {' | '.join(numbers)} | {years} | {row['least'] or 0:.0f} |")
    return "\n".join(lines)


def measure(quick: bool = False) -> dict:
    """The rows of the report."""
    days = 20 if quick else DAYS
    rows = []
    for what, row in runs(days).items():
        rows.append({"what": f"{what}: erases a year, all blocks", "value": row["erases"], "unit": ""})
        if row["least"]:
            said, years = f"{what}: years to {ERASES:,} erases if one pair of blocks had all", round(row["least"])
            rows.append({"what": said, "value": years, "unit": "", "limit": f">= {PROMISED_YEARS}",
                         "holds": years >= PROMISED_YEARS})  # fmt: skip
    text = f"{days} days of reports each 15 minutes on 352 blocks of 4 kB. littlefs moves on after 100 erases of a block."
    return {"title": "Flash wear", "text": text, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=DAYS, help=f"days to run (default {DAYS})")
    options = parser.parse_args()
    print(f"{options.days} days of reports each 15 minutes, a littlefs of 352 blocks of 4096 bytes, pages of 256.\n")
    print(table(runs(options.days)))
    print("\nlittlefs moves on to other blocks after 100 erases, so in a short run the worst block has 100 more than its share.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
