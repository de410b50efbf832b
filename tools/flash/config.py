"""A board's own files: its configuration in two generations, secret.json (its key) and its counter's two slots.

The firmware reads them in node/config.py, node/pair.py and node/counter.py.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware.node import RELEASE
from firmware.node import VERSION as FIRMWARE_VERSION
from firmware.node.manifest import kind_of
from gateway.bundle import compose
from gateway.errors import HostError
from gateway.inventory import Board, Inventory
from tools.flash.build import SLOT, build_slot
from tools.i18n import _
from tools.keys import quality

VERSION = 1
CONFIG = ("config-0", "config-1")
OLD_CONFIG = "config.json"  # where boards of the first layout had it


def board_config(inv: Inventory, board: Board) -> dict[str, Any]:
    """The configuration: the board's entry with everything that its presets add."""
    kind = inv.presets.boards[board.type]
    return {
        "v": VERSION,
        "site": board.site,
        "board": board.name,
        "role": board.role,
        "type": board.type,
        "platform": kind.platform,
        "uid": board.uid,
        "kid": board.kid,
        "hop": board.hop,
        "report_s": board.report_s,
        "link": board.link,
        "radio": _radio(board),
        "plan": _plan(board),
        "service": board.service,
        "settings": _settings(inv, board),
        "limits": _limits(inv, board),
        "sensors": {part: {"driver": s.driver, **s.wiring} for part, s in board.sensors.items()},
        "battery": dict(board.battery) if board.battery else None,
        "power": {"profile": board.power.profile, "done": board.power.done},
        "led": board.led,
    }


def _settings(inv: Inventory, board: Board) -> dict[str, Any]:
    """The entry's settings; where the service has a home and the entry names none, the board's place is it."""
    settings = dict(board.settings)
    if board.service and "home_lat_e5" in inv.presets.services[board.service].settings:
        settings.setdefault("home_lat_e5", board.position.lat_e5)
        settings.setdefault("home_lon_e5", board.position.lon_e5)
    return settings


def _limits(inv: Inventory, board: Board) -> dict[str, Any] | None:
    """What a command may set: the board judges it by the preset's own rules."""
    if board.service is None:
        return None
    service = inv.presets.services[board.service]
    ranges = {name: [setting.lo, setting.hi] for name, setting in service.settings.items()}
    return {"range": ranges, "less": list(service.less), "together": list(service.together)}


def _radio(board: Board) -> dict[str, Any] | None:
    if board.radio is None:
        return None
    module = board.radio.module
    return {
        "chip": module.chip,
        "variant": module.variant,
        "rxen": None,
        "txen": None,
        **board.radio.wiring,
        "tcxo_mv": module.tcxo_mv,
        "dio2_rf_switch": module.dio2_rf_switch,
        "antenna_dbi": board.radio.antenna_dbi,
    }


def _plan(board: Board) -> dict[str, Any] | None:
    plan = board.plan
    if plan is None:
        return None
    keys = ("band", "freq_hz", "sf", "bw_hz", "cr", "power_dbm", "sync")
    return {key: getattr(plan, key) for key in keys}


def board_secret(board: Board, secrets: Mapping[str, str]) -> dict[str, str] | None:
    """The content of secret.json, from `{kid: 32 hexadecimal digits}`; None for a radio bridge.

    Raises HostError: bad_keys when the secret of the board's key id is missing, no 16 bytes, no chance or another key's too,
    test_key when it is a published one.
    """
    if board.kid is None:
        return None
    where = _("{path}, key id {kid}").format(path=board.name, kid=board.kid)
    known = {kid.lower(): value for kid, value in secrets.items()}
    secret = known.get(board.kid)
    if secret is None:
        raise HostError("bad_keys", _("there is no secret for this key id"), where, _("make one: jourdain keys new"))
    try:
        whole = isinstance(secret, str) and len(bytes.fromhex(secret)) == 16
    except ValueError:
        whole = False
    if not whole:
        raise HostError("bad_keys", _("the secret is not 32 hexadecimal digits"), where, _("make one: jourdain keys new"))
    quality.judge(board.kid, known, where)
    return {"kid": board.kid, "secret": secret.lower(), "uid": board.uid or ""}


def record(data: bytes) -> bytes:
    """A record as firmware/node/files.py keeps it: the data and its CRC-32."""
    return data + zlib.crc32(data).to_bytes(4, "little")


def config_files(config: Mapping[str, Any]) -> dict[str, bytes]:
    """Both generations of a configuration with the same content: wherever the power is cut, a whole one is there."""
    text = json.dumps(config, separators=(",", ":")).encode()
    return {path: record(bytes((0, 0, 0, 1 + i)) + text) for i, path in enumerate(CONFIG)}


def counter_files(kid: str) -> dict[str, bytes]:
    """The two slots of a key's frame counter as provisioning makes them, once in the key's life: its first counter is 1."""
    first = record((1).to_bytes(8, "big"))
    return {f"state/counter-{kid}": first, f"counter-{kid}": first}


def trusted_keys(paths: Iterable[Path]) -> bytes:
    """What /trust holds: the moduli of the public release keys in these files. Raises HostError (bad_keys)."""
    from tools.release.keys import modulus, trusted  # noqa: PLC0415 - the only one here who needs cryptography

    return b"".join(modulus(key) for key in trusted(paths))


def board_files(inv: Inventory, board: Board, secrets: Mapping[str, str], port: str | None = None) -> dict[str, bytes]:
    """Every file that flashing keeps as it shall be: application, configuration and, but for a bridge, secret.json."""
    files = build_slot(board, port)
    config = board_config(inv, board)
    inside = {path.removeprefix(f"{SLOT}/"): data for path, data in files.items() if path.startswith(f"{SLOT}/")}
    files[f"{SLOT}/manifest"] = compose(kind_of(config), RELEASE, FIRMWARE_VERSION, inside)
    files.update(config_files(config))
    secret = board_secret(board, secrets)
    if secret is not None:
        files["secret.json"] = json.dumps(secret, separators=(",", ":")).encode()
    return files
