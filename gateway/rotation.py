"""Old key ids of a board: valid for some days after its newer one was heard, then retired. Pure state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

DAY_MS = 86_400_000


class Rotation:
    """`families`: the key ids (bytes) of each board, the newest last. `first_ms`: when the first frame of a key id was
    known to have come (unix), as far as it is on disk.
    """

    def __init__(self, families: Iterable[Sequence[bytes]], old_key_days: float, first_ms: Mapping[bytes, int]) -> None:
        self._families = [tuple(kids) for kids in families if len(kids) > 1]
        self._keep_ms = round(old_key_days * DAY_MS)
        self._first_ms = dict(first_ms)
        self.retired: frozenset[bytes] = frozenset()

    def tick(self, heard: Callable[[bytes], bool], now_ms: int) -> dict[bytes, int]:
        """Look which key ids are retired at `now_ms` (unix, the clock is set). `heard`: was a frame of it ever accepted?

        Returns the first times that are new and belong on disk. Not heard, no matter how long ago it was issued: the board in
        the street may not have been visited yet.
        """
        news: dict[bytes, int] = {}
        retired: set[bytes] = set()
        for kids in self._families:
            for place in range(len(kids) - 1, 0, -1):
                kid = kids[place]
                # What a clock wrote that was ahead of its time counts from now.
                if heard(kid) and self._first_ms.get(kid, now_ms + 1) > now_ms:
                    news[kid] = self._first_ms[kid] = now_ms
                if kid in self._first_ms and now_ms - self._first_ms[kid] >= self._keep_ms:
                    retired.update(kids[:place])
                    break
        self.retired = frozenset(retired)
        return news
