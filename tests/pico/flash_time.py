"""What the flash chip of a Pico takes for its work: the emulator lets an erase cost nothing."""

from typing import Any

from rp2040py.peripherals.ssi import CMD_BLOCK_ERASE, CMD_PAGE_PROGRAM, CMD_SECTOR_ERASE

# us, the usual values of the data sheet of the W25Q16JV (9.6); the most are 400 ms, 2 s and 3 ms.
COST_US = {CMD_SECTOR_ERASE: 45_000, CMD_BLOCK_ERASE: 150_000, CMD_PAGE_PROGRAM: 400}


class FlashTime:
    """Counts a chip's erases and pages, and lets their time pass on its clock."""

    def __init__(self, mcu: Any) -> None:
        self.count = dict.fromkeys(COST_US, 0)
        self._mcu = mcu
        self._apply = mcu.ssi._apply_command
        mcu.ssi._apply_command = self._timed

    def _timed(self) -> None:
        sent = self._mcu.ssi._tx_buffer
        command = sent[0] if len(sent) >= 4 else None
        self._apply()
        if command in COST_US:
            self.count[command] += 1
            self._mcu.clock.tick(COST_US[command] * 1000)

    @property
    def erased(self) -> int:
        """Sectors and blocks erased so far."""
        return self.count[CMD_SECTOR_ERASE] + self.count[CMD_BLOCK_ERASE]

    @property
    def pages(self) -> int:
        """Pages programmed so far."""
        return self.count[CMD_PAGE_PROGRAM]

    @property
    def busy_ms(self) -> float:
        """How long the flash has worked."""
        return sum(COST_US[command] * count for command, count in self.count.items()) / 1000
