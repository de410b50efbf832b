"""SX126x as a state machine: each action has a start, which returns at once, and a poll, which never waits.

README.md beside this folder says what each method means; aio.py puts tasks around it.
"""

import time

from ..airtime import airtime_us, ldro, symbol_us
from ..errors import RadioError
from . import errata, regs, setup
from .commands import Commands

IDLE, TX, RX, CAD = 0, 1, 2, 3
# What configure() has changed and the chip does not know yet
FREQ, MODULATION, POWER, SYNC, PACKET = 1, 2, 4, 8, 16
EVERYTHING = 31

TX_IRQ = regs.TX_DONE | regs.TIMEOUT
RX_IRQ = regs.RX_DONE | regs.TIMEOUT | regs.CRC_ERR | regs.PREAMBLE_DETECTED | regs.HEADER_VALID | regs.HEADER_ERR
RX_DIO1 = regs.RX_DONE | regs.TIMEOUT | regs.HEADER_ERR
COMING_IN = regs.PREAMBLE_DETECTED | regs.HEADER_VALID

STRIKES = 3  # transmissions without an end in a row, then the chip starts anew
AGC_MS = 60000  # silence after which the receiver is calibrated: it may have gone deaf
SLEEP_ENTRY_MS = 2
LONGEST = 255


class Packet:
    """A received frame: `frame` bytes, `rssi_dbm`, `snr_x4`, `t_ms` ticks at its end."""

    def __init__(self, frame, rssi_dbm, snr_x4, t_ms):
        self.frame = frame
        self.rssi_dbm = rssi_dbm
        self.snr_x4 = snr_x4
        self.t_ms = t_ms


