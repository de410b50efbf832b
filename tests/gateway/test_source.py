"""The far end of a serial line: framing, numbers, clock."""

import random

import pytest

from gateway.ingress.source import BoardClock, Numbering, Source


def test_a_clock_is_dated_by_its_least_delay():
    clock = BoardClock()
    assert clock.heard(500, 100.0) == 100.0, "no hello yet: now"
    clock.hello(10_000, 100.5)  # the hello took half a second
    assert clock.heard(11_000, 101.5) == pytest.approx(101.5)
    assert clock.heard(12_000, 102.0) == pytest.approx(102.0)  # this one took none
    assert clock.heard(11_500, 102.5) == pytest.approx(101.5, abs=1e-3)
    assert clock.heard(2_000, 103.0) == pytest.approx(92.0, abs=1e-3), "a resend keeps its time"
    assert clock.heard(13_000, 103.2) == pytest.approx(103.0, abs=1e-3), "and teaches nothing"


@pytest.mark.parametrize("ppm", [-80, 0, 80])
def test_a_clock_drifts_and_wraps(ppm):
    """Sixty days of a board with a bad quartz, late by up to a second now and then, over the 49.7 days of a wrap."""
    rng = random.Random(ppm)
    clock = BoardClock()
    clock.hello(4_000_000_000, 0.0)
    for hour in range(1, 60 * 24):
        true_s = hour * 3600.0
        t_ms = int(4_000_000_000 + true_s * 1000 * (1 + ppm * 1e-6)) & 0xFFFFFFFF
        late_s = rng.choice((0.001, 0.002, 0.01, 1.0))
        # The estimate may lag by an hour of drift, and by what it allows to either side.
        assert clock.heard(t_ms, true_s + late_s) == pytest.approx(true_s, abs=1.1 if late_s == 1.0 else 0.75)


def test_a_board_that_began_anew_is_noticed_by_its_hello():
    clock = BoardClock()
    clock.hello(3_600_000, 5000.0)
    clock.hello(100, 6000.0)
    assert clock.heard(1100, 6001.0) == pytest.approx(6001.0)
    clock.opened()
    assert clock.heard(7, 6002.0) == 6002.0


def _frame(n):
    return n.to_bytes(8, "big")


def test_numbers():
    """Contiguous ones are acknowledged; a gap asks; what follows a hello is the oldest that the board holds."""
    numbers = Numbering()
    numbers.hello(0)
    for seq in (1, 2):
        assert numbers.heard(seq, _frame(seq)) is False
        assert numbers.handled == seq
    assert numbers.heard(4, _frame(4)) is None, "before its turn"
    assert (numbers.handled, numbers.gaps, numbers.synced) == (2, 1, False)
    numbers.hello(4)
    for seq in (3, 4):
        assert numbers.heard(seq, _frame(seq)) is False
    assert numbers.heard(4, _frame(4)) is True
    assert (numbers.handled, numbers.lost) == (4, 0)
    numbers.hello(5)
    assert numbers.heard(5, _frame(5)) is False
    again = Numbering(numbers.pack())
    again.hello(5)
    assert again.heard(5, _frame(5)) is True
    assert again.heard(6, _frame(6)) is False
    again.hello(1)  # it began anew: its numbers are others
    assert again.heard(1, _frame(1)) is False


def test_a_frame_heard_after_the_hello_may_have_overtaken_older_ones():
    """The board holds 1 and 2; 3 comes in between its hello and the resend: to acknowledge it would drop the others."""
    numbers = Numbering()
    numbers.hello(2)
    numbers.heard(3, _frame(3))
    assert (numbers.handled, numbers.synced, numbers.gaps) == (None, False, 1)
    numbers.hello(3)
    for seq in (1, 2, 3):
        numbers.heard(seq, _frame(seq))
    assert numbers.handled == 3


def test_numbers_that_the_board_no_longer_has_are_given_up():
    """A store that is new, or a board that overflowed: it begins at the same number again and again."""
    numbers = Numbering()
    for n in range(1, 9):
        numbers.hello(7)
        numbers.heard(8, _frame(8))
        assert numbers.handled == (8 if n == 8 else None)
    numbers.hello(8)
    numbers.heard(9, _frame(9))
    assert (numbers.handled, numbers.lost, numbers.gaps) == (9, 0, 7)
    for _ in range(8):
        numbers.hello(200)
        numbers.heard(137, _frame(137))
    assert (numbers.handled, numbers.lost) == (137, 127)


def test_only_the_last_numbers_are_kept():
    numbers = Numbering()
    numbers.hello(0)
    for seq in range(1, 500):
        numbers.heard(seq, _frame(seq))
    packed = numbers.pack()
    assert len(packed) == 80 * 12
    assert Numbering(packed).seen == {seq: _frame(seq) for seq in range(420, 500)}


class _Cable:
    """A board that keeps what is not handled, and our numbering, with a line that loses messages on the way to us."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.held = []
        self.numbers = Numbering()
        self.got = set()
        self.order = []
        self.sent = 0
        self.loss = 0.03

    def send(self, seq):
        if self.rng.random() >= self.loss and self.numbers.heard(seq, _frame(seq)) is not None:
            self.got.add(seq)
            self.order.append(seq)

    def hear(self):
        self.sent += 1
        self.held.append(self.sent)
        self.send(self.sent)

    def daemon(self):
        """Acknowledge, ask, die and come back, as it happens."""
        if self.rng.random() < 0.1:
            self.numbers = Numbering(self.numbers.pack())
        if not self.numbers.synced and self.rng.random() < 0.5:
            self.numbers.hello(self.sent)
            overtaking = self.rng.randrange(40)  # a frame heard while the old ones are sent again
            for at, seq in enumerate(list(self.held)):
                if at == overtaking:
                    self.hear()
                self.send(seq)
        elif self.numbers.handled is not None and self.rng.random() < 0.7:
            self.held = [seq for seq in self.held if seq > self.numbers.handled]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_that_a_board_holds_is_dropped_unheard(seed):
    cable = _Cable(seed)
    for _ in range(600):
        if len(cable.held) < 40:
            cable.hear()
        cable.daemon()
        assert cable.got | set(cable.held) == set(range(1, cable.sent + 1))
    assert cable.sent > 300
    cable.loss = 0.0
    for _ in range(60):
        cable.daemon()
    assert cable.held == []
    assert cable.numbers.lost == 0


def test_dirt_is_told_once():
    source = Source("bridge")
    source.feed(b"\x7e\x22abcdef\x7e" + b"\x7e" + bytes(1500) + b"\x7e")
    assert source.dirt() == {"line_crc": 1, "line_overlong": 1}
    assert source.dirt() == {}
    assert source.airtime_ms(20) == 0
