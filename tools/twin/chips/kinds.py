"""What a chip model asks of its surroundings. For type checks alone: the models run under MicroPython too."""

from typing import Protocol


class Clock(Protocol):
    """Time in microseconds since the start."""

    @property
    def now_us(self) -> int: ...


class Rng(Protocol):
    """The part of random.Random that the models draw from."""

    def random(self) -> float: ...

    def gauss(self, mu: float = ..., sigma: float = ...) -> float: ...
