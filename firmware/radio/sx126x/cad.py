"""Is the channel free? Channel activity detection of four symbols, for whoever wants to listen before talking."""

import time

from ..airtime import symbol_us

CAD = 3  # the modem's state
CAD_DONE = 0x0080
CAD_DETECTED = 0x0100
FOUR_SYMBOLS = 2
# Threshold by SF5..SF12 for four symbols; there are no published values below 125 kHz.
DETECT_PEAK_125K = (18, 19, 21, 21, 23, 24, 25, 28)
DETECT_PEAK_500K = (18, 19, 20, 21, 22, 22, 25, 29)
DETECT_MIN = 10


def start_cad(modem):
    """Begin to listen. "config" below 125 kHz, where no thresholds are published."""
    if modem.bw_hz < 125000:
        raise modem._fault("config", "no channel activity detection below 125 kHz")
    peaks = DETECT_PEAK_500K if modem.bw_hz == 500000 else DETECT_PEAK_125K
    modem.idle()
    modem._arm(255, CAD_DONE | CAD_DETECTED, CAD_DONE)
    modem._cmd.set_cad_params(FOUR_SYMBOLS, peaks[modem.sf - 5], DETECT_MIN)
    modem._antenna(1, 0)
    modem._cmd.set_cad()
    modem._since_ms = time.ticks_ms()
    modem._state = CAD


def poll_cad(modem):
    """None while listening, then True where a frame of these settings is in the air."""
    if modem._state != CAD:
        return None
    late = time.ticks_diff(time.ticks_ms(), modem._since_ms) > 10 + 8 * symbol_us(modem.sf, modem.bw_hz) // 1000
    if not (modem._irq or late or modem._dio1()):
        return None
    bits = modem._take_irq()
    if not bits & CAD_DONE and not late:
        return None
    modem.idle()
    return bool(bits & CAD_DETECTED)
