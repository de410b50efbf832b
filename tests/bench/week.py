"""A broker away for a week while a thousand boards report every hour, and its return.

The week is simulated, frames, daemon, broker and lines are real. Flat means: within a tenth of the memory of the first day. The
line carries a megabyte a second, as a good mobile one; its speed is what the same broker takes of the same messages from a bare
publisher over it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gateway"))
import brokers
from week import Narrow, Week

from tools.twin.broker import Embedded

SHOWN = {
    "boards": "boards", "backlog": "readings that waited", "ready_s": "start to the board's hello, s",
    "taken_per_s": "readings/s taken while the broker is away", "rss_first_mb": "memory after the first six hours, MB",
    "rss_most_mb": "the most of the week, MB", "rss_drain_mb": "the most of the return, MB", "missing": "not delivered",
    "came_again": "delivered twice", "drain_s": "the backlog leaves in, s", "drain_per_s": "readings/s then",
    "line_per_s": "readings/s of a bare publisher", "of_the_line": "of the line's speed", "alarms": "new alarms meanwhile",
    "alarm_most_s": "the longest an alarm waited, s", "alarm_first_place": "share of all that came before the first alarm",
    "live": "new readings meanwhile", "live_median_s": "their median delay, s", "live_most_s": "their longest delay, s",
}  # fmt: skip


def run(boards, hours, per_hour, live_per_s, bytes_per_s):
    """The facts of tests/gateway/week.py."""
    with tempfile.TemporaryDirectory(prefix="week-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("broker", "gate"):
            (folder / part).mkdir()
        real = brokers.binary()
        broker = brokers.Mosquitto(folder / "broker") if real else Embedded(folder / "broker")
        proxy = Narrow(broker.plain_url if real else broker.url)
        week = Week(folder / "gate", broker, proxy, boards=boards)
        try:
            week.away(hours, per_hour)
            proxy.bytes_per_s = bytes_per_s
            week.back(live_per_s)
            week.line()
        finally:
            week.close()
            proxy.close()
            broker.close()
    return week.facts


def judge(facts):
    """What must hold and does not, in words."""
    rules = {
        "something was not delivered": facts["missing"] == 0,
        "something came twice": facts["came_again"] == 0,
        "memory grew over the week": facts["rss_most_mb"] <= 1.1 * facts["rss_first_mb"],
        "memory grew with the return": facts["rss_drain_mb"] <= 1.1 * facts["rss_first_mb"],
        "the backlog left slower than 0.8 of the line": facts["of_the_line"] >= 0.8,
        "alarms did not overtake": facts["alarm_most_s"] < facts["drain_s"] / 4,
        "new readings starved": facts["live_median_s"] < max(6.0, facts["drain_s"] / 2),
    }
    return [text for text, holds in rules.items() if not holds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=168)
    parser.add_argument("--per-hour", type=int, default=1)
    parser.add_argument("--live-per-s", type=float, default=20)
    parser.add_argument("--bytes-per-s", type=int, default=1_000_000, help="of the line; 0: no limit")
    options = parser.parse_args()
    facts = run(options.boards, options.hours, options.per_hour, options.live_per_s, options.bytes_per_s)
    print("| what | measured |\n|---|---|")
    for key, text in SHOWN.items():
        value = facts[key]
        print(f"| {text} | {value:,.3g} |" if isinstance(value, float) and value < 100 else f"| {text} | {value:,.0f} |")
    bad = judge(facts)
    print(*(f"\nDoes not hold: {text}." for text in bad), sep="")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
