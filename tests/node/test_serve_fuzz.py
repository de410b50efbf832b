"""Whatever comes in a frame of the console: the board answers, counts, and goes on reporting."""

import os

FUZZ = """
from asker import *
import random
from firmware.node.serve import OPS
from firmware.wire.errors import WireError

random.seed({seed})
ANY = (0, 1, -1, 23, 1 << 40, True, False, None, b"", b"12345678", b"x" * 300, "", "empty_mm", "x" * 40, [], [1, [2]],
       {{}}, {{1: 2}}, {{"a": [1]}}, "status", "\\0", 63)

def body():
    kind = random.randint(0, 3)
    if kind == 0:
        return bytes([random.getrandbits(8) for _ in range(random.randint(0, 60))])
    items = [random.choice(ANY) for _ in range(random.randint(0, 5))]
    if kind == 1:
        return dumps_link(items)
    if kind == 2 and items:
        items[0] = random.randint(0, 1 << 32)
    return dumps_link(items[:1] + [random.choice(list(OPS))] + items[1:])

d = Desk(config(report_s=1, settings={{"empty_mm": 1150}}))
d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
left = [{rounds}]

def hostile():
    data = hdlc.encode(0x24, body())
    if random.randint(0, 3) == 0:
        data = bytearray(data)
        for _ in range(random.randint(1, 4)):
            data[random.randint(0, len(data) - 1)] ^= 1 << random.randint(0, 7)
        data = bytes(data) + b"\\x7e"
    d.host.say(data)

def authentic():
    op = random.choice(list(OPS))
    if op == "challenge":
        return greet(d)
    ask(d, op, *[random.choice(ANY) for _ in range(random.randint(0, 5))])

def step():
    left[0] -= 1
    if left[0] > 0:
        random.choice((hostile, authentic))()
        d.after(0.12, step)

greet(d, 0.01)
d.after(1, step)
d.run({rounds} * 12 // 100 + 20)
times = [m[5] for m in d.host.of(1)]
late = max(b - a for a, b in zip(times, times[1:]))
codes = {{}}
for ident, status, value in d.host.answers:
    codes[status] = codes.get(status, 0) + 1
    assert status != 40, value
assert len(times) >= {rounds} * 12 // 100 + 18 and late <= 1050, (len(times), late)
assert codes[0] > 10 and codes[65] > 20 and codes[63] > 20, codes
assert d.app.board.console.garbage > {rounds} // 20, d.app.board.console.garbage
assert d.app.board.talk is None                 # and the talk is over, its modules are gone
print(codes, d.app.board.console.garbage)
"""
ROUNDS = 1000


def test_hostile_and_odd_requests(desk):
    rounds = max(ROUNDS, int(os.environ.get("JOURDAIN_EXAMPLES", "0")))
    print(desk(FUZZ.format(seed=rounds, rounds=rounds), timeout_s=200))
