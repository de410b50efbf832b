"""The service console of a running application: who may ask, how often, and that it disturbs nothing."""

import pytest

ASK = "from asker import *\n"


def test_a_challenge_a_status_and_the_application_goes_on(desk):
    out = desk(
        ASK
        + """
d = Desk(config(report_s=60))
greet(d, 1)
d.after(2, lambda: ask(d, "status"))
d.after(3, lambda: ask(d, "counters"))
d.after(4, lambda: ask(d, "log"))
d.run(130)
(a, ok, status), (_, ok2, counters), (_, ok3, log) = d.host.answers
assert ok == ok2 == ok3 == 0
assert status["board"] == "desk-1" and status["uid"] == UID and status["kid"] == "0001" and status["uptime_s"] == 2, status
assert status["piv"] == 2 and status["report_s"] == 60 and status["queued"] == 1 and status["heap_free"] > 10000
assert counters["heard"] == 1 and counters["garbage"] == 0 and counters["refused"] == 0, counters
assert log == {"last": "", "kinds": {}, "crashes": []}
assert status["slot"] == "a" and status["production"] is False and status["quarantine"] == []
assert len(d.host.taken()) == 3                      # it reported all the while
assert d.app.board.talk is None
import sys
print([m for m in sys.modules if m.startswith("firmware.node.op_") or m == "firmware.node.serve"])
"""
    )
    assert out.strip() == "[]"


@pytest.mark.produces("console_auth")
def test_a_wrong_key_an_old_request_and_no_challenge_are_refused(desk):
    desk(
        ASK
        + """
d = Desk(config(report_s=600))
d.after(1, lambda: ask(d, "status"))                                  # before any challenge
greet(d, 2)
d.after(3, lambda: ask(d, "status", key=service_key(bytes(16), KID)))
lines = []
d.after(5, lambda: lines.append(ask(d, "status")))
d.after(6, lambda: d.host.say(lines[0]))                              # the very same request again
d.after(8, lambda: ask(d, "status", ident=1))                         # its number was there already
d.after(10, lambda: d.host.say(hdlc.encode(0x24, dumps_link([99, "status"]))))
d.after(12, lambda: d.host.say(hdlc.encode(0x24, dumps_link([100, "status", b"short"]))))
greet(d, 14)
d.after(16, lambda: d.host.say(lines[0]))                              # recorded under the nonce before
d.after(18, lambda: ask(d, "status"))
d.after(35, lambda: ask(d, "status"))                                  # the talk is over, its nonce is gone
d.run(36)
said = [(status, value) for ident, status, value in d.host.answers]
assert said[0] == (63, "no challenge"), said
assert said[1] == (63, "wrong MAC")
assert said[2][0] == 0
assert said[3] == said[4] == (63, "an old request"), said
assert said[5] == said[6] == (63, "wrong MAC"), said
assert d.app.board.faults.code == 63                                   # the town hears of it
assert said[7] == (63, "wrong MAC") and said[8][0] == 0 and said[9] == (63, "no challenge") and len(said) == 10, said
"""
    )


@pytest.mark.produces("console_request")
def test_what_is_no_request_is_refused_or_counted(desk):
    desk(
        ASK
        + """
d = Desk(config(report_s=600))
greet(d, 1)
d.after(2, lambda: ask(d, "no_such_op"))
d.after(3, lambda: ask(d, "status", 1, 2, 3))
bodies = "", "ff", "80", "8101", "8261616162", "a0", "820102", "82f66161"
for i, body in enumerate(bytes.fromhex(b) for b in bodies):
    d.after(4 + i / 2, lambda body=body: d.host.say(hdlc.encode(0x24, body)))
d.run(20)
said = [(status, value) for ident, status, value in d.host.answers]
assert said[0] == (65, "unknown op"), said
assert said[1][0] == 65, said
assert len(said) == 2, said
assert d.app.board.console.garbage == 8, d.app.board.console.garbage
assert d.app.board.faults.code is None
"""
    )


@pytest.mark.produces("console_rate")
def test_a_flood_is_refused_and_delays_nothing(desk):
    out = desk(
        ASK
        + """
d = Desk(config(report_s=1))
d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
def flood():
    if now_ms() < 30000:
        for i in range(5):
            ask(d, "status")
            ask(d, "challenge")
        d.after(0.1, flood)
d.after(0, flood)
d.run(32)
times = [m[5] for m in d.host.of(1)]
late = max(b - a for a, b in zip(times, times[1:]))
assert len(times) >= 32, times
assert late <= 1050, late
codes = {}
for ident, status, value in d.host.answers:
    codes[status] = codes.get(status, 0) + 1
board = d.app.board
assert board.refused > 2000 and codes[64] > 20, (board.refused, codes)
assert sum(codes.values()) < 700, codes
print(board.refused, codes, late)
"""
    )
    print(out)


def test_a_bridge_has_no_key_and_answers_without(desk):
    desk(
        ASK
        + """
d = Desk(radio_config(role="bridge", kid=None, service=None, board="bridge-1"), "bridge", secret=False)
d.after(1, lambda: ask(d, "challenge"))
d.after(2, lambda: d.host.say(hdlc.encode(0x24, dumps_link([7, "status"]))))
d.after(3, lambda: d.host.say(hdlc.encode(0x24, dumps_link([8, "counters"]))))
d.run(4)
(_, zero, challenge), (seven, ok, status), (_, ok2, counters) = d.host.answers
assert challenge[1:] == [b"", "bridge-1", UID, "bridge"] and len(challenge[0]) == 8
assert seven == 7 and zero == ok == ok2 == 0 and status["role"] == "bridge" and counters["heard"] == 0, d.host.answers
"""
    )


def test_a_damaged_key_opens_nothing(desk):
    desk(
        ASK
        + """
d = Desk(config(report_s=600))
with open("/f/secret.json", "w") as file:
    file.write('{"kid": "0001", "secret": "0')
for i, op in enumerate(("challenge", "status", "status", "production")):
    d.after(1 + i, lambda op=op: d.host.say(hdlc.encode(0x24, dumps_link([1 + now_ms(), op]))))
d.run(6)
assert [status for ident, status, value in d.host.answers] == [30] * 4, d.host.answers
"""
    )


def test_a_talk_leaves_nothing_behind(desk):
    out = desk(
        ASK
        + """
import gc
d = Desk(config(report_s=3600, settings={"empty_mm": 1150}))
held = []
for talk in range(6):
    at = 1 + 40 * talk
    greet(d, at)
    for i, request in enumerate((("status",), ("counters",), ("log",), ("selftest",), ("set", "no", 1), ("update", b"name"))):
        d.after(at + 1 + i, lambda request=request: ask(d, *request))
    def weigh():
        assert d.app.board.talk is None and len(d.host.answers) == 6, d.host.answers
        d.host.answers.clear()
        d.host.lines.clear()
        gc.collect()
        held.append(gc.mem_alloc())
    d.after(at + 35, weigh)
d.run(250)
print(held)
assert max(held[3:]) < max(held[:3]) + 1000, held          # what the stack still names varies
"""
    )
    print(out)
