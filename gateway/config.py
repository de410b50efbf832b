"""gateway.toml as typed models; every fault of the file at once, with file:line and "did you mean"."""

from __future__ import annotations

import inspect
import os
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.errors import Fault, FaultsError, HostError, did_you_mean

DOCUMENTATION_PREFIX = "urn:dev:org:32473-"
NAME = r"^[A-Za-z0-9.-]+$"
CREDENTIALS = "$CREDENTIALS_DIRECTORY"
# Native USB and pseudo terminals have flow control of their own; a UART ring of 260 bytes has none.
_UNPACED = ("/dev/ttyACM", "/dev/pts/", "/dev/cu.usbmodem")
# Settings of an upstream, or of another broker, that name files.
UPSTREAM_FILES = ("password_file", "ca_file", "cert_file", "key_file")

# What a batch gathers where each byte is paid for, unless it is set.
METERED_READINGS, METERED_AGE_S = 500, 300.0

Name = Annotated[str, Field(pattern=NAME, max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySection(_Strict):
    """`[gateway]`: who we are, and the files we live by (relative to gateway.toml)."""

    name: Name
    inventory: Path = Path("boards.yaml")
    keys: Path = Path("keys.json")
    store: Path = Path("store.db")
    keep_days: Annotated[float, Field(ge=0, le=3660)] = 7.0
    answers: Path | None = None
    old_key_days: Annotated[float, Field(ge=0, le=3660)] = 30.0
    unproven_per_min: Annotated[int, Field(ge=1, le=1_000_000)] = 240
    commit_window_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    clock: Literal["auto", "trust"] = "auto"
    store_max_mb: Annotated[float, Field(ge=0.25, le=1e6)] = 1024.0


class StoreSection(_Strict):
    """`[store]`: how much waits there at most, and what goes when it is more. None: no bound."""

    max_rows: Annotated[int, Field(ge=1000)] | None = None
    max_days: Annotated[float, Field(gt=0, le=3660)] | None = None
    when_full: Literal["oldest", "refuse"] = "oldest"


class SerialPort(_Strict):
    """`[[serial]]`: a radio bridge or a wired board, by its name in boards.yaml."""

    port: Annotated[str, Field(min_length=1)]
    board: Name
    baud: Annotated[int, Field(ge=1200, le=4_000_000)] = 115_200
    pause_ms: Annotated[int, Field(ge=0, le=1000)] | None = None

    @property
    def pace_ms(self) -> int:
        """Pause between two written pieces: as set, else none on native USB and pseudo terminals, else 60.

        Looks behind symbolic links (/dev/serial/by-id/...), so it is only known once the port is there.
        """
        if self.pause_ms is not None:
            return self.pause_ms
        return 0 if os.path.realpath(self.port).startswith(_UNPACED) else 60


class Broker(_Strict):
    """How to reach an MQTT broker: what `[[upstream]]` and `[[frames]]` have in common."""

    url: str
    client_id: str = ""
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    session_expiry_s: Annotated[int, Field(ge=0, le=0xFFFFFFFE)] = 86_400
    reconnect_max_s: Annotated[float, Field(ge=0.5, le=3600)] = 60.0

    @field_validator("url")
    @classmethod
    def _mqtt(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - asking is what checks it
        except ValueError as error:
            raise ValueError(f"no usable address: {error}") from None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("must be mqtt://host[:port] or mqtts://host[:port]")
        if parts.username or parts.password or parts.path not in ("", "/"):
            raise ValueError("takes no user, password or path: use username and password_file")
        return url

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file: its certificate is missing, cert_file")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("certificates are of no use in clear: write mqtts:// in url, or leave them out")
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def tcp_port(self) -> int:
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def password(self) -> str | None:
        """The word in password_file."""
        return self.password_file.read_text(encoding="utf-8").strip() if self.password_file else None


class Upstream(Broker):
    """`[[upstream]]`: one broker and one format. `name` keys what was acknowledged, so it must not change."""

    format: Literal["senml", "frames"] = "senml"
    name: Name = ""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]*$")] = DOCUMENTATION_PREFIX
    batch_readings: Annotated[int, Field(ge=1, le=2000)] = 50
    batch_age_s: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 20
    order: Literal["lanes", "strict"] = "lanes"
    metered: bool = False

    @model_validator(mode="before")
    @classmethod
    def _large_on_a_metered_link(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("metered") is True:
            return {"batch_readings": METERED_READINGS, "batch_age_s": METERED_AGE_S, **data}
        return data

    @model_validator(mode="before")
    @classmethod
    def _named_after_format(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" not in data:
            return {**data, "name": data.get("format", "senml")}
        return data


class Frames(Broker):
    """`[[frames]]`: a broker where other gateways of our site leave the frames that they heard. `gateways`: only these."""

    name: Name = "frames"
    gateways: tuple[Name, ...] = ()


AnyBroker = TypeVar("AnyBroker", bound=Broker)


class Config(_Strict):
    """gateway.toml. `lines` finds the line of a key for later checks: ("serial", 0, "board") -> line."""

    gateway: GatewaySection
    store: StoreSection = StoreSection()
    serial: tuple[SerialPort, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    frames: tuple[Frames, ...] = ()
    file: Path = Field(default=Path("gateway.toml"), exclude=True)
    lines: Mapping[tuple[str | int, ...], int] = Field(default_factory=dict, exclude=True, repr=False)

    @property
    def answers(self) -> Path:
        """The file that counts a controller's answers, beside the store unless it is set."""
        store = self.path(self.gateway.store)
        return self.path(self.gateway.answers) if self.gateway.answers else store.with_name(store.name + ".answers")

    @property
    def releases(self) -> Path:
        """The folder of the releases that boards fetch by radio, beside the store."""
        return self.path(self.gateway.store).with_name("releases")

    def path(self, relative: Path) -> Path:
        """A path of the file, made absolute: from the folder of gateway.toml, or of the credentials that systemd hands over."""
        if relative.parts[:1] == (CREDENTIALS,):
            relative = Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIALS), *relative.parts[1:])
        return (self.file.parent / relative).absolute()

    def whole(self, broker: AnyBroker) -> AnyBroker:
        """A broker with the paths of its files made absolute."""
        files = {key: getattr(broker, key) for key in UPSTREAM_FILES}
        return broker.model_copy(update={key: self.path(file) for key, file in files.items() if file})

    def fault(self, where: tuple[str | int, ...], what: str, hint: str = "") -> Fault:
        """A Fault at the line of the key path `where`."""
        return Fault(str(self.file), _line(dict(self.lines), where), what, hint)


def in_credentials(path: Path) -> bool:
    """Does the file lie in the folder of credentials that systemd made for this service?"""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.parent == Path(str(folder))


def load(path: Path) -> Config:
    """Read gateway.toml.

    Raises FaultsError "bad_config" with all faults, HostError "bad_config" when there is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError("bad_config", f"cannot read the configuration: {error}", str(path), "name it by --config") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        fault = Fault(str(path), int(line[1]) if line else text.count("\n") + 1, str(error))
        raise FaultsError("bad_config", [fault]) from None
    lines = _lines(text)
    reserved = [key for key in ("file", "lines") if key in data]
    faults = [Fault(str(path), _line(lines, (key,)), f'unknown key "{key}"') for key in reserved]
    for key in reserved:
        del data[key]
    try:
        config = Config.model_validate({**data, "file": path, "lines": lines})
    except ValidationError as error:
        faults += [_fault(path, lines, dict(found)) for found in error.errors(include_url=False)]
    else:
        faults += _twice(config)
    if faults:
        raise FaultsError("bad_config", faults, "correct these lines; `jourdain gateway check` reads the file again")
    return config


def _twice(config: Config) -> Iterator[Fault]:
    """Things that must not be said twice."""
    for section, key in (("serial", "port"), ("serial", "board"), ("upstream", "name"), ("frames", "name")):
        seen: set[str] = set()
        for index, entry in enumerate(getattr(config, section)):
            value = getattr(entry, key)
            if value in seen:
                yield config.fault((section, index, key), f'{section} {key} "{value}" is named twice')
            seen.add(value)


def _fault(path: Path, lines: dict[tuple[str | int, ...], int], found: dict[str, Any]) -> Fault:
    where = tuple(found["loc"])
    name = ".".join(str(part) for part in where)
    hint = ""
    if found["type"] == "extra_forbidden":
        what = f'unknown key "{where[-1]}"'
        hint = did_you_mean(str(where[-1]), _fields(where[:-1]))
    elif found["type"] == "missing":
        what = f'"{name}" is missing'
    else:
        what = f"{name}: {found['msg'].removeprefix('Value error, ')}"
        if isinstance(found.get("input"), str | int | float):
            what += f", not {found['input']!r}"
        if found["type"] == "literal_error":
            hint = did_you_mean(str(found["input"]), re.findall(r"'([^']+)'", found["msg"]))
    return Fault(str(path), _line(lines, where), what, hint)


def _fields(where: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `where` takes."""
    model: type[BaseModel] = Config
    for part in where:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            model = inner or model
    return [name for name in model.model_fields if name not in ("file", "lines")]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)


_HEADER = re.compile(r"\s*\[(\[?)\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+)\s*=")


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Line of each section and key: the file is flat, tables and arrays of tables one level deep."""
    lines: dict[tuple[str | int, ...], int] = {}
    section: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            name = header[2]
            section = (name,)
            lines.setdefault(section, number)
            if header[1]:
                index = counts.get(name, 0)
                counts[name] = index + 1
                section = (name, index)
                lines[section] = number
        elif key := _KEY.match(line):
            lines.setdefault((*section, key[1]), number)
    return lines


def _line(lines: dict[tuple[str | int, ...], int], where: tuple[str | int, ...]) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)
