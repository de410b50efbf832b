"""keys.json: the derived keys that this gateway's role holds, and nobody else may read."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware.wire.seal import Keys, derive
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
_NEEDED = ("k_up", "iv")
_ROLES = ("reader", "controller")


def load(path: Path, known: Iterable[str]) -> dict[bytes, Keys]:
    """Read keys.json: key id (bytes) -> Keys. `known`: the key ids (hex) of the inventory, which alone may appear.

    Raises HostError bad_keys (no file, readable by others), FaultsError bad_keys or test_key with every fault.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "make it with `jourdain keys export`, or name it in gateway.toml"
        raise HostError("bad_keys", f"cannot read the keys: {error}", str(path), hint) from None
    if mode & 0o077:
        what = f"the keys can be read by others (mode {mode:04o})"
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise FaultsError("bad_keys", [Fault(str(path), error.lineno, error.msg)]) from None
    return _Reader(path, text, set(known)).read(data)


class _Reader:
    """Collects the faults of one file."""

    def __init__(self, path: Path, text: str, known: set[str]) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._known = known
        self._faults: list[Fault] = []

    def read(self, data: Any) -> dict[bytes, Keys]:
        if not isinstance(data, dict) or not isinstance(data.get("keys"), dict):
            raise FaultsError("bad_keys", [Fault(str(self._path), 1, 'must be {"role": ..., "keys": {"0001": {...}}}')])
        if data.get("role") not in _ROLES:
            self._fault("role", f"role must be reader or controller, not {data.get('role')!r}")
        found = [keys for kid, fields in data["keys"].items() if (keys := self._keys(kid, fields))]
        if self._faults:
            raise FaultsError("bad_keys", self._faults, "export the keys again where the boards were provisioned")
        tests = [keys.kid.hex() for keys in found if _is_test_key(keys)]
        if tests:
            faults = [Fault(str(self._path), self._line(kid), f"key id {kid} uses a published test secret") for kid in tests]
            raise FaultsError("test_key", faults, "provision these boards with secrets of their own")
        return {keys.kid: keys for keys in found}

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
                if name in _NEEDED:
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
    return any(derive(secret, keys.kid).k_up == keys.k_up for secret in TEST_SECRETS)
