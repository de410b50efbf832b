"""The replay window of one kid: which counters were seen, and the AEAD tag of each (firmware/wire/README.md, section 1)."""

WIDTH = 64
TAG_LEN = 8


class Window:
    """Highest PIV, a bitmap (bit i: PIV highest - i was accepted) and a ring of tags (PIV modulo width)."""

    def __init__(self, width=WIDTH):
        self.width = width
        self.highest = 0
        self.bitmap = 0
        self.tags = bytearray(TAG_LEN * width)
        self._mask = (1 << width) - 1

    def seen(self, piv):
        """Is the bit of `piv` set? False for what is above or below the window."""
        return piv <= self.highest and self.bitmap >> (self.highest - piv) & 1 == 1

    def duplicate(self, piv, tag):
        """Was the very frame with this 8-byte AEAD tag accepted under `piv`?"""
        at = piv % self.width * TAG_LEN
        return self.tags[at : at + TAG_LEN] == tag and self.seen(piv)

    def verdict(self, piv):
        """What the window says of an authentic frame: None (new), "reuse" or "old"."""
        if piv > self.highest:
            return None
        if self.highest - piv >= self.width:
            return "old"
        return "reuse" if self.seen(piv) else None

    def accept(self, piv, tag):
        """Mark `piv` as seen with its tag (8 bytes). The caller has asked `verdict`."""
        ahead = piv - self.highest
        if ahead > 0:
            self.highest = piv
            self.bitmap = (self.bitmap << ahead | 1) & self._mask if ahead < self.width else 1
        else:
            self.bitmap |= 1 << -ahead
        at = piv % self.width * TAG_LEN
        self.tags[at : at + TAG_LEN] = tag

    def widened(self, width):
        """Return a Window of `width`, at least as wide. What it does not know it takes for seen: better refused than twice."""
        wide = Window(width)
        wide.highest = self.highest
        unknown = (1 << min(width, self.highest)) - 1
        wide.bitmap = self.bitmap | unknown >> self.width << self.width
        for back in range(min(self.width, self.highest)):
            piv = self.highest - back
            at, to = piv % self.width * TAG_LEN, piv % width * TAG_LEN
            wide.tags[to : to + TAG_LEN] = self.tags[at : at + TAG_LEN]
        return wide

    def pack(self):
        """Return the whole state: width 2, highest 4, bitmap width / 8, tags; big endian."""
        bits = self.bitmap.to_bytes(self.width >> 3, "big")
        return self.width.to_bytes(2, "big") + self.highest.to_bytes(4, "big") + bits + self.tags

    @classmethod
    def unpack(cls, packed):
        """Return the Window that `pack` gave these bytes. ValueError when their length is wrong."""
        width = int.from_bytes(packed[:2], "big")
        window = cls(width)
        tags_at = 6 + (width >> 3)
        if not width or len(packed) != tags_at + TAG_LEN * width:
            raise ValueError("window")
        window.highest = int.from_bytes(packed[2:6], "big")
        window.bitmap = int.from_bytes(packed[6:tags_at], "big")
        window.tags = bytearray(packed[tags_at:])
        return window
