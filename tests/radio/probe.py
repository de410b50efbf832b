"""A bare chip with a hand on its SPI bus."""

import random

from radio_desk import Air, Clock

from tools.twin.chips.sx126x import SX126x


class Probe:
    """A chip after power-on and a hand on its SPI bus."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.air = Air(self.clock)
        settings.setdefault("tcxo_mv", 0)
        self.chip = SX126x(self.clock, self.air, random.Random(1), **settings)
        self.edges = []
        self.chip.on_edge = lambda name, level: self.edges.append((name, level))

    def __call__(self, text, wait=True):
        answer = self.chip.spi(bytes.fromhex(text))
        if wait:
            self.ready()
        return answer

    def ready(self, limit_us=100000):
        """Wait for BUSY; returns how long it was high."""
        start = self.clock.now_us
        while self.chip.get_pin("busy"):
            self.clock.run(1)
            assert self.clock.now_us - start < limit_us, "BUSY"
        return self.clock.now_us - start

    def tune(self):
        """LoRa, 868.1 MHz, SF7, 125 kHz, 10 bytes; all interrupts on DIO1."""
        for text in ("8a01", "863641999a", "8b07040100", "8c0008000a0100", "08ffffffff00000000"):
            self(text)
