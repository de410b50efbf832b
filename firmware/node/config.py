"""The board's two files: config.json (what it is) and secret.json (its key). Checked once, at start."""

import json

from firmware.ports import port
from firmware.wire.errors import DeviceError

from . import VERSION, settings

def _load(path):
    try:
        with open(path) as file:
            found = json.load(file)
    except OSError:
        raise DeviceError("config", "%s is missing: flash this board" % path)
    except ValueError:
        raise DeviceError("config", "%s is no JSON: flash this board" % path)
    if not isinstance(found, dict):
        raise DeviceError("config", "%s holds no object" % path)
    return found


def need(table, key, kind, where="config.json"):
    """Return table[key], which must be of type `kind`. DeviceError("config")."""
    value = table.get(key)
    if type(value) is not kind:
        raise DeviceError("config", '%s: "%s" is missing or wrong' % (where, key))
    return value


def load(root):
    """Return the configuration (dict) below `root`. DeviceError("config")."""
    config = _load(root + "config.json")
    if config.get("v") != 1:
        raise DeviceError("config", "config.json is not version 1: flash this board with matching tools")
    for key in ("board", "role", "uid", "link"):
        need(config, key, str)
    if config["role"] == "bridge" or config["link"] == "radio":
        need(config, "radio", dict)
        need(config, "plan", dict)
    if config["role"] == "node":
        need(config, "kid", str)
        need(config, "service", str)
        if config["link"] not in ("radio", "serial"):
            raise DeviceError("config", 'config.json: "link" must be radio or serial')
        if not 1 <= need(config, "report_s", int) <= 86400:
            raise DeviceError("config", "config.json: report_s must be 1 to 86400")
    return settings.over(config, settings.load(root)[0])


def _hex(text, size, where):
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) not in size:
        raise DeviceError("config", "secret.json: %s is no hex of the right length" % where)
    return data


def load_secret(root, config):
    """Return (kid, secret) as bytes. DeviceError("config"), or "identity" when it was made for another board."""
    table = _load(root + "secret.json")
    if need(table, "kid", str, "secret.json") != config["kid"]:
        raise DeviceError("config", "secret.json is of kid %s, config.json of %s" % (table["kid"], config["kid"]))
    check_identity(need(table, "uid", str, "secret.json"), config["uid"], "secret.json")
    return _hex(table["kid"], (2, 4), "kid"), _hex(need(table, "secret", str, "secret.json"), (16,), "secret")


def check_identity(found, expected, what):
    """DeviceError("identity") unless both ids are the same: a cloned image or a swapped board must not send."""
    if found.lower() != expected.lower():
        raise DeviceError("identity", "%s is of %s, config.json of %s: flash this board" % (what, found, expected))


def identify(board, root):
    """Return the configuration (dict) below `root`; the board gets its uid. DeviceError: config, identity."""
    config = load(root)
    board.console.log("boot %s %s firmware %s reset %d" % (config["board"], board.role, VERSION, port().reset_cause()))
    check_identity(port().unique_id(), config["uid"], "the chip")
    board.uid = config["uid"]
    return config
