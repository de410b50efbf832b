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
        self._waiting = []  # (seq, frame, rssi, snr_x4, t_ms, token), oldest first
        self.heard = 0
        self.overflow = 0

    def __len__(self):
        return len(self._waiting)

    def add(self, frame, rssi_dbm, snr_x4, t_ms, token=None):
        """Number a frame (bytes), keep and send it. Returns the token of the frame that had to give way, or None.

        t_ms: clock of the serial link; token: the caller's name for it, given back by `handled`.
        """
        gone = None
        if len(self._waiting) >= self._keep:
            gone = self._waiting.pop(0)[5]
            self.overflow += 1
        self.heard += 1
        entry = (self.heard, frame, rssi_dbm, snr_x4, t_ms, token)
        self._waiting.append(entry)
        self._send(entry)
        return gone

    def _send(self, entry):
        self._write(link.heard(entry[0], entry[1], entry[2], entry[3], entry[4]))

    def handled(self, seq):
        """The daemon has every frame up to `seq`: forget them, return their tokens."""
        tokens = []
        # A number never given out is the answer to another board's frames, or noise.
        while self._waiting and self._waiting[0][0] <= seq <= self.heard:
            tokens.append(self._waiting.pop(0)[5])
        return tokens

    async def resend(self):
        """Send all unhandled frames again, oldest first, letting others run between two."""
        for entry in list(self._waiting):
            if entry in self._waiting:
                self._send(entry)
            await asyncio.sleep_ms(0)
