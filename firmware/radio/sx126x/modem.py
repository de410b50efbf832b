"""SX126x as a state machine: each action has a start, which returns at once, and a poll, which never waits.

The interface is that of ../README.md; aio.py puts tasks around it.
"""

import sys
import time
from collections import namedtuple

from . import errata, regs
from .commands import Commands
from .settings import Settings

const = int

# Interrupts, table 13-29
_TX_DONE = const(0x0001)
_RX_DONE = const(0x0002)
_PREAMBLE_DETECTED = const(0x0004)
_HEADER_VALID = const(0x0010)
_HEADER_ERR = const(0x0020)
_CRC_ERR = const(0x0040)
_TIMEOUT = const(0x0200)
_ALL_IRQ = const(0x43FF)

_TX_IRQ = const(_TX_DONE | _TIMEOUT)
_RX_DIO1 = const(_RX_DONE | _HEADER_ERR | _TIMEOUT)
_COMING_IN = const(_PREAMBLE_DETECTED | _HEADER_VALID)
_RX_IRQ = const(_RX_DIO1 | _CRC_ERR | _COMING_IN)

_STRIKES = const(3)  # transmissions without an end in a row, then the chip starts anew
_AGC_MS = const(60000)  # silence after which the receiver is calibrated: it may have gone deaf
_SLEEP_ENTRY_MS = const(2)  # earlier it cannot be woken
_LONGEST = const(255)
_CONTINUOUS = const(0xFFFFFF)


# A received frame: bytes; `t_ms` are the ticks at its end.
Packet = namedtuple("Packet", ("frame", "rssi_dbm", "snr_x4", "t_ms"))


