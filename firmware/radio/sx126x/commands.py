"""SX126x on SPI: one method a command. Every transaction is one transfer, after BUSY has gone low.

Commands of the start alone are in start.py, which does not stay in memory.
"""

import time

const = int  # MicroPython's compiler puts the number in place of an underscored name, and keeps no name

# Chapter 11
_SET_SLEEP = const(0x84)
_SET_STANDBY = const(0x80)
_SET_TX = const(0x83)
_SET_RX = const(0x82)
_SET_RF_FREQUENCY = const(0x86)
_SET_PA_CONFIG = const(0x95)
_SET_TX_PARAMS = const(0x8E)
_SET_MODULATION_PARAMS = const(0x8B)
_SET_PACKET_PARAMS = const(0x8C)
_WRITE_REGISTER = const(0x0D)
_READ_REGISTER = const(0x1D)
_WRITE_BUFFER = const(0x0E)
_READ_BUFFER = const(0x1E)
_SET_DIO_IRQ_PARAMS = const(0x08)
_GET_IRQ_STATUS = const(0x12)
_CLEAR_IRQ_STATUS = const(0x02)
_GET_RX_BUFFER_STATUS = const(0x13)
_GET_PACKET_STATUS = const(0x14)
_SET_DIO2_AS_RF_SWITCH_CTRL = const(0x9D)
_CALIBRATE = const(0x89)
_CALIBRATE_IMAGE = const(0x98)

_BUSY_MS = const(50)  # the longest a command takes: a full calibration, with a slow oscillator before it


class Commands:
    """`fault(name, detail)` is raised as "radio_busy" or "radio_absent"; after that `faulty` is True."""

    def __init__(self, spi, cs, busy, fault):
        self._spi = spi
        self._cs = cs
        self._busy = busy
        self._fault = fault
        self.faulty = False
        self.buf = bytearray(3 + 255)  # what goes out, then what came in
        self._view = memoryview(self.buf)

    # -- transport

    def wait_ready(self, limit_ms=_BUSY_MS):
        """Wait until BUSY is low. "radio_busy" after `limit_ms`."""
        if not self._busy():
            return
        start_ms = time.ticks_ms()
        pause_us = 20
        while self._busy():
            if time.ticks_diff(time.ticks_ms(), start_ms) > limit_ms:
                self.fail("radio_busy", "BUSY is high")
            time.sleep_us(pause_us)
            if pause_us < 500:
                pause_us *= 2

    def fail(self, name, detail):
        """Give up: this chip must be initialised anew."""
        self.faulty = True
        raise self._fault(name, detail)

    def transfer(self, n):
        """Move the first n bytes of the buffer."""
        self.wait_ready()
        self._move(n)

    def _move(self, n):
        view = self._view[:n]
        self._cs(0)
        self._spi.write_readinto(view, view)
        self._cs(1)

    def touch(self):
        """Select the chip and say nothing, whatever BUSY says: that wakes it."""
        self.buf[0] = 0
        self._move(1)

    def send(self, *mosi):
        """One command; what came back is in the buffer, which is returned."""
        n = 0
        for byte in mosi:
            self.buf[n] = byte & 0xFF
            n += 1
        self.transfer(n)
        return self.buf

    def ask(self, opcode):
        """A command with two or three bytes of answer at 2. The chip's status comes first, and no chip says 00 or FF there."""
        buf = self.send(opcode, 0, 0, 0, 0)
        if not 0 < buf[1] < 0xFF:
            self.fail("radio_absent", "no answer")
        return buf

    # -- registers and buffer

    def write_register(self, address, *values):
        self.send(_WRITE_REGISTER, address >> 8, address, *values)

    def read_register(self, address):
        return self.send(_READ_REGISTER, address >> 8, address, 0, 0)[4]

    def change_register(self, address, clear, set_):
        """Clear some bits, set some: the rest keeps what the chip put there."""
        self.write_register(address, self.read_register(address) & ~clear | set_)

    def write_buffer(self, data):
        n = len(data) + 2
        self.buf[0] = _WRITE_BUFFER
        self.buf[1] = 0
        self._view[2:n] = data
        self.transfer(n)

    def read_buffer(self, offset, n):
        """Return n bytes as bytes."""
        self.buf[0] = _READ_BUFFER
        self.buf[1] = offset
        self.transfer(3 + n)
        return bytes(self._view[3 : 3 + n])

    # -- modes

    def set_sleep_warm(self):
        self.send(_SET_SLEEP, 0x04)

    def set_standby(self, xosc):
        self.send(_SET_STANDBY, xosc)

    def set_tx(self):
        self.send(_SET_TX, 0, 0, 0)

    def set_rx(self, timeout):
        """Steps of 15.625 us, FFFFFF = continuous. Never follow it with GetStatus: the chip may send for ever."""
        self.send(_SET_RX, timeout >> 16, timeout >> 8, timeout)

    # -- parameters

    def set_rf_frequency(self, freq_hz):
        word = ((freq_hz << 14) + 7812) // 15625
        self.send(_SET_RF_FREQUENCY, word >> 24, word >> 16, word >> 8, word)

    def set_pa_config(self, duty, hp_max, device):
        self.send(_SET_PA_CONFIG, duty, hp_max, device, 1)

    def set_tx_params(self, power):
        self.send(_SET_TX_PARAMS, power, 4)  # ramp of 200 us

    def set_modulation_params(self, sf, bandwidth, cr, low_rate):
        self.send(_SET_MODULATION_PARAMS, sf, bandwidth, cr, low_rate)

    def set_packet_params(self, preamble, length, inverted):
        self.send(_SET_PACKET_PARAMS, preamble >> 8, preamble, 0, length, 1, inverted)  # explicit header, CRC

    # -- interrupts and status

    def set_dio_irq_params(self, mask, dio1):
        self.send(_SET_DIO_IRQ_PARAMS, mask >> 8, mask, dio1 >> 8, dio1, 0, 0, 0, 0)

    def get_irq_status(self):
        buf = self.ask(_GET_IRQ_STATUS)
        return buf[2] << 8 | buf[3]

    def clear_irq_status(self, bits):
        self.send(_CLEAR_IRQ_STATUS, bits >> 8, bits)

    def get_rx_buffer_status(self):
        """Return (length of the last frame, where it begins in the buffer)."""
        buf = self.ask(_GET_RX_BUFFER_STATUS)
        return buf[2], buf[3]

    def get_packet_status(self):
        """Return (rssi_dbm, snr_x4) of the last frame."""
        buf = self.ask(_GET_PACKET_STATUS)
        return -(buf[2] >> 1), (buf[3] ^ 0x80) - 0x80

    # -- calibration, switch

    def set_dio2_as_rf_switch_ctrl(self, on):
        self.send(_SET_DIO2_AS_RF_SWITCH_CTRL, on)

    def calibrate(self):
        """All seven blocks; from standby RC only."""
        self.send(_CALIBRATE, 0x7F)

    def calibrate_image(self, band):
        """From standby RC only; first and last in multiples of 4 MHz."""
        self.send(_CALIBRATE_IMAGE, *band)
