"""The file of secrets that `jourdain keys new` writes: it stays on the provisioning host."""

import json
from pathlib import Path

from gateway.errors import HostError
from tools.i18n import _


def read_secrets(path: Path) -> dict[str, str]:
    """`{key id: 32 hexadecimal digits}`. Raises HostError (bad_keys): not there, readable by others, not JSON."""
    hint = _("make one: jourdain keys new")
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError("bad_keys", _("the secrets cannot be read: {error}").format(error=error), str(path), hint) from None
    if mode & 0o077:
        what = _("the secrets can be read by other users of this machine")
        raise HostError("bad_keys", what, str(path), f"chmod 600 {path}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise HostError("bad_keys", _("the secrets are no JSON: {error}").format(error=error), str(path), hint) from None
    secrets = found.get("secrets", found) if isinstance(found, dict) else None
    if not isinstance(secrets, dict):
        raise HostError("bad_keys", _("the secrets are no map of key ids"), str(path), hint)
    return {str(kid): value for kid, value in secrets.items() if isinstance(value, str)}
