"""keys.json: the derived keys that this gateway's role may hold, and nobody else may read."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware.wire.seal import Keys, derive
from gateway.config import in_credentials
from gateway.errors import Fault, FaultsError, HostError, did_you_mean

# Secrets that are printed in the specification and in data sheets: whoever has read them can forge such a board.
TEST_SECRETS = tuple(
    bytes.fromhex(text)
    for text in (
        "000102030405060708090a0b0c0d0e0f",
        "101112131415161718191a1b1c1d1e1f",
        "202122232425262728292a2b2c2d2e2f",
        "00" * 16,
        "ff" * 16,
    )
)
_FIELDS = {"k_up": 16, "iv": 13, "k_hop": 16, "k_dn": 16}
# What each role may hold of a board (firmware/wire/README.md, section 1): a thief gets no more. Never the secret itself.
MAY_HOLD: Mapping[str, tuple[str, ...]] = {
    "relay": (),
    "street": ("k_hop",),
    "reader": ("k_up", "iv", "k_hop"),
    "controller": ("k_up", "iv", "k_hop", "k_dn"),
}
_READS = ("k_up", "iv")
_NEEDS = {"relay": (), "street": ("k_hop",), "reader": _READS, "controller": _READS}
_FORM = 'must be {"role": ..., "keys": {"0001": {...}}}'


def load(path: Path, known: Iterable[str], role: str) -> dict[bytes, Keys]:
    """Read keys.json: key id (bytes) -> Keys. `known`: the key ids (hex) of the inventory, which alone may appear.

    `role` of the gateway in the inventory; a relay needs no file. Raises HostError bad_keys (no file, readable by others),
    FaultsError bad_keys, excess_keys (more than the role may hold) or test_key with every fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = others(path)
    except (OSError, UnicodeDecodeError) as error:
        if role == "relay" and isinstance(error, FileNotFoundError):
            return {}
        hint = f"make it with `jourdain keys export --role {role}`, or name it in gateway.toml"
        raise HostError("bad_keys", f"cannot read the keys: {error}", str(path), hint) from None
    if mode:
        what = f"the keys can be read by others (mode {mode:04o})"
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise FaultsError("bad_keys", [Fault(str(path), error.lineno, error.msg)]) from None
    return _Reader(path, text, set(known), role).read(data)


def others(path: Path) -> int:
    """The mode of a secret file that its owner does not have for himself; 0: nobody else can read it.

    systemd hands credentials over readable by the service's user alone, who need not be their owner. Raises OSError.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if mode & (0o007 if in_credentials(path) else 0o077) else 0


def passphrase_in(path: Path) -> str:
    """The first line of a file that nobody else may read. Raises HostError bad_keys."""
    try:
        mode = others(path)
        text = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError("bad_keys", f"the passphrase cannot be read: {error}", str(path)) from None
    if mode:
        raise HostError("bad_keys", f"the passphrase can be read by others (mode {mode:04o})", str(path), f"chmod 600 {path}")
    return text[0] if text else ""


class _Reader:
    """Collects the faults of one file."""

    def __init__(self, path: Path, text: str, known: set[str], role: str) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._known = known
        self._role = role
        self._faults: list[Fault] = []

    def read(self, data: Any) -> dict[bytes, Keys]:
        if not isinstance(data, dict) or not isinstance(data.get("keys"), dict):
            raise FaultsError("bad_keys", [Fault(str(self._path), 1, _FORM)])
        if data.get("role") not in MAY_HOLD:
            self._fault("role", f"role must be one of {', '.join(MAY_HOLD)}, not {data.get('role')!r}")
        self._no_more(data["keys"])
        found = [keys for kid, fields in data["keys"].items() if (keys := self._keys(kid, fields))]
        hint = f"export the keys again where the boards were provisioned: jourdain keys export --role {self._role}"
        if self._faults:
            raise FaultsError("bad_keys", self._faults, hint)
        tests = [keys.kid.hex() for keys in found if _is_test_key(keys)]
        if tests:
            faults = [Fault(str(self._path), self._line(kid), f"key id {kid} uses a published test secret") for kid in tests]
            raise FaultsError("test_key", faults, "provision these boards with secrets of their own")
        return {keys.kid: keys for keys in found}

    def _no_more(self, contexts: Mapping[str, Any]) -> None:
        """A gateway that hangs in the street must not hold what its role does not need: that is what a thief would find."""
        may = MAY_HOLD[self._role]
        faults = []
        for kid, fields in contexts.items():
            names = [name for name in _FIELDS if name in fields and name not in may] if isinstance(fields, Mapping) else []
            if names or not may:
                what = f'key id "{kid}": a {self._role} may not hold {", ".join(names) or "any key"}'
                faults.append(Fault(str(self._path), self._line(kid), what))
        if faults:
            what = f"export the keys of a {self._role}, or give the gateway another role in boards.yaml" if may else (
                "a relay needs no keys: remove the file"
            )  # fmt: skip
            raise FaultsError("excess_keys", faults, what)

    def _keys(self, kid: str, fields: Any) -> Keys | None:
        faults = len(self._faults)
        if kid not in self._known:
            self._fault(kid, f'key id "{kid}" belongs to no board of the inventory', did_you_mean(kid, self._known))
        if not isinstance(fields, Mapping):
            self._fault(kid, f'key id "{kid}": must be a map of keys')
            return None
        for name in fields:
            if name not in _FIELDS:
                self._fault(kid, f'key id "{kid}": unknown key "{name}"', did_you_mean(name, _FIELDS))
        values: dict[str, bytes] = {}
        for name, size in _FIELDS.items():
            text = fields.get(name)
            if text is None:
                if name in _NEEDS[self._role]:
                    self._fault(kid, f'key id "{kid}": {name} is missing')
                continue
            try:
                values[name] = bytes.fromhex(text)
            except (ValueError, TypeError):
                values[name] = b""
            if len(values[name]) != size:
                self._fault(kid, f'key id "{kid}": {name} must be {2 * size} hexadecimal digits')
        return Keys(bytes.fromhex(kid), **values) if len(self._faults) == faults else None

    def _line(self, word: str) -> int:
        return next((n for n, line in enumerate(self._lines, 1) if f'"{word}"' in line), 1)

    def _fault(self, word: str, what: str, hint: str = "") -> None:
        self._faults.append(Fault(str(self._path), self._line(word), what, hint))


def _is_test_key(keys: Keys) -> bool:
    """By the one key that is derived for this key id alone and that the role holds."""
    name = "k_up" if keys.k_up else "k_hop"
    return any(getattr(derive(secret, keys.kid), name) == getattr(keys, name) for secret in TEST_SECRETS)
