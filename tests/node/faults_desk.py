"""A radio bin whose parts a test breaks where copper would be: real service, drivers and radio driver. MicroPython only."""

from desk import *  # noqa: F403, I001
from desk import Desk, Module, asyncio, opened, port, radio_config, sys
import machine
import onewire

from firmware.node.noladder import NoLadder

BUSY = 21
WIRING = {
    "chip": "sx126x", "variant": "sx1262", "spi": 0, "sck": 18, "mosi": 19, "miso": 16, "cs": 17, "busy": BUSY, "reset": 22,
    "dio1": machine.SPI.DIO1, "rxen": None, "txen": None, "tcxo_mv": 1800, "dio2_rf_switch": True, "antenna_dbi": 0,
}  # fmt: skip
SENSORS = {"distance": {"driver": "a02yyuw", "uart": 1, "tx": 4, "rx": 5}, "temperature": {"driver": "ds18b20", "pin": 6}}
BIN = {"service": "bin", "settings": {"empty_mm": 1500, "full_mm": 300}, "sensors": SENSORS, "radio": WIRING, "report_s": 600}
machine.state["uart"] = True
UART, WIRE = machine.UART, onewire.OneWire
GOOD = {"any": UART.any, "readinto": UART.readinto, "readbyte": WIRE.readbyte, "reset": WIRE.reset}


class Watching(NoLadder):
    """A ladder that remembers what it was told."""

    def __init__(self, told):
        self.told_of = told

    def crash(self, *what):
        self.told_of.append(what)


class Bin(Desk):
    """`air`: what left the antenna, (ms, frame): taken from the chip's buffer at SetTx."""

    def on(self):
        self.crashes = []
        self.ladder = Watching(self.crashes)
        super().on()
        self.radio.disk = None
        self.air = []
        self.deaf = False  # a chip that takes SetTx and does nothing
        chip = self.radio._cmd._spi
        hear = chip.write_readinto

        def tapped(out, into):
            if out[0] == 0x0E:
                self.staged = bytes(out[2:])
            elif out[0] == 0x83:
                if self.deaf:
                    return
                self.air.append((port.now // 1000, self.staged))
            hear(out, into)

        chip.write_readinto = tapped

    def sent(self):
        """[(ms, payload, piv)] of what left the antenna so far."""
        return [(at,) + opened(frame) for at, frame in self.air]  # noqa: RUF005 - MicroPython has no star here


def raises(*args):
    """A bus that fails."""
    raise OSError(5)


def new():
    """The bin with its power on."""
    return Bin(radio_config(**BIN))


def rubbish(self, buf):
    """A UART that sends noise; among it what begins like a frame."""
    buf[:4] = b"\xff\x12\x34\x56"
    return 4


async def hang(*args):
    """What never comes back."""
    await asyncio.Event().wait()


def hanging(driver):
    """Let each pause of a driver's module last for ever, or no longer: returns what it paused with before."""
    module = sys.modules["firmware.sensors." + driver]
    module.asyncio = asyncio if module.asyncio is not asyncio else Module(sleep_ms=hang)
