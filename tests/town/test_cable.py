"""Cables, broker, proxy and the books, each on its own."""

import os
import socket
import threading
import time

import pytest

from firmware.wire import hdlc, link
from gateway.books import Counts
from tools.twin import books, killer
from tools.twin.broker import Proxy
from tools.twin.clock import Clock, ClockFile
from tools.twin.daemon import KillPlan
from tools.twin.fleet import secret
from tools.twin.hub import Cable
from tools.twin.reader import readings
from tools.twin.tap import taken


class Host(threading.Thread):
    """A daemon in five lines: answers [7] to every frame, after `delay_s`; `mute`: never."""

    def __init__(self, path, delay_s=0.0, mute=False):
        super().__init__(daemon=True)
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.delay_s, self.mute = delay_s, mute
        self.got = []
        self.start()

    def run(self):
        decoder = hdlc.Decoder()
        os.write(self.fd, link.ask_hello())
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return  # the cable was pulled
            for proto, body in decoder.feed(data):
                self.got.append((proto, body))
                message = link.parse(body) if proto == hdlc.PROTO_MESSAGE else [0]
                if message[0] == link.HEARD and not self.mute:
                    time.sleep(self.delay_s)
                    os.write(self.fd, link.handled(message[1]))


@pytest.fixture
def cable():
    clock = Clock()
    fed = []
    made = Cable(clock, "board", fed.append)
    made.fed, made.heard, made.handled = fed, [], []
    made.on_heard = lambda name, message: made.heard.append(message[1])
    made.on_handled = lambda name, seq: made.handled.append(seq)
    yield made
    made.close()


HELLO = link.hello("0.1", "e661", ["node"], 5, 0, 0)


def test_the_clock_waits_until_a_frame_is_handled(cable):
    Host(cable.path, delay_s=0.2)
    assert cable.opened(5)
    cable.write(HELLO)
    begin = time.monotonic()
    cable.write(link.heard(1, b"frame", None, None, 7))
    assert time.monotonic() - begin >= 0.2
    assert cable.handled == [1]
    assert cable.late_handled == 0
    assert cable.clock.now_us == 0
    cable.clock.run_until(10_000)
    assert b"".join(cable.fed) == link.ask_hello() + link.handled(1)


def test_a_daemon_that_does_not_handle_costs_two_seconds_and_is_counted(cable):
    Host(cable.path, mute=True)
    assert cable.opened(5)
    cable.write(HELLO)
    begin = time.monotonic()
    cable.write(link.heard(1, b"frame", None, None, 7))
    assert 1.9 <= time.monotonic() - begin < 4
    assert cable.late_handled == 1


def test_a_hello_that_is_asked_for_and_not_yet_given_is_not_waited_for(cable):
    Host(cable.path, mute=True)
    assert cable.opened(5)
    begin = time.monotonic()
    cable.write(link.heard(1, b"frame", None, None, 7))
    assert time.monotonic() - begin < 1
    assert cable.late_handled == 0


def test_without_a_daemon_bytes_are_lost_and_none_are_left_for_the_next(cable):
    cable.up = lambda: False
    cable.write(HELLO + link.heard(1, b"early", None, None, 7))
    cable.flush()
    cable.up = lambda: True
    host = Host(cable.path)
    assert cable.opened(5)
    cable.write(HELLO + link.heard(2, b"late", None, None, 8))
    assert cable.heard == [1, 2]
    assert [link.parse(body)[2] for proto, body in host.got if link.parse(body)[0] == link.HEARD] == [b"late"]


