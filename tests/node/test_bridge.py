"""The radio bridge: what it hears, keeps, sends at its own clock, and refuses."""

import pytest

BRIDGE = """
def bridge_config(**changes):
    return config(**dict({"role": "bridge", "radio": RADIO, "plan": PLAN, "service": None, "kid": None}, **changes))
def new():
    return Desk(bridge_config(), role="bridge", secret=False)
def incoming(d, at_ms, frame=b"\\x81frame", rssi=-117, snr=-22):
    d.radio.incoming.append((at_ms, frame, rssi, snr))
INVERTED = [("freq_hz", 869525000), ("sf", 9), ("bw_hz", 125000), ("cr", 5), ("power_dbm", 22), ("iq", "inverted"), ("sync", 18)]
"""


def test_what_it_hears_goes_to_the_host_with_the_time_of_its_end(desk):
    out = desk(
        BRIDGE
        + """
d = new()
start = now_ms()
for i in range(5):
    incoming(d, start + 1000 * i + 500, b"frame %d" % i, -100 - i, i - 3)
d.run(10)
assert d.host.heard[0] == [6, "0.1.0", UID, ["bridge"], d.host.heard[0][4], 0, 0]
assert [m[:5] for m in d.host.of(1)] == [[1, i + 1, b"frame %d" % i, -100 - i, i - 3] for i in range(5)]
assert [m[5] for m in d.host.of(1)] == [1000 * i + 500 for i in range(5)], d.host.of(1)
assert d.radio.windows[0][2]["iq"] is False and d.radio.windows[0][1] is None
print(len(d.app.board.outbox.waiting))
"""
    )
    assert out.split() == ["5"]


def test_it_keeps_64_and_sends_them_again_in_order(desk):
    out = desk(
        BRIDGE
        + """
d = new()
start = now_ms()
for i in range(70):
    incoming(d, start + 10 * i + 500, b"frame %d" % i)
def asked():
    d.host.heard.clear()
    d.host.say(link.handled(20))
    d.host.say(link.ask_hello())
    d.host.on_message = while_it_sends
d.after(5, asked)
def while_it_sends(message):
    if message[0] == 1 and message[1] == 30:
        d.app.board.outbox.add(b"new", -90, 8, 0)
d.run(6)
hello = d.host.heard[0]
assert hello[0] == 6 and hello[5:] == [70, 6], hello
assert [m[1] for m in d.host.of(1)] == list(range(21, 72))
assert [m[2] for m in d.host.of(1)] == [b"frame %d" % i for i in range(20, 70)] + [b"new"]
print(len(d.app.board.outbox.waiting))
"""
    )
    assert out.split() == ["51"]


def test_it_sends_within_5_ms_of_the_time_it_was_told_and_listens_again(desk):
    out = desk(
        BRIDGE
        + """
d = new()
start = now_ms()
at = [5000, 9000, 60000, 3000]
for i, t in enumerate(at):
    d.host.say(link.send(10 + i, b"answer %d" % i, t, INVERTED))
incoming(d, start + 70000)
d.run(80)
sent = sorted((t - start, f, s["iq"], s["freq_hz"], s["power_dbm"]) for t, f, s in d.radio.sent)
assert [f for _, f, _, _, _ in sent] == [b"answer 3", b"answer 0", b"answer 1", b"answer 2"]
for (t, _, iq, freq, power), want in zip(sent, sorted(at)):
    assert want <= t <= want + 1, (t, want)
    assert iq is True and freq == 869525000 and power == 22
replies = {m[1]: m for m in d.host.of(3)}
assert sorted(replies) == [10, 11, 12, 13]
assert all(m[2] == "ok" and m[3] == airtime_us(8, 9, 125000) for m in replies.values()), replies
assert d.radio.windows[-1][2]["iq"] is False and d.radio.windows[-1][2]["freq_hz"] == 868100000
print(len(d.host.of(1)))
"""
    )
    assert out.split() == ["1"]


def test_the_clock_of_the_link_wraps_at_32_bit(desk):
    out = desk(
        BRIDGE
        + """
d = new()
d.app.board.uptime._ms = (1 << 32) - 3000
start = now_ms()
incoming(d, start + 1000)
incoming(d, start + 4000)
d.host.say(link.send(1, b"answer", 2000, INVERTED))
d.run(10)
print(d.radio.sent[0][0] - start, d.host.of(3)[0][2], [m[5] for m in d.host.of(1)])
"""
    )
    at, status, first, second = out.replace("[", "").replace("]", "").replace(",", "").split()
    assert status == "ok"
    assert 5000 <= int(at) <= 5001
    assert (int(first), int(second)) == ((1 << 32) - 2000, 1000)


