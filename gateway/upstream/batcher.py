"""When a batch leaves: full, old enough, or urgent. A function of what was put in and of the time it is told."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """Gathers items in their order. `max_items` make a full batch; after `max_age_s` its first item waits no longer."""

    def __init__(self, max_items: int, max_age_s: float) -> None:
        self._max_items = max_items
        self._max_age_s = max_age_s
        self._items: list[T] = []
        self._since_s = 0.0
        self._urgent = False

    @property
    def room(self) -> int:
        """How many items still fit."""
        return self._max_items - len(self._items)

    def add(self, item: T, now_s: float, *, urgent: bool = False) -> None:
        """Put an item in; there must be room."""
        if not self.room:
            raise ValueError("the batch is full")
        if not self._items:
            self._since_s = now_s
        self._items.append(item)
        self._urgent = self._urgent or urgent

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the batch should leave, 0 for now, None when it is empty."""
        if not self._items:
            return None
        if self._urgent or not self.room:
            return 0.0
        # A clock that went back must not hold a batch for longer than its age.
        return min(self._max_age_s, max(0.0, self._since_s + self._max_age_s - now_s))

    def take(self) -> list[T]:
        """The batch, oldest first; the next one begins empty."""
        items, self._items = self._items, []
        self._urgent = False
        return items
