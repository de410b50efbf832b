"""Flash wear stays within its budget, and a flash that is full does not silence a board."""

import importlib.util
import sys

import mp
import pytest

sys.path.insert(0, str(mp.ROOT / "tests/node"))
spec = importlib.util.spec_from_file_location("bench_wear", mp.ROOT / "tests/bench/wear.py")
wear = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wear)

# row of the bench, writes a year of the counter and of the queue, erases a year in all
BUDGET = [("radio board, K = 16", 2_300, 71_000, 11_000), ("radio board, K = 1", 35_200, 71_000, 14_000),
          ("wired board, K = 16", 2_300, 106_000, 11_000), ("gated board (K = 1), a cold start each time", 35_200, 0, 5_000),
          ("board in deep sleep, K = 16", 2_300, 0, 1_000)]  # fmt: skip


@pytest.mark.parametrize(("what", "counter", "queue", "erases"), BUDGET)
def test_a_year_of_reports_stays_in_its_budget(what, counter, queue, erases):
    row = wear.run(what, 5)
    print(f"{what}: {row}")
    assert row["done"] >= row["days"] * 96 - 2
    assert counter / 2 < row["year"]["counter"][0] <= counter
    assert queue / 2 <= row["year"]["queue"][0] <= queue
    assert row["erases"] <= erases
    assert row["least"] is None or row["least"] > wear.PROMISED_YEARS


def test_a_command_a_day_is_one_write(desk):
    row = wear.run("one command a day, 15 minutes or not", 40)
    assert row["year"]["settings"][0] == 365
    assert row["year"]["settings"][1] < 400


FULL = """
made = []
def script(now):
    made.append(now)
    return {4: len(made)}
Service.script = script
def numbers(d):
    sent = [f for _, f, _ in d.radio.sent] if d.radio else [m[2] for m in d.host.of(1)]
    return sorted({v if type(v) is int else v[0] + v[1] for v in (opened(f)[0][4] for f in sent)})
d = Desk(SETTINGS)
d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
with open("/f/data", "wb") as file:     # until not a byte fits any more
    piece = 4096
    while piece:
        try:
            file.write(bytes(piece))
            file.flush()
        except OSError:
            piece //= 2
free = os.statvfs("/f")[3]
d.run(200 * 900)
assert numbers(d) == list(range(1, len(made) + 1)), (numbers(d), len(made))
assert not [l for l in d.host.lines if l.startswith("error ")], d.host.lines
full = len(made), free, len(d.app.queue.ids)
last = max(opened(f)[1] for f in ([f for _, f, _ in d.radio.sent] if d.radio else [m[2] for m in d.host.of(1)]))
d.reboot()
d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
d.run(10 * 900)
first = min(opened(f)[1] for f in ([f for _, f, _ in d.radio.sent] if d.radio else [m[2] for m in d.host.of(1)]))
assert first > last, (first, last)
print(full, len(numbers(d)))
"""


@pytest.mark.parametrize("settings", ["config()", "radio_config()"])
def test_a_board_whose_flash_is_full_goes_on(desk, settings):
    """Somebody's file takes all the room: counter and queue find theirs in the blocks that they have."""
    out = desk(FULL.replace("SETTINGS", settings))
    made, free, left = eval(out.splitlines()[-1].rpartition(" ")[0])
    assert made >= 200
    assert left == 0
    assert not 0 < free < 2**31  # littlefs counts some blocks twice: less than none wraps around
