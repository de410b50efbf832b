"""boards.yaml as people write it: one model an entry. What an entry means together with its presets: inventory.py."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.place import Position

NAME = re.compile(r"[A-Za-z0-9.-]{1,40}")


# What is wrong with a value, by the error type of pydantic or of ours. Braces are filled from the error's context.
SENTENCES = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a map of keys and values",
    "model_type": "must be a map of keys and values",
    "tuple_type": 'must be a list, such as ["0001"]',
    "position": "must be [latitude, longitude] in degrees, such as [48.64820, -2.82260]",
    "latitude": "latitude {value} is not within -90 to 90",
    "longitude": "longitude {value} is not within -180 to 180",
    "hex": 'must be {digits} hexadecimal digits, such as "{example}"',
    "token": "must be 1 to {limit} letters and digits",
}


def _refuse(kind: str, **values: object) -> PydanticCustomError:
    return PydanticCustomError(kind, "see SENTENCES", values)


def _position(raw: object) -> object:
    if not (isinstance(raw, list) and len(raw) == 2 and all(type(v) in (int, float) for v in raw)):
        raise _refuse("position")
    lat, lon = raw
    if not abs(lat) <= 90:
        raise _refuse("latitude", value=lat)
    if not abs(lon) <= 180:
        raise _refuse("longitude", value=lon)
    return Position(round(lat * 100_000), round(lon * 100_000))


def _hex(digits: tuple[int, ...], example: str) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) not in digits or not re.fullmatch("[0-9a-fA-F]+", text):
            raise _refuse("hex", digits="/".join(map(str, digits)), example=example)
        return text.lower()

    return AfterValidator(check)


def _token(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z]{1,40}", text):
        raise _refuse("token", limit=40)
    return text.upper()


Place = Annotated[Position, BeforeValidator(_position)]
Kid = Annotated[str, _hex((4, 8), "0001")]
Uid = Annotated[str, _hex((12, 16), "e6614103e7452b2f")]
Eui = Annotated[str, _hex((16,), "70b3d57ed0000001")]
Pin = Annotated[int, Field(ge=0, le=99)]


class Entry(BaseModel):
    """Strict: a word is not a number, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Site(Entry):
    """A town. `plan` is the radio plan of its boards, `contact` what a finder reads on a label: a telephone number."""

    title: str = ""
    plan: str | None = None
    contact: str = ""


class Plan(Entry):
    """A radio channel: frequency and bandwidth in Hz, conducted power in dBm, sync word of private LoRa by default."""

    band: Literal["eu868"] = "eu868"
    freq_hz: Annotated[int, Field(ge=137_000_000, le=1_020_000_000)]
    sf: Annotated[int, Field(ge=7, le=12)]
    bw_hz: Literal[125_000, 250_000, 500_000] = 125_000
    cr: Annotated[int, Field(ge=5, le=8)] = 5
    power_dbm: Annotated[int, Field(ge=-17, le=27)] = 14
    sync: Annotated[int, Field(ge=0, le=255)] = 0x12


class Gateway(Entry):
    """A box with the daemon."""

    site: str | None = None
    title: str = ""
    position: Place
    role: Literal["relay", "street", "reader", "controller"] = "reader"


class Battery(Entry):
    """How the battery is measured: a pin with an ADC behind a divider, times 1000."""

    adc: Pin
    divider_x1000: Annotated[int, Field(ge=1000, le=20_000)]


class Power(Entry):
    """How the board sleeps, and on what it lives. `done`: the pin that tells an external power gate to switch off."""

    profile: Literal["always", "light", "deep", "gated"] = "always"
    done: Pin | None = None
    capacity_mah: Annotated[int, Field(ge=10, le=1_000_000)] | None = None
    chemistry: Literal["alkaline", "lithium", "li-socl2", "nimh", "li-ion"] | None = None


class _OneWord(Entry):
    """An entry that may be one word."""

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, raw: Any) -> Any:
        return {next(iter(cls.model_fields)): raw} if isinstance(raw, str) else raw

    def wiring(self) -> dict[str, Any]:
        """What the entry itself gives, its one word apart."""
        word = next(iter(type(self).model_fields))
        return {key: value for key, value in self.model_dump(exclude_none=True).items() if key != word}


class Radio(_OneWord):
    """A radio module, by the name of its preset; pins only where the wiring differs from the board's preset."""

    module: str
    antenna_dbi: Annotated[int, Field(ge=-10, le=15)] | None = None
    spi: Annotated[int, Field(ge=0, le=3)] | None = None
    sck: Pin | None = None
    mosi: Pin | None = None
    miso: Pin | None = None
    cs: Pin | None = None
    busy: Pin | None = None
    reset: Pin | None = None
    dio1: Pin | None = None
    rxen: Pin | None = None
    txen: Pin | None = None


class Sensor(_OneWord):
    """A sensor, by the name of its driver; pins only where the wiring differs from the board's preset."""

    driver: str
    uart: Annotated[int, Field(ge=0, le=3)] | None = None
    tx: Pin | None = None
    rx: Pin | None = None
    i2c: Annotated[int, Field(ge=0, le=1)] | None = None
    sda: Pin | None = None
    scl: Pin | None = None
    address: Annotated[int, Field(ge=0x08, le=0x77)] | None = None
    pin: Pin | None = None
    power: Pin | None = None
    rom: Annotated[str, _hex((16,), "28ff641e8316034a")] | None = None


class Lorawan(Entry):
    """What a LoRaWAN network knows a board by. `profile`: the vendor's id and the profile's, each four digits."""

    dev_eui: Eui
    join_eui: Eui
    profile: Annotated[str, _hex((8,), "00010002")]
    owner: Annotated[str, AfterValidator(_token)] | None = None


def _no_battery(raw: object) -> object:
    return None if raw is False else raw


class Board(Entry):
    """A board. `battery: false` says that it has none; without the key the preset's wiring counts."""

    site: str | None = None
    title: str = ""
    type: str
    role: Literal["node", "bridge"] = "node"
    service: str | None = None
    link: Literal["radio", "serial"] | None = None
    gateway: str | None = None
    plan: str | None = None
    uid: Uid | None = None
    kids: tuple[Kid, ...] = ()
    hop: bool = False
    position: Place
    report_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    settings: dict[str, int | bool] = {}
    sensors: dict[str, Sensor] = {}
    radio: Radio | None = None
    battery: Annotated[Battery | None, BeforeValidator(_no_battery)] = None
    power: Power = Power()
    led: Pin | None = None
    lorawan: Lorawan | None = None

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("kids"), list):
            return {**raw, "kids": tuple(raw["kids"])}
        return raw


SECTIONS: Mapping[str, type[Entry]] = {"sites": Site, "plans": Plan, "gateways": Gateway, "boards": Board}

# What stands for a key that an entry must have and that is missing or wrong, while its other keys are checked.
SUBSTITUTES: dict[str, dict[str, object]] = {
    "sites": {},
    "plans": {"freq_hz": 868_100_000, "sf": 9},
    "gateways": {"position": [0, 0]},
    "boards": {"type": "", "position": [0, 0]},
}


def keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that an entry knows at a place inside it, for a suggestion."""
    here: type[BaseModel] | None = model
    for key in loc:
        if here is None:
            continue
        field = here.model_fields.get(str(key))
        if field is not None:
            here = _model_in(field.annotation)
    return list(here.model_fields) if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inside if model), None)
