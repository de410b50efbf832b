"""What an SX126x is tuned to: checked when it is set, told to the chip before the next frame."""

from ..airtime import airtime_us, ldro
from . import errata, regs

BANDWIDTH = {
    7812: 0x00, 10417: 0x08, 15625: 0x01, 20833: 0x09, 31250: 0x02, 41667: 0x0A, 62500: 0x03,
    125000: 0x04, 250000: 0x05, 500000: 0x06,
}  # fmt: skip

# Arguments of CalibrateImage, multiples of 4 MHz: for 430-440, 470-510, 779-787, 863-870, 902-928 MHz
IMAGE_BANDS = b"\x6b\x6f\x75\x81\xc1\xc5\xd7\xdb\xe1\xe9"

# The most dBm of a row, paDutyCycle, hpMax, deviceSel, power byte for that most
PA_SX1262 = ((14, 2, 2, 0, 22), (17, 2, 3, 0, 22), (20, 3, 5, 0, 22), (22, 4, 7, 0, 22))
PA_SX1261 = ((10, 1, 0, 1, 13), (14, 4, 0, 1, 14), (15, 6, 0, 1, 14))

_LIMITS = {
    "freq_hz": (150000000, 960000000),
    "sf": (5, 12),
    "bw_hz": (7812, 500000),
    "cr": (5, 8),
    "power_dbm": (-17, 22),
    "sync": (0, 255),
    "iq": (0, 1),
    "preamble": (5, 65535),
}


class Settings:
    """`fault(name, detail)` makes exceptions; `module` is (TCXO's mV or 0, DC-DC, DIO2 turns the antenna switch, SX1261)."""

    def __init__(self, fault, module):
        self._fault = fault
        self._module = module
        self.freq_hz, self.sf, self.bw_hz, self.cr = 868100000, 9, 125000, 5
        self.power_dbm, self.iq, self.sync, self.preamble = 14, False, 0x12, 8
        self._changed = True  # the chip does not know it all
        self._image = None  # arguments of its last CalibrateImage

    def airtime_us(self, n):
        """Microseconds that a frame of n bytes takes with the present settings."""
        return airtime_us(n, self.sf, self.bw_hz, self.cr, self._preamble())

    def _preamble(self):
        return max(self.preamble, 12) if self.sf < 7 else self.preamble  # this chip finds nothing shorter there

    def configure(self, **settings):
        """Change settings by name; they reach the chip at the next start. "config" for one that it does not have."""
        for name, value in settings.items():
            low, high = _LIMITS.get(name, (1, 0))
            if name == "power_dbm":
                low, high = (-17, 15) if self._module[3] else (-9, 22)
            if not low <= value <= high or (name == "bw_hz" and value not in BANDWIDTH):
                raise self._fault("config", "%s %r" % (name, value))
            if value != getattr(self, name):
                setattr(self, name, value)
                self._changed = True

    def _apply(self, cmd):
        """Tell the chip, in standby, what has changed."""
        if not self._changed:
            return
        image = image_band(self.freq_hz)
        if image != self._image:
            cmd.set_standby(regs.STDBY_RC)
            cmd.calibrate_image(image)
            cmd.set_standby(regs.STDBY_XOSC)
            self._image = image
        cmd.set_rf_frequency(self.freq_hz)
        cmd.set_modulation_params(self.sf, BANDWIDTH[self.bw_hz], self.cr - 4, ldro(self.sf, self.bw_hz))
        errata.modulation_quality(cmd, self.bw_hz)
        set_power(cmd, self.power_dbm, PA_SX1261 if self._module[3] else PA_SX1262)
        # 0xYZ becomes Y and Z in the high halves of two registers; the low halves belong to the chip.
        cmd.change_register(regs.SYNC_WORD, 0xF0, self.sync & 0xF0)
        cmd.change_register(regs.SYNC_WORD + 1, 0xF0, self.sync << 4 & 0xF0)
        self._changed = False


def image_band(freq_hz):
    """Return the arguments of CalibrateImage for this frequency: of its band, else the odd multiples of 4 MHz around it."""
    mhz = freq_hz // 1000000
    for i in range(0, len(IMAGE_BANDS), 2):
        band = IMAGE_BANDS[i : i + 2]
        if band[0] * 4 <= mhz < band[1] * 4:
            return band
    first, last = mhz // 4, (mhz + 4) // 4
    return bytes((first - 1 + first % 2, last + 1 - last % 2))


def set_power(cmd, power_dbm, rows):
    """Choose the amplifier's row and the byte that gives this power; keep the current limit, which SetPaConfig overwrites."""
    for most, duty, hp_max, device, byte in rows:
        if power_dbm <= most:
            limit = cmd.read_register(regs.OCP)
            cmd.set_pa_config(duty, hp_max, device)
            cmd.write_register(regs.OCP, limit)
            cmd.set_tx_params(byte - (most - power_dbm))
            return
