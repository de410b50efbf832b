"""Frames that the daemon has not yet handled (README of firmware/wire, section 3): numbered, kept, sent again on request.

The radio bridge and the wired node share it. One writer; whoever adds or confirms runs in one asyncio loop.
"""

import asyncio

from firmware.wire import link


class Outbox:
    """The last `keep` unhandled frames. `write` takes the bytes of a message for the line.

    heard: frames added since boot; overflow: frames that had to give way before they were handled.
    """

    def __init__(self, write, keep=64):
        self._write = write
        self._keep = keep
        self.waiting = []  # (seq, frame, rssi_dbm, snr_x4, t_ms, token), oldest first
        self._resending = False
        self._done = 0  # the last number that was sent again
        self.heard = 0
        self.overflow = 0

    def add(self, frame, rssi_dbm, snr_x4, t_ms, token=None):
        """Number a frame (bytes), keep and send it; the oldest of a full box gives way.

        t_ms: clock of the serial link; token: the caller's name for it, given back by `handled`.
        """
        if len(self.waiting) >= self._keep:
            self.waiting.pop(0)
            self.overflow += 1
        self.heard += 1
        self.waiting.append((self.heard, frame, rssi_dbm, snr_x4, t_ms, token))
        if not self._resending:
            self._send(self.waiting[-1])

    def _send(self, entry):
        self._write(link.heard(*entry[:5]))

    def handled(self, seq):
        """The daemon has every frame up to `seq`: forget them, return their tokens."""
        tokens = []
        # A number never given out is the answer to another board's frames, or noise.
        while self.waiting and self.waiting[0][0] <= seq <= self.heard:
            tokens.append(self.waiting.pop(0)[5])
        return tokens

    async def resend(self):
        """Send all unhandled frames again, oldest first, letting others run between two.

        Always in order, new ones behind: who confirms a frame confirms all before it.
        """
        self._done = 0
        if self._resending:
            return
        self._resending = True
        while self._resending:
            self._resending = False
            for entry in self.waiting:
                if entry[0] > self._done:
                    self._done = entry[0]
                    self._resending = True
                    self._send(entry)
                    break
            await asyncio.sleep_ms(0)
