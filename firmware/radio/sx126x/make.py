"""From the configuration to the radio; wanted once, then freed."""


def make(spec, fault):
    """Return the radio of the entry `radio` of a board's configuration; `fault` is the class of its errors."""
    from machine import SPI, Pin

    from .aio import SX126x

    def output(name, value):
        return None if spec.get(name) is None else Pin(spec[name], Pin.OUT, value=value)

    spi = SPI(spec["spi"], baudrate=8000000, sck=Pin(spec["sck"]), mosi=Pin(spec["mosi"]), miso=Pin(spec["miso"]))
    return SX126x(
        spi,
        output("cs", 1),
        Pin(spec["busy"], Pin.IN),
        output("reset", 1),
        Pin(spec["dio1"], Pin.IN),
        tcxo_mv=spec["tcxo_mv"],
        dio2_rf_switch=spec["dio2_rf_switch"],
        rxen=output("rxen", 0),
        txen=output("txen", 0),
        variant=spec.get("variant", "sx1262"),
        fault=fault,
    )
