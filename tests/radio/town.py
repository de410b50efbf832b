"""An ether with senders placed by the level at which one station, the hub, hears them."""

import random

from radio_desk import Clock

from tools.twin.chips.lora import Emission, Tuning
from tools.twin.ether import Ether

FREQ = 868100000


class Ear:
    """The receiving half of a perfect chip: always listening, whatever is told it is written down."""

    rx_loss_db = 0.0
    agc_lock_dbm = None

    def __init__(self, sf=9, inverted=False):
        self.tuning = Tuning(FREQ, 125000, sf, inverted, 0x1424)
        self.locked = None
        self.awake = True
        self.got = []
        self.headers = []

    def hears(self, emission):
        return self.awake and self.locked is None and self.tuning.demodulates(emission.tuning)

    def on_preamble(self, emission):
        self.locked = emission

    def on_header(self, emission, intact):
        if self.locked is not emission:
            return False
        self.headers.append(intact)
        if not intact:
            self.locked = None
        return intact

    def on_packet(self, emission, payload, rssi_dbm, snr_db, intact):
        if self.locked is not emission:
            return False
        self.locked = None
        self.got.append((payload, round(rssi_dbm, 1), round(snr_db, 1), intact))
        return intact


class Town:
    """An ether without shadow and fading, in which stations are placed by the level at which `hub` hears them."""

    def __init__(self, clock=None, **settings):
        self.clock = clock or Clock()
        settings = {"shadow_db": 0.0, "fading_db": 0.0, **settings}
        self.ether = Ether(self.clock, random.Random(1), **settings)
        self.outcomes = []
        self.ether.on_outcome = lambda *outcome: self.outcomes.append(outcome)
        self.hub = Ear()
        self.ether.attach(self.hub, "hub", 0, 0)
        self.ears = {}

    def node(self, name, level_dbm):
        """A sender of 14 dBm whose frames reach the hub with this level."""
        metres = 10 ** ((14 - level_dbm - self.ether.loss_1m_db) / (10 * self.ether.exponent))
        self.ears[name] = Ear()
        self.ears[name].awake = False
        self.ether.attach(self.ears[name], name, metres, 0)

    def send(self, name, payload=bytes(24), *, at_ms=0.0, sf=9, inverted=False, freq_hz=FREQ):
        tuning = Tuning(freq_hz, 125000, sf, inverted, 0x1424)
        start = int(at_ms * 1000)
        emission = Emission(tuning, cr=5, low_rate=sf > 10, preamble=8, explicit=True, crc=True, payload=payload,
                            power_dbm=14.0, loss_db=0.0, start_us=start)  # fmt: skip
        self.clock.at(start, self.ether.transmit, self.ears[name], emission)
        return emission

    def run(self):
        self.clock.run(20_000_000)
        return {sender: reason for sender, receiver, _, reason in self.outcomes if receiver == "hub"}
