"""The host's side of the service console: the published request, and a line that loses, repeats and chatters."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from examples import examples

from firmware.wire import hdlc
from firmware.wire.cbor import dumps_link, loads_link
from firmware.wire.service import service_key
from gateway.errors import HostError
from tools.diag.service import Answer, Service, Talk

KID = b"\0\1"
KEY = service_key(bytes(range(16)), KID)
NONCE = bytes.fromhex("a1a2a3a4a5a6a7a8")
WHO = [NONCE, KID, "bin-quai", "e6614c311b7e6a10", "node"]


def answer(ident, status, value):
    return hdlc.encode(hdlc.PROTO_CONSOLE, dumps_link([ident, status, value]))


class Board:
    """A line whose other end is a script: `reply(ident, op)` returns the bytes that come back."""

    name = "line"

    def __init__(self, reply):
        self.reply = reply
        self.asked = []
        self._back = b""

    def write(self, data):
        for _proto, body in hdlc.Decoder().feed(data):
            ident, op, *rest = loads_link(body)
            self.asked.append((ident, op, rest))
            self._back += self.reply(ident, op)

    def read(self, timeout_s):
        back, self._back = self._back, b""
        return back

    def close(self):
        pass


def service(reply, **options):
    board = Board(reply)
    return board, Service(board, lambda identity: KEY if identity.kid else b"", **options)


def test_the_published_request():
    talk = Talk()
    talk.request("challenge")
    talk.nonce, talk.key = NONCE, KEY
    ident, line = talk.request("set", "empty_mm", 1150)
    assert ident == 2
    assert line.hex() == "7e24857d226373657468656d7074795f6d6d7d397d247d5e483c9746c4d35e7d3c7d27a9e1867d2f7e"


def test_other_voices_on_the_line_pass_by():
    heard = []
    talk = Talk(lambda proto, body: heard.append((proto, body)))
    noise = b"text\n" + hdlc.encode(hdlc.PROTO_LOG, b"taken 1 {}") + hdlc.encode(hdlc.PROTO_CONSOLE, b"\xff")
    data = noise + answer(3, 0, {"a": 1}) + hdlc.encode(hdlc.PROTO_CONSOLE, dumps_link([1, 2]))
    found = [a for i in range(len(data)) for a in talk.feed(data[i : i + 1])]
    assert found == [Answer(3, 0, {"a": 1})]
    assert [proto for proto, _ in heard] == [0, hdlc.PROTO_LOG, hdlc.PROTO_CONSOLE, hdlc.PROTO_CONSOLE]


def test_what_is_lost_is_asked_again_under_a_new_number():
    seen = []

    def reply(ident, op):
        seen.append(ident)
        return b"" if len(seen) % 2 else answer(ident, 0, WHO if op == "challenge" else {"ok": True})

    board, client = service(reply)
    client.greet(answer_s=0.01)
    assert client.ask("status", answer_s=0.01) == {"ok": True}
    assert [ident for ident, _, _ in board.asked] == [1, 2, 3, 4]
    assert all(len(rest[-1]) == 8 for _, op, rest in board.asked if op == "status")


def test_a_late_answer_to_the_first_attempt_counts():
    late = []

    def reply(ident, op):
        if op == "challenge":
            return answer(ident, 0, WHO)
        late.append(ident)
        return answer(late[0], 0, "late") if len(late) == 2 else b""

    _board, client = service(reply)
    assert client.ask("status", answer_s=0.01) == "late"


def test_a_board_that_forgot_the_talk_is_greeted_again():
    state = {"talks": 0}

    def reply(ident, op):
        if op == "challenge":
            state["talks"] += 1
            return answer(ident, 0, WHO)
        return answer(ident, 0, 1) if state["talks"] == 2 else answer(ident, 63, "no challenge")

    _board, client = service(reply)
    assert client.ask("status") == 1


def test_too_fast_is_asked_again_later():
    state = {"refused": 0}

    def reply(ident, op):
        if op == "challenge":
            return answer(ident, 0, WHO)
        state["refused"] += 1
        return answer(ident, 64, "too many") if state["refused"] == 1 else answer(ident, 0, 5)

    _board, client = service(reply)
    assert client.ask("status", answer_s=0.05) == 5


@pytest.mark.parametrize(
    ("status", "value", "name"),
    [
        (63, "wrong MAC", "bad_keys"),
        (64, "too many", "device_fault"),
        (65, "unknown op", "device_fault"),
        (199, "?", "device_fault"),
    ],
)
def test_refusals_have_names(status, value, name):
    def reply(ident, op):
        return answer(ident, 0, WHO) if op == "challenge" else answer(ident, status, value)

    _board, client = service(reply)
    with pytest.raises(HostError) as caught:
        client.ask("status", answer_s=0.05)
    assert caught.value.name == name
    assert value in caught.value.what


def test_silence_is_a_timeout_and_nonsense_is_no_board_of_ours():
    with pytest.raises(HostError, match="timeout"):
        service(lambda ident, op: b"")[1].greet(0.01)
    for value in ([], [1, 2], 7, ["x"] * 5):
        with pytest.raises(HostError, match="mismatch"):
            service(lambda ident, op, value=value: answer(ident, 0, value))[1].greet(0.01)


@examples(100)
@given(st.lists(st.binary(max_size=40)), st.integers(0, 2**32), st.integers(0, 255), st.binary(max_size=40))
def test_whatever_a_board_says_its_answers_are_found(noise, ident, status, value):
    talk = Talk()
    framed = [hdlc.encode(hdlc.PROTO_CONSOLE, piece) for piece in noise]
    data = b"".join(framed) + b"".join(noise).replace(b"\x7e", b"") + answer(ident, status, value)
    assert list(talk.feed(data))[-1] == Answer(ident, status, value)