def test_garbage_and_cut_frames_do_not_stop_a_line(cable):
    host = Host(cable.path)
    assert cable.opened(5)
    cable.write(HELLO)
    whole = link.heard(1, b"frame" * 10, None, None, 7)
    cable.inject(bytes(range(256)))
    cable.inject(whole[: len(whole) // 2])
    cable.write(b"\x7e\x22\x00\x7e" + link.heard(2, b"next", None, None, 9))
    assert cable.handled == [2]
    assert [link.parse(b)[2] for p, b in host.got if p == hdlc.PROTO_MESSAGE and link.parse(b)[0] == 1] == [b"next"]


def test_more_bytes_than_a_terminal_buffers_pass_in_order(cable):
    host = Host(cable.path)
    assert cable.opened(5)
    cable.write(HELLO + b"".join(link.heard(seq, bytes(200), -90, 20, seq) for seq in range(1, 65)))
    assert cable.handled[-1] == 64
    assert len(host.got) == 65


def test_log_lines_and_what_was_taken(cable):
    said = []
    cable.on_log = lambda name, text: said.append((name, text))
    cable.up = lambda: False
    cable.write(hdlc.encode(hdlc.PROTO_LOG, b'taken 18 {"3":73,"6":true}') + b"Traceback\r\n")
    cable.write(hdlc.encode(hdlc.PROTO_LOG, b"error radio_tx"))
    assert said == [("board", 'taken 18 {"3":73,"6":true}'), ("board", "Traceback"), ("board", "error radio_tx")]
    assert taken(said[0][1]) == (18, {3: 73, 6: True})
    assert taken(said[1][1]) is None


def test_the_clock_file_is_what_the_daemon_reads(tmp_path):
    from gateway.clock import FileClock

    file = ClockFile(tmp_path / "clock", 1_784_016_000)
    seen = FileClock(tmp_path / "clock")
    assert (seen.unix(), seen.monotonic()) == (1_784_016_000, 0)
    file.set(90_500_000)
    assert (seen.unix(), seen.monotonic()) == (1_784_016_090.5, 90.5)
    file.close()


def test_things_of_one_moment_happen_in_the_order_asked_for():
    clock, done = Clock(), []
    for i in range(5):
        clock.at(100, done.append, i)
    clock.at(50, clock.at, 100, done.append, "late")
    clock.at(100, done.append, "no").cancel()
    clock.run_until(1000)
    assert done == [0, 1, 2, 3, 4, "late"]
    assert clock.now_us == 1000


def test_the_proxy_cuts_and_mends():
    server = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
    try:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        far, _ = server.accept()
        client.sendall(b"ping")
        assert far.recv(10) == b"ping"
        far.sendall(b"pong")
        assert client.recv(10) == b"pong"
        proxy.cut()
        assert client.recv(10) == b""
        again = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        assert again.recv(10) == b""
        proxy.mend()
        time.sleep(0.05)
        third = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        far, _ = server.accept()
        third.sendall(b"back")
        assert far.recv(10) == b"back"
        assert proxy.cuts == 1
    finally:
        proxy.close()
        server.close()


def test_a_pack_is_read_by_the_standard_alone():
    import cbor2

    pack = [
        {-2: "urn:dev:org:32473-port-luce-bin-quai_", -3: 1784016000, 0: "fill", 1: "/", 2: 0.73},
        {0: "occupied", 4: True}, {0: "rssi", 2: -120}, {0: "frame", 8: bytes.fromhex("000200000012")},
        {-2: "urn:dev:org:32473-port-luce-bin-gare_", 0: "fill", 2: 1}, {0: "frame", 8: bytes.fromhex("0006000000ff")},
    ]  # fmt: skip
    one, two = readings("jourdain/port-luce/capitainerie/senml", cbor2.dumps(pack))
    assert (one.site, one.kid, one.piv, one.unix_s) == ("port-luce", "0002", 18, 1784016000)
    assert one.values == {"fill": 0.73, "occupied": True, "rssi": -120}
    assert (two.kid, two.piv, two.values) == ("0006", 255, {"fill": 1})
    with pytest.raises(ValueError, match="frame"):
        list(readings("jourdain/a/b/senml", cbor2.dumps([{0: "frame", 8: b"abc"}])))


# -- books


def _sealed(piv, payload):
    from firmware.wire import cbor
    from firmware.wire.seal import derive, seal

    return seal(derive(bytes.fromhex(secret(7, "0002")), b"\0\2"), piv, cbor.dumps(payload))


@pytest.fixture
def page():
    """Three readings: the first lost on air and repeated by the second, the third lost for good."""
    sheet = books.page("s", "0002", False, secret(7, "0002"))
    sheet.taken = {1: {3: 70}, 2: {3: 73}, 3: {3: 75}}
    sheet.copies = [
        books.Copy(1, _sealed(1, {3: 70}), "collision"),
        books.Copy(2, _sealed(2, {3: [70, 3], -8: 900, -9: 1}), None),
        books.Copy(3, _sealed(3, {3: 75}), "deaf"),
    ]
    sheet.forwarded[2] = 1
    return sheet


READ = {("s", "0002", 1): {"fill": 0.70}, ("s", "0002", 2): {"fill": 0.73}}
COUNTS = Counts(1, 0, 1, 1, 1, 1, 2)


def _document(sheet, counts=COUNTS, read=READ, kills=False):
    boards = {"bin": books.board_books(sheet, counts, read, kills)}
    return {"boards": boards, "totals": books.totals(boards), "surprises": dict(books.compare(sheet, read))}


def test_books_that_balance(page):
    document = _document(page)
    assert books.check(document) == []
    entry = document["boards"]["bin"]
    assert (entry["sent"], entry["lost"], entry["received"]) == (3, {"ether": 2, "link": 0, "gateway_down": 0}, 1)
    assert entry["lost_on_air"] == {"collision": 1, "deaf": 1}
    assert entry["readings"] == {"taken": 3, "direct": 1, "recovered": 1, "lost": 1, "published": 2, "read_back": 2}
    assert document["totals"]["readings"]["taken"] == 3
    assert "republished" not in entry
    assert _document(page, kills=True)["totals"]["republished"] == 0


@pytest.mark.parametrize(
    ("counts", "read", "what"),
    [
        (COUNTS._replace(received=2), READ, "sent = received + lost"),
        (COUNTS._replace(stored=2), READ, "received = duplicates + stored"),
        (COUNTS._replace(frames_published=2), READ, "stored = published"),
        (COUNTS._replace(direct=2), READ, "taken = direct + recovered + lost"),
        (COUNTS._replace(recovered=0), READ, "readings published = direct + recovered"),
        (COUNTS, {}, "published = read back"),
        (COUNTS, {**READ, ("s", "0002", 9): {"fill": 0.1}}, "read_back_but_never_taken: 1"),
        (COUNTS, {**READ, ("s", "0002", 2): {"fill": 0.74}}, "wrong_values: 1"),
        (COUNTS, {**READ, ("s", "0002", 2): {}}, "missing_values: 1"),
    ],
)
def test_books_that_do_not_balance_say_where(page, counts, read, what):
    assert any(what in line for line in books.check(_document(page, counts, read)))


def test_frames_lost_between_radio_and_daemon_are_lost_on_the_link(page):
    page.forwarded.clear()
    entry = books.board_books(page, Counts(), {}, False)
    assert entry["lost"] == {"ether": 2, "link": 1, "gateway_down": 0}
    assert entry["readings"]["lost"] == 3


def test_kills_come_at_every_kind_of_moment():
    plan, moments = KillPlan(20, 7), []
    while (moment := plan.next()) is not None:
        moments.append(moment)
        plan.died(moment)
    assert len(moments) == 20
    assert {moment.split(":")[0] for moment in moments} == set(killer.POINTS)
    again = KillPlan(20, 7)
    assert again.next() == moments[0]
