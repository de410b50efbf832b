"""Is the channel free? Channel activity detection of four symbols, for whoever wants to listen before talking."""

import time

from ..airtime import symbol_us

SET_CAD = 0xC5
SET_CAD_PARAMS = 0x88
CAD_DONE = 0x0080
CAD_DETECTED = 0x0100
FOUR_SYMBOLS = 2
# Threshold by SF5..SF12 for four symbols; there are no published values below 125 kHz.
DETECT_PEAK_125K = (18, 19, 21, 21, 23, 24, 25, 28)
DETECT_PEAK_500K = (18, 19, 20, 21, 22, 22, 25, 29)
DETECT_MIN = 10


class ChannelCheck:
    """One detection on `modem`, which is at rest or receiving. "config" below 125 kHz, where no thresholds are published."""

    def __init__(self, modem):
        if modem.bw_hz < 125000:
            raise modem._fault("config", "no channel activity detection below 125 kHz")
        peaks = DETECT_PEAK_500K if modem.bw_hz == 500000 else DETECT_PEAK_125K
        self._modem = modem
        modem._arm(255, CAD_DONE | CAD_DETECTED, CAD_DONE)
        modem._cmd.send(SET_CAD_PARAMS, FOUR_SYMBOLS, peaks[modem.sf - 5], DETECT_MIN, 0, 0, 0, 0)  # then standby
        modem._antenna(1, 0)
        modem._cmd.send(SET_CAD)
        self._since_ms = time.ticks_ms()

    def poll(self):
        """None while listening, then True where a frame of these settings is in the air."""
        modem = self._modem
        late = time.ticks_diff(time.ticks_ms(), self._since_ms) > 10 + 8 * symbol_us(modem.sf, modem.bw_hz) // 1000
        if not (modem._irq or late or modem._dio1()):
            return None
        bits = modem._take_irq()
        if not bits & CAD_DONE and not late:
            return None
        modem._rest()
        return bool(bits & CAD_DETECTED)
