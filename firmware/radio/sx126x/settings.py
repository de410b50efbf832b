"""What an SX126x is tuned to: checked when it is set, told to the chip before the next frame."""

from ..airtime import airtime_us, ldro
from ..errors import const
from . import errata, regs, setup

# What configure() has changed and the chip does not know yet
_FREQ = const(1)
_MODULATION = const(2)
_POWER = const(4)
_SYNC = const(8)
_PACKET = const(16)
_EVERYTHING = const(31)
_LIMITS = {
    "freq_hz": (150000000, 960000000, _FREQ),
    "sf": (5, 12, _MODULATION),
    "bw_hz": (7812, 500000, _MODULATION),
    "cr": (5, 8, _MODULATION),
    "power_dbm": (-9, 22, _POWER),
    "sync": (0, 255, _SYNC),
    "iq": (0, 1, _PACKET),
    "preamble": (5, 65535, _PACKET),
}


class Settings:
    """`fault(name, detail)` makes exceptions; `module` is (TCXO's mV or 0, DC-DC, DIO2 turns the antenna switch, SX1261)."""

    def __init__(self, fault, module):
        self._fault = fault
        self._module = module
        self.freq_hz, self.sf, self.bw_hz, self.cr = 868100000, 9, 125000, 5
        self.power_dbm, self.iq, self.sync, self.preamble = 14, False, 0x12, 8
        self._forgotten()

    def airtime_us(self, n):
        """Microseconds that a frame of n bytes takes with the present settings."""
        return airtime_us(n, self.sf, self.bw_hz, self.cr, self._preamble())

    def _preamble(self):
        return max(self.preamble, 12) if self.sf < 7 else self.preamble  # this chip finds nothing shorter there

    def configure(self, **settings):
        """Change settings by name; they reach the chip at the next start. "config" for one that it does not have."""
        for name, value in settings.items():
            low, high, dirty = _LIMITS.get(name, (1, 0, 0))
            if name == "power_dbm" and self._module[3]:
                low, high = -17, 15
            if not low <= value <= high or (name == "bw_hz" and value not in regs.BANDWIDTH):
                raise self._fault("config", "%s %r" % (name, value))
            if value != getattr(self, name):
                setattr(self, name, value)
                self._dirty |= dirty

    def _forgotten(self):
        """The chip was reset: tell it everything anew."""
        self._dirty = _EVERYTHING
        self._image = None  # arguments of the last CalibrateImage

    def _apply(self, cmd):
        """Tell the chip, in standby, what has changed."""
        dirty = self._dirty
        if dirty & _SYNC:
            setup.set_sync_word(cmd, self.sync)
        if dirty & _FREQ:
            image = setup.image_band(self.freq_hz)
            if image != self._image:
                cmd.set_standby(regs.STDBY_RC)
                cmd.calibrate_image(image)
                self._image = image
                cmd.set_standby(regs.STDBY_XOSC)
            cmd.set_rf_frequency(self.freq_hz)
        if dirty & _MODULATION:
            cmd.set_modulation_params(self.sf, regs.BANDWIDTH[self.bw_hz], self.cr - 4, ldro(self.sf, self.bw_hz))
            errata.modulation_quality(cmd, self.bw_hz)
        if dirty & _POWER:
            setup.set_power(cmd, self.power_dbm, self._module[3])
        self._dirty = 0