class Modem(Settings):
    """An SX126x on `spi` with pins `cs`, `busy`, `reset`, `dio1`, and the switch pins `rxen`, `txen` where a module has them.

    `tcxo_mv` 0: a crystal. `fault(name, detail)` makes the exceptions.
    """

    def __init__(self, spi, cs, busy, reset, dio1, *, fault, tcxo_mv=1800, dio2_rf_switch=True, rxen=None, txen=None,
                 variant="sx1262", dcdc=True):  # fmt: skip
        super().__init__(fault, (tcxo_mv, dcdc, dio2_rf_switch, variant == "sx1261"))
        self._cmd = Commands(spi, cs, busy, fault)
        self._reset = reset
        self._dio1 = dio1
        self._switch = (rxen, txen)
        self.receiving = self.sending = False
        self._asleep = False
        self._begun = False
        self._irq = False  # DIO1 rose
        self._irq_ms = self._since_ms = time.ticks_ms()
        self._window_ms = None
        self._heard_ms = None
        self._toa_us = 0  # of the frame that is staged or being sent
        self._strikes = 0
        self._waiting = None
        self.counters = {"crc": 0, "header": 0, "tx_deadline": 0, "reinit": 0, "agc": 0, "dio1": 0}
        dio1.irq(self._rose, dio1.IRQ_RISING)

    def _rose(self, pin):
        # Never SPI here: a transaction may be under way.
        self._irq_ms = time.ticks_ms()
        self._irq = True

    # -- start, rest, sleep

    def begin(self):
        """Reset, identify, calibrate. "radio_absent", "radio_busy"."""
        self._rest()
        self._asleep, self._strikes = False, 0
        self._changed, self._image = True, None
        from . import start

        try:
            start.start(self._cmd, self._reset, self._module)
        finally:  # a tenth of the driver, wanted once
            package, _, name = start.__name__.rpartition(".")
            del sys.modules[start.__name__]
            delattr(sys.modules[package], name)
        self._begun = True

    def _rest(self):
        self.receiving = self.sending = False
        self._toa_us = 0
        self._antenna(0, 0)

    def _antenna(self, rx, tx):
        rxen, txen = self._switch
        if rxen:
            rxen(rx)
        if txen:
            txen(tx)

    def _arm(self, n, mask, dio1):
        """Everything that a frame of up to n bytes needs, but for the command that starts it: from whatever was before."""
        self.idle()
        cmd = self._cmd
        sane = self._begun and not cmd.faulty and self._strikes < _STRIKES
        if sane and self._asleep:
            self._wake()
        self._asleep = False
        if not sane or self._lost():
            self.counters["reinit"] += self._begun
            self.begin()
        self._apply(cmd)
        cmd.set_packet_params(self._preamble(), n, self.iq)
        errata.inverted_iq(cmd, self.iq)
        cmd.set_dio_irq_params(mask, dio1)
        cmd.clear_irq_status(_ALL_IRQ)
        self._irq = False

    def _lost(self):
        """True for a chip that was reset behind our back: its gain is no longer what it was given."""
        return self._cmd.read_register(regs.RX_GAIN) != regs.GAIN_BOOSTED

    def _wake(self):
        while time.ticks_diff(time.ticks_ms(), self._since_ms) < _SLEEP_ENTRY_MS:
            time.sleep_us(500)
        self._cmd.touch()
        self._cmd.set_standby(regs.STDBY_XOSC)
        errata.receiver_patch(self._cmd)

    def idle(self):
        """Stop what is under way; a frame that has just come in is kept for the next poll_recv()."""
        faulty = self._cmd.faulty
        if self.receiving and not faulty and (self._irq or self._dio1()):
            self._waiting = self.poll_recv() or self._waiting
        if (self.receiving or self.sending) and not faulty:
            self._cmd.set_standby(regs.STDBY_XOSC)
            if self.receiving and self._window_ms is not None:
                errata.implicit_header_timeout(self._cmd)
        self._rest()

    def sleep(self):
        """Lowest current; the settings are kept, any start wakes."""
        self.idle()
        if not self._asleep and self._begun and not self._cmd.faulty:
            self._cmd.set_sleep_warm()
            self._since_ms = time.ticks_ms()
            self._asleep = True

    def _take_irq(self):
        """Fetch and clear the interrupts. DIO1 still high afterwards: another one came between the two."""
        self._irq = False
        bits = self._cmd.get_irq_status()
        self._cmd.clear_irq_status(bits)
        if self._dio1() and not self._irq:
            self._rose(None)
        return bits

    # -- sending

    def stage(self, frame):
        """Make everything ready for `frame` (1..255 bytes). "config" for another length."""
        n = len(frame)
        if not 1 <= n <= _LONGEST:
            raise self._fault("config", "frame of %d bytes" % n)
        self._arm(n, _TX_IRQ, _TX_IRQ)
        self._cmd.write_buffer(frame)
        self._toa_us = self.airtime_us(n)

    def start_send(self, frame=None):
        """Begin to send `frame`, or what was staged."""
        if frame is not None:
            self.stage(frame)
        if not self._toa_us:
            raise self._fault("config", "nothing staged")
        self._antenna(0, 1)
        self._cmd.set_tx()
        self._since_ms = time.ticks_ms()
        self.sending = True
        self._cmd.wait_ready()  # the amplifier is up

    def poll_send(self):
        """None while sending, then the airtime in us. "radio_tx" after 5 ms + 5 x airtime."""
        if not self.sending:
            return None
        late = time.ticks_diff(time.ticks_ms(), self._since_ms) > 5 + self._toa_us // 200
        seen = self._irq or self._dio1()
        if not seen and not late:
            return None
        if self._take_irq() & _TX_DONE:
            self.counters["dio1"] += not seen
            toa_us = self._toa_us
            self._strikes = 0
            self._rest()
            return toa_us
        if not late:
            return None
        self.counters["tx_deadline"] += 1
        self._strikes += 1
        self.idle()
        raise self._fault("radio_tx", "no end of the transmission")

    # -- listening

    def start_recv(self, timeout_ms=None):
        """Begin to listen: for ever, or for one frame whose header comes within `timeout_ms`."""
        self._arm(_LONGEST, _RX_IRQ, _RX_DIO1)
        self._antenna(1, 0)
        self._window_ms = timeout_ms
        self._heard_ms = None
        self.receiving = True
        self._since_ms = time.ticks_ms()
        self._cmd.set_rx(_CONTINUOUS if timeout_ms is None else min(max(timeout_ms << 6, 1), _CONTINUOUS - 1))

    def poll_recv(self):
        """A Packet or None: nothing yet, or, where `receiving` is False, nothing came."""
        if self._waiting:
            packet, self._waiting = self._waiting, None
            return packet
        if not self.receiving:
            return None
        if not self._irq and self._dio1():
            self._rose(None)  # the edge got lost
        if self._irq:
            end_ms = self._irq_ms
            return self._received(self._take_irq(), end_ms)
        return self._watch()

    def _received(self, bits, end_ms):
        packet = None
        if bits & _HEADER_ERR:
            self.counters["header"] += 1
        if bits & _CRC_ERR:
            self.counters["crc"] += 1
        elif bits & _RX_DONE:
            packet = self._fetch(end_ms)
        if bits & _RX_DIO1:
            self._heard_ms = None
            if self._window_ms is not None:  # one frame or none: the chip is in standby by itself
                self._rest()
                errata.implicit_header_timeout(self._cmd)
            elif not bits & _HEADER_ERR:
                self._since_ms = time.ticks_ms()
        return packet

    def _fetch(self, end_ms):
        cmd = self._cmd
        n, start = cmd.get_rx_buffer_status()
        if not cmd.read_register(regs.RX_CRC_PRESENT) & 0x10:
            self.counters["crc"] += 1  # the sender promised no checksum, or the header was damaged
            return None
        rssi_dbm, snr_x4 = cmd.get_packet_status()
        return Packet(cmd.read_buffer(start, n), rssi_dbm, snr_x4, end_ms)

    def hearing(self):
        """True while a preamble or a frame is coming in."""
        if not self.receiving or not self._cmd.get_irq_status() & _COMING_IN:
            self._heard_ms = None
            return False
        now_ms = time.ticks_ms()
        if self._heard_ms is None:
            self._heard_ms = now_ms
        elif time.ticks_diff(now_ms, self._heard_ms) > self.airtime_us(_LONGEST) // 1000:
            self._cmd.clear_irq_status(_COMING_IN)  # no frame is that long: the preamble was noise
            self._heard_ms = None
            return False
        return True

    def _watch(self):
        """While nothing happens: a window that did not close, a receiver that may be deaf."""
        silent_ms = time.ticks_diff(time.ticks_ms(), self._since_ms)
        if self._window_ms is not None:
            if silent_ms > self._window_ms + self.airtime_us(_LONGEST) // 1000 + 20:
                self.counters["dio1"] += 1
                return self._received(self._take_irq() | _TIMEOUT, time.ticks_ms())
        elif silent_ms >= _AGC_MS and not self.hearing():
            self.counters["agc"] += 1
            self._rest()
            if not self._lost():
                errata.recalibrate(self._cmd, self._image, self._module[2])
            self.start_recv()
        return None
