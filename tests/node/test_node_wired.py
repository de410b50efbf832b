"""A node with a host on its serial line: kept until handled, sent again after a hello, over reboots too."""

WIRED = """
made = []
def script(now):
    made.append({3: len(made) % 100, 4: len(made)})
    return dict(made[-1])
Service.script = script
def frames(d):
    return [m[2] for m in d.host.of(1)]
def acknowledge(d, until=None):
    d.host.on_message = lambda m: d.host.say(link.handled(m[1])) if m[0] == 1 else None
"""


def test_the_first_report_does_not_wait_and_nothing_is_repeated(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
acknowledge(d)
d.run(9001)
rows = d.host.of(1)
assert [m[1] for m in rows] == list(range(1, 12))
assert all(m[3] is None and m[4] is None for m in rows)
assert [m[5] // 1000 for m in rows] == [900 * i for i in range(11)], [m[5] for m in rows]
taken = d.host.taken()
for m in rows:
    payload, piv = opened(m[2])
    assert -9 not in payload and (-5 in payload) == (piv == 1)
    assert taken[piv] == {k: v for k, v in payload.items() if k > 0}
assert d.host.heard[0] == [6, "0.1.0", UID, ["node"], d.host.heard[0][4], 0, 0]
print(len(d.app.queue.ids), len(d.app.board.outbox.waiting))
"""
    )
    assert out.split() == ["0", "0"]


def test_unhandled_frames_are_sent_again_after_a_hello_and_late_ones_carry_their_age(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
first = []
def daemon_comes_back():
    assert len(d.host.of(1)) == 8 and len(d.app.queue.ids) == 16       # the window; the others wait unsealed
    assert len(d.host.taken()) == 8
    first.extend(frames(d))
    d.host.heard.clear()
    acknowledge(d)
    d.host.say(link.ask_hello())
d.after(15 * 900 + 1, daemon_comes_back)
d.run(15 * 900 + 3)
assert d.host.heard[0][0] == 6
again = frames(d)
assert again[:8] == first and len(again) == 16
late = {opened(f)[1]: opened(f)[0] for f in again}
assert sorted(late) == list(range(1, 17))
assert 14 not in late[1] and late[9][14] == 7 * 900 + 1, late[9]
assert [late[p][4] for p in sorted(late)] == list(range(16)), late
print(len(d.app.queue.ids), len(d.app.board.outbox.waiting))
"""
    )
    assert out.split() == ["0", "0"]


def test_a_reboot_sends_the_identical_bytes_and_loses_nothing(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
d.run(11 * 900 + 1)
before = {opened(f)[1]: f for f in frames(d)}
d.reboot()
acknowledge(d)
d.run(1)
after = {opened(f)[1]: f for f in frames(d)}
assert len(before) == 8
for piv in before:
    assert after[piv] == before[piv]
new = [after[p] for p in sorted(after) if p not in before]
assert [opened(f)[0][4] for f in new] == list(range(8, 13))
assert not set(d.host.taken()) & set(before)      # told once, when it was sealed
print(len(d.app.queue.ids))
"""
    )
    assert out.split() == ["0"]


def test_an_answer_for_another_boot_confirms_nothing(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
d.after(1000, lambda: d.host.say(link.handled(40)))
waiting = []
d.after(1500, lambda: waiting.append(len(d.app.board.outbox.waiting)))
d.after(2000, lambda: d.host.say(link.handled(2)))
d.run(2001)
assert waiting == [2]
print(len(d.host.of(1)), len(d.app.board.outbox.waiting))
"""
    )
    assert out.split() == ["3", "1"]


def test_garbage_on_the_line_is_counted_and_the_next_message_understood(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
good = link.ask_hello()
bad = [b"import os\\r\\n", b"\\x00\\xff" * 600, good[:-4] + b"\\x7e", b"\\x7e\\x7d\\x7e", b"~" + b"x" * 3000 + b"~",
       hdlc.encode(0x22, b"\\xff\\xff"), hdlc.encode(0x22, b"\\x80"), hdlc.encode(0x22, b"\\x81\\x63abc"),
       hdlc.encode(0x22, b"\\x82\\x07\\x61a"), hdlc.encode(0x22, b"\\x81\\x07"), hdlc.encode(0x22, b"\\x81\\x18\\x63"),
       hdlc.encode(0x21, b"frame"), hdlc.encode(0x55, b"?")]
async def talk():
    for noise in bad:
        d.host.say(noise)
        await asyncio.sleep(1)
        n = len(d.host.of(6))
        d.host.say(b"~" + good)
        await asyncio.sleep(1)
        assert len(d.host.of(6)) == n + 1, noise
async def main():
    task = asyncio.create_task(d.app.run())
    await asyncio.sleep(1)
    await talk()
    task.cancel()
asyncio.run(main())
assert not [l for l in d.host.lines if l.startswith("error")], d.host.lines
print(d.app.board.console.garbage)
"""
    )
    assert int(out) >= 9


def test_a_closed_line_does_not_stop_the_node(desk):
    out = desk(
        WIRED
        + """
d = Desk(config())
d.host.ioctl = None
class Closed(Host):
    def ioctl(self, request, mask):
        return mask & 1
host = Closed()
d.app.board.console.__init__(host, host)
d.run(2000)
print(len(host.of(1)))
"""
    )
    assert out.split() == ["3"]