class Modem:
    """An SX126x on `spi` with pins `cs`, `busy`, `reset`, `dio1`, and the switch pins `rxen`, `txen` where a module has them.

    `tcxo_mv` 0: a crystal. `fault(name, detail)` makes the exceptions.
    """

    def __init__(self, spi, cs, busy, reset, dio1, *, tcxo_mv=1800, dio2_rf_switch=True, rxen=None, txen=None,
                 variant="sx1262", dcdc=True, fault=RadioError):  # fmt: skip
        self._cmd = Commands(spi, cs, busy, fault)
        self._fault = fault
        self._reset = reset
        self._dio1 = dio1
        self._rxen = rxen
        self._txen = txen
        self._tcxo_mv = tcxo_mv
        self._dio2 = 1 if dio2_rf_switch else 0
        self._dcdc = dcdc
        self._sx1261 = variant == "sx1261"
        self._state = IDLE
        self._asleep = False
        self._begun = False
        self._dirty = EVERYTHING
        self._image = None  # arguments of the last CalibrateImage
        self._irq = False  # DIO1 rose
        self._irq_ms = 0
        self._since_ms = 0
        self._window_ms = None
        self._heard_ms = None
        self._staged = 0
        self._toa_us = 0
        self._strikes = 0
        self._waiting = None
        self.counters = {"crc": 0, "header": 0, "tx_deadline": 0, "reinit": 0, "agc": 0, "dio1": 0}
        self.freq_hz, self.sf, self.bw_hz, self.cr = 868100000, 9, 125000, 5
        self.power_dbm, self.iq, self.sync, self.preamble = 14, False, 0x12, 8
        dio1.irq(self._rose, dio1.IRQ_RISING)

    def _rose(self, pin):
        # Never SPI here: a transaction may be under way.
        self._irq_ms = time.ticks_ms()
        self._irq = True

    @property
    def receiving(self):
        return self._state == RX

    @property
    def sending(self):
        return self._state == TX

    def airtime_us(self, n):
        return airtime_us(n, self.sf, self.bw_hz, self.cr, self._preamble())

    def _preamble(self):
        return max(self.preamble, 12) if self.sf < 7 else self.preamble  # this chip finds nothing shorter there

    # -- settings

    def configure(self, *, freq_hz=None, sf=None, bw_hz=None, cr=None, power_dbm=None, iq=None, sync=None, preamble=None):
        lowest, highest = (regs.LOWEST_DBM_SX1261, 15) if self._sx1261 else (regs.LOWEST_DBM_SX1262, 22)
        self._set("freq_hz", freq_hz, 150000000, 960000000, FREQ)
        self._set("sf", sf, 5, 12, MODULATION | PACKET)
        self._set("cr", cr, 5, 8, MODULATION)
        self._set("power_dbm", power_dbm, lowest, highest, POWER)
        self._set("sync", sync, 0, 255, SYNC)
        self._set("preamble", preamble, 5, 65535, PACKET)
        if bw_hz is not None and bw_hz not in regs.BANDWIDTH:
            raise self._fault("config", "bw_hz %r" % bw_hz)
        self._set("bw_hz", bw_hz, 0, 500000, MODULATION)
        self._set("iq", None if iq is None else bool(iq), False, True, PACKET)

    def _set(self, name, value, low, high, dirty):
        if value is None or value == getattr(self, name):
            return
        if not low <= value <= high:
            raise self._fault("config", "%s %r" % (name, value))
        setattr(self, name, value)
        self._dirty |= dirty

    def _apply(self):
        """Tell the chip, in standby, what has changed."""
        cmd, dirty = self._cmd, self._dirty
        if dirty & SYNC:
            setup.set_sync_word(cmd, self.sync)
        if dirty & FREQ:
            image = setup.image_band(self.freq_hz)
            if image != self._image:
                cmd.set_standby(regs.STDBY_RC)
                cmd.calibrate_image(image[0], image[1])
                self._image = image
                cmd.set_standby(regs.STDBY_XOSC)
            cmd.set_rf_frequency(self.freq_hz)
        if dirty & MODULATION:
            low_rate = 1 if ldro(self.sf, self.bw_hz) else 0
            cmd.set_modulation_params(self.sf, regs.BANDWIDTH[self.bw_hz], self.cr - 4, low_rate)
            errata.modulation_quality(cmd, self.bw_hz)
        if dirty & POWER:
            setup.set_power(cmd, self.power_dbm, self._sx1261)
        self._dirty = 0

    def _frame_of(self, n):
        self._cmd.set_packet_params(self._preamble(), 0, n, 1, 1 if self.iq else 0)
        errata.inverted_iq(self._cmd, self.iq)

    def _antenna(self, rx, tx):
        if self._rxen:
            self._rxen(rx)
        if self._txen:
            self._txen(tx)

    # -- start, rest, sleep

    def begin(self):
        cmd = self._cmd
        self._state, self._asleep, self._staged, self._strikes = IDLE, False, 0, 0
        self._antenna(0, 0)
        voltages = (self._tcxo_mv, 0) if self._tcxo_mv else (0,)
        errors = 0
        for tcxo_mv in voltages:  # the same board is sold with a crystal
            setup.reset(cmd, self._reset)
            errors = setup.initialise(cmd, tcxo_mv, self._dcdc, self._dio2, self._sx1261)
            if not errors & regs.XOSC_START_ERR:
                break
        if errors:
            cmd.fail("radio_absent", "device errors %04x" % errors)
        self._image = None
        self._dirty = EVERYTHING
        self._begun = True
        cmd.set_standby(regs.STDBY_XOSC)

    def _ready(self):
        """Into standby with the oscillator running, from whatever was before."""
        cmd = self._cmd
        if cmd.faulty or self._strikes >= STRIKES or not self._begun:
            self.counters["reinit"] += self._begun
            self.begin()
        elif self._asleep:
            self._asleep = False
            self._after_sleep_entry()
            cmd.transfer_now()
            cmd.set_standby(regs.STDBY_XOSC)
            errata.receiver_patch(cmd)
            self._dirty |= PACKET
        self._apply()

    def _after_sleep_entry(self):
        while time.ticks_diff(time.ticks_ms(), self._since_ms) < SLEEP_ENTRY_MS:
            time.sleep_us(200)

    def _fall_asleep(self):
        self._cmd.set_sleep(regs.SLEEP_WARM)
        self._since_ms = time.ticks_ms()

    def idle(self):
        if self._state == RX and not self._cmd.faulty and (self._irq or self._dio1()):
            packet = self.poll_recv()
            self._waiting = packet or self._waiting
        was, self._state, self._staged = self._state, IDLE, 0
        if was != IDLE and not self._cmd.faulty:
            self._cmd.set_standby(regs.STDBY_XOSC)
            if was == RX and self._window_ms is not None:
                errata.implicit_header_timeout(self._cmd)
        self._antenna(0, 0)

    def sleep(self):
        self.idle()
        if not self._asleep and self._begun and not self._cmd.faulty:
            self._fall_asleep()
            self._asleep = True

    def _take_irq(self):
        """Fetch and clear the interrupts. DIO1 still high afterwards: another one came between the two."""
        self._irq = False
        bits = self._cmd.get_irq_status()
        self._cmd.clear_irq_status(bits)
        if self._dio1():
            self._irq = True
        return bits

    def _arm(self, mask, dio1):
        self._cmd.set_dio_irq_params(mask, dio1)
        self._cmd.clear_irq_status(regs.ALL_IRQ)
        self._irq = False

    # -- sending

    def stage(self, frame):
        n = len(frame)
        if not 1 <= n <= LONGEST:
            raise self._fault("config", "frame of %d bytes" % n)
        self.idle()
        self._ready()
        self._frame_of(n)
        self._cmd.write_buffer(0, frame)
        self._arm(TX_IRQ, TX_IRQ)
        self._toa_us = self.airtime_us(n)
        self._staged = n

    def start_send(self, frame=None):
        if frame is not None:
            self.stage(frame)
        if not self._staged:
            raise self._fault("config", "nothing staged")
        self._staged = 0
        self._antenna(0, 1)
        self._cmd.set_tx(0)
        self._since_ms = time.ticks_ms()
        self._state = TX
        self._cmd.wait_ready()  # the amplifier is up

    def poll_send(self):
        if self._state != TX:
            return None
        late = time.ticks_diff(time.ticks_ms(), self._since_ms) > 5 + self._toa_us // 200
        if not (self._irq or late or self._dio1()):
            return None
        unseen = not self._irq and not self._dio1()
        if self._take_irq() & regs.TX_DONE:
            self.counters["dio1"] += unseen
            self._strikes = 0
            self._state = IDLE
            self._antenna(0, 0)
            return self._toa_us
        if not late:
            return None
        self.counters["tx_deadline"] += 1
        self._strikes += 1
        self.idle()
        raise self._fault("radio_tx", "no end after 5 ms + 5 x %d us" % self._toa_us)

    # -- listening

    def start_recv(self, timeout_ms=None):
        self.idle()
        self._ready()
        self._frame_of(LONGEST)
        self._arm(RX_IRQ, RX_DIO1)
        self._antenna(1, 0)
        steps = regs.RX_CONTINUOUS if timeout_ms is None else min(max(timeout_ms << 6, 1), regs.RX_LONGEST)
        self._window_ms = timeout_ms
        self._heard_ms = None
        self._state = RX
        self._since_ms = time.ticks_ms()
        self._cmd.set_rx(steps)

    def poll_recv(self):
        if self._waiting:
            packet, self._waiting = self._waiting, None
            return packet
        if self._state != RX:
            return None
        if not (self._irq or self._dio1()):
            self._watch()
            return None
        end_ms = self._irq_ms if self._irq else time.ticks_ms()
        return self._received(self._take_irq(), end_ms)

    def _received(self, bits, end_ms):
        packet = None
        if bits & regs.HEADER_ERR:
            self.counters["header"] += 1
        if bits & regs.CRC_ERR:
            self.counters["crc"] += 1
        elif bits & regs.RX_DONE:
            packet = self._fetch(end_ms)
        if bits & RX_DIO1:
            self._heard_ms = None
            if self._window_ms is not None:  # one frame or none: the chip is in standby by itself
                self._state = IDLE
                self._antenna(0, 0)
                errata.implicit_header_timeout(self._cmd)
            elif not bits & regs.HEADER_ERR:
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
        if self._state != RX or not self._cmd.get_irq_status() & COMING_IN:
            self._heard_ms = None
            return False
        now_ms = time.ticks_ms()
        if self._heard_ms is None:
            self._heard_ms = now_ms
        elif time.ticks_diff(now_ms, self._heard_ms) > self.airtime_us(LONGEST) // 1000:
            self._cmd.clear_irq_status(COMING_IN)  # no frame is that long: the preamble was noise
            self._heard_ms = None
            return False
        return True

    def _watch(self):
        """While nothing happens: a window that did not close, a receiver that may be deaf."""
        silent_ms = time.ticks_diff(time.ticks_ms(), self._since_ms)
        if self._window_ms is not None:
            if silent_ms > self._window_ms + self.airtime_us(LONGEST) // 1000 + 20:
                self.counters["dio1"] += 1
                self._waiting = self._received(self._take_irq() | regs.TIMEOUT, time.ticks_ms())
        elif silent_ms >= AGC_MS and not self.hearing():
            self._cure()

    def _cure(self):
        """Calibrate a receiver that has heard nothing for long, and listen again."""
        cmd = self._cmd
        self.counters["agc"] += 1
        cmd.set_standby(regs.STDBY_RC)
        self._fall_asleep()
        self._after_sleep_entry()
        errata.recalibrate(cmd, self._image, self._dio2)
        cmd.set_standby(regs.STDBY_XOSC)
        self.start_recv()

    # -- is the channel free?

    def start_cad(self):
        if self.bw_hz < 125000:
            raise self._fault("config", "no channel activity detection below 125 kHz")
        self.idle()
        self._ready()
        peaks = regs.CAD_PEAK_500K if self.bw_hz == 500000 else regs.CAD_PEAK_125K
        self._cmd.set_cad_params(regs.CAD_4_SYMBOLS, peaks[self.sf - 5], regs.CAD_MIN)
        self._frame_of(LONGEST)
        self._arm(regs.CAD_DONE | regs.CAD_DETECTED, regs.CAD_DONE)
        self._antenna(1, 0)
        self._cmd.set_cad()
        self._since_ms = time.ticks_ms()
        self._state = CAD

    def poll_cad(self):
        if self._state != CAD:
            return None
        late = time.ticks_diff(time.ticks_ms(), self._since_ms) > 10 + 8 * symbol_us(self.sf, self.bw_hz) // 1000
        if not (self._irq or late or self._dio1()):
            return None
        bits = self._take_irq()
        if not bits & regs.CAD_DONE and not late:
            return None
        self.counters["dio1"] += late
        self.idle()
        return bool(bits & regs.CAD_DETECTED)