def test_late_busy_and_duty(desk):
    out = desk(
        BRIDGE
        + """
SLOW = [("sf", 12), ("iq", "inverted")]          # on the band of the uplinks: 1 %
d = new()
replies = lambda: {m[1]: m[2] for m in d.host.of(3)}
def at_10_s():
    say = lambda i, t, radio, frame=bytes(30): d.host.say(link.send(i, frame, t, radio))
    say(1, 9000, INVERTED)         # a second ago
    say(2, 10019, INVERTED)        # 19 ms to go
    say(3, 12000, INVERTED)
    say(4, 12050, INVERTED)        # while 3 is in the air
    say(5, 12000 + 300, INVERTED)  # after it
    say(6, 20000, SLOW)            # the gift of the boot
    say(7, 30000, SLOW)            # and no more of it for some minutes
def busy():
    for i in range(20, 30):
        d.host.say(link.send(i, b"x", 60000 + 500 * i, INVERTED))
d.after(10, at_10_s)
d.after(40, busy)
d.run(120)
r = replies()
assert r[1] == r[2] == "late" and r[3] == "ok" and r[4] == "busy" and r[5] == "ok" and r[6] == "ok" and r[7] == "duty", r
assert [r[i] for i in range(20, 30)] == ["ok"] * 8 + ["busy"] * 2, r
print(len(d.radio.sent))
"""
    )
    assert out.split() == ["11"]


def test_it_does_not_talk_over_a_frame_that_is_coming_in(desk):
    out = desk(
        BRIDGE
        + """
d = new()
d.radio.incoming_now = True
d.host.say(link.send(1, b"timed", 2000, INVERTED))
d.after(5, lambda: d.host.say(link.send(2, b"now", 0, INVERTED)))
def ended():
    d.radio.incoming_now = False
d.after(6, ended)
d.run(10)
(at, frame, _), = d.radio.sent
assert {m[1]: m[2] for m in d.host.of(3)} == {1: "busy", 2: "ok"}
print(frame.decode(), 6000 <= at < 6100)
"""
    )
    assert out.split() == ["now", "True"]


def test_configuring_the_receiver(desk):
    out = desk(
        BRIDGE
        + """
d = new()
d.after(1, lambda: d.host.say(link.configure(7, [("sf", 10), ("freq_hz", 868300000)])))
start = now_ms()
incoming(d, start + 3000)
d.run(5)
assert d.host.of(5) == [[5, 7, "ok"]]
last = d.radio.windows[-1][2]
print(last["sf"], last["freq_hz"], last["iq"], len(d.host.of(1)))
"""
    )
    assert out.split() == ["10", "868300000", "False", "1"]


BAD = [
    '{"sf": 4}', '{"sf": "nine"}', '{"freq_hz": 433000000}', '{"freq_hz": 868650000}', '{"bw_hz": 1}', '{"cr": 9}',
    '{"sync": 256}', '{"iq": "sideways"}', '{"iq": 3}', "[1]", "3", '{"power_dbm": True}', '{"sf": -1}',
]  # fmt: skip


@pytest.mark.produces("config")
def test_settings_that_are_no_plan_are_refused_by_name(desk):
    out = desk(
        BRIDGE
        + f"""
from firmware.wire.cbor import dumps_link
d = new()
bad = [{", ".join(BAD)}]
for i, radio in enumerate(bad):
    d.host.say(hdlc.encode(0x22, dumps_link([4, i, radio])))
    d.host.say(hdlc.encode(0x22, dumps_link([2, 100 + i, b"frame", 3000, radio])))
for i, (frame, at) in enumerate(((b"", 3000), (bytes(256), 3000), (b"x", "soon"), ("text", 3000), (b"x", None))):
    d.host.say(hdlc.encode(0x22, dumps_link([2, 200 + i, frame, at, {{}}])))
# and what is not even a message of ours
for strange in ([2], [2, "id", b"x", 1, {{}}], [4], [4, None, {{}}], [7], [7, b"x"], [6, 1], [99], [1, 2, 3], [-3, 4]):
    d.host.say(hdlc.encode(0x22, dumps_link(strange)))
incoming(d, now_ms() + 5000)
d.run(10)
assert [m[2] for m in d.host.of(5)] == ["config"] * len(bad), d.host.of(5)
assert [m[2] for m in d.host.of(3)] == ["config"] * (len(bad) + 5), d.host.of(3)
assert not d.radio.sent and not [l for l in d.host.lines if l.startswith("error")]
print(len(d.host.of(1)), d.radio.settings["sf"])
"""
    )
    assert out.split() == ["1", "9"]


def test_a_radio_that_fails_is_started_again(desk):
    out = desk(
        BRIDGE
        + """
d = new()
d.radio.absent = True
def back():
    d.radio.absent = False
d.after(20, back)
d.radio.failing = ["radio_tx"]
incoming(d, now_ms() + 40000)
d.host.say(link.send(1, b"lost", 5000, INVERTED))
d.host.say(link.send(2, b"tried", 30000, INVERTED))
d.run(60)
assert {m[1]: m[2] for m in d.host.of(3)} == {1: "radio_absent", 2: "radio_tx"}, d.host.of(3)
print(len(d.host.of(1)), any(l.startswith("error radio_absent") for l in d.host.lines))
"""
    )
    assert out.split() == ["1", "True"]


def test_ctrl_c_ends_in_the_repl_with_the_radio_asleep(desk):
    out = desk(
        BRIDGE
        + """
d = new()
from firmware.node.board import run_role
def ctrl_c():
    raise KeyboardInterrupt
d.after(5, ctrl_c)
d.radio.asleep = False
try:
    run_role(d.app.board, lambda board, root: d.app, "/f/")
except KeyboardInterrupt:
    print("repl", d.radio.asleep)
"""
    )
    assert out.split() == ["repl", "True"]
