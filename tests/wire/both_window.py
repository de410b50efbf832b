"""The replay window against a set that forgets nothing."""

from random import getrandbits, randrange, seed

from firmware.wire.host.window import Window


def _tag(piv, salt=0):
    return bytes((piv >> (8 * i)) & 255 for i in range(6)) + bytes((salt, 7))


class Model:
    """What a window of this width should say, from a set of all that was accepted."""

    def __init__(self, width):
        self.width = width
        self.tags = {}
        self.highest = 0

    def verdict(self, piv):
        if piv + self.width <= self.highest:
            return "old"
        return "reuse" if piv in self.tags else None

    def accept(self, piv, tag):
        self.tags[piv] = tag
        self.highest = max(self.highest, piv)

    def seen(self, piv):
        return piv in self.tags and piv + self.width > self.highest

    def duplicate(self, piv, tag):
        return self.seen(piv) and self.tags[piv] == tag


def _same(window, model, piv):
    assert window.verdict(piv) == model.verdict(piv), piv
    assert window.seen(piv) == model.seen(piv), piv
    for salt in (0, 1):
        assert window.duplicate(piv, _tag(piv, salt)) == model.duplicate(piv, _tag(piv, salt)), (piv, salt)


def _walk(width, steps, stride):
    window = Window(width)
    model = Model(width)
    centre = 1
    for i in range(steps):
        centre = max(1, centre + randrange(-2, stride))
        piv = max(1, centre + randrange(-width - 3, 5))
        _same(window, model, piv)
        if model.verdict(piv) is None:
            tag = _tag(piv, getrandbits(1))
            window.accept(piv, tag)
            model.accept(piv, tag)
            assert window.highest == model.highest
        if i % 97 == 0:
            window = Window.unpack(window.pack())
    for piv in range(max(1, model.highest - 2 * width), model.highest + 3):
        _same(window, model, piv)


def check_random_walks():
    seed(5)
    for stride in (3, 9, 40, 200):
        _walk(64, 300, stride)


def check_a_wide_window():
    seed(6)
    _walk(1024, 200, 400)


def check_a_wider_one_knows_the_same_and_doubts_the_rest():
    seed(7)
    for highest in (3, 64, 65, 90, 5000):
        window = Window()
        model = Model(1024)
        for piv in range(max(1, highest - 63), highest + 1):
            if piv == highest or getrandbits(1):
                window.accept(piv, _tag(piv))
                model.accept(piv, _tag(piv))
        wide = window.widened(1024)
        for piv in range(max(1, highest - 63), highest + 70):
            _same(wide, model, piv)
        for piv in range(max(1, highest - 1023), highest - 63):
            assert wide.verdict(piv) == "reuse", piv
            assert not wide.duplicate(piv, _tag(piv)), piv
        assert Window.unpack(wide.pack()).pack() == wide.pack()


def check_a_jump_to_the_last_counter():
    window = Window()
    window.accept(5, _tag(5))
    window.accept((1 << 32) - 1, _tag(1))
    assert window.verdict(5) == "old"
    assert not window.seen(5)
    assert not window.duplicate(5, _tag(5))
    assert window.verdict((1 << 32) - 64) is None
    assert window.verdict((1 << 32) - 65) == "old"
    assert window.verdict((1 << 32) - 1) == "reuse"


def check_a_new_window_has_seen_nothing():
    window = Window()
    for piv in (1, 63, 64, 65, 4660):
        assert window.verdict(piv) is None
        assert not window.seen(piv)
        assert not window.duplicate(piv, bytes(8))


def check_packing():
    window = Window()
    for piv in (9, 3, 70, 68):
        window.accept(piv, _tag(piv))
    packed = window.pack()
    assert len(packed) == 2 + 4 + 8 + 512
    again = Window.unpack(packed)
    assert again.pack() == packed
    assert again.duplicate(68, _tag(68))
    assert not again.duplicate(69, _tag(68))
    for wrong in (b"", packed[:-1], packed + b"\0", b"\0\0" + packed[2:], bytes(6)):
        try:
            Window.unpack(wrong)
        except ValueError:
            continue
        raise AssertionError(len(wrong))
