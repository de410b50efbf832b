"""What the board is (config-0, config-1) and its key (secret.json). Checked once, at start.

The configuration is JSON in two generations (pair.py); what commands changed lies over it (settings.py).
"""

import json

from firmware.ports import port
from firmware.wire.errors import DeviceError

from . import VERSION, settings
from .pair import Pair

SCHEMA = 1


def _parse(text, what):
    try:
        found = json.loads(text)
    except ValueError:
        raise DeviceError("config", "%s is no JSON: flash this board" % what)
    if not isinstance(found, dict):
        raise DeviceError("config", "%s holds no object" % what)
    return found


def need(table, key, kind, where="config"):
    """Return table[key], which must be of type `kind`. DeviceError("config")."""
    value = table.get(key)
    if type(value) is not kind:
        raise DeviceError("config", '%s: "%s" is missing or wrong' % (where, key))
    return value


def _silent(error):
    pass


def load(root, note=_silent):
    """Return the configuration (dict) below `root` with the board's settings over it. DeviceError("config").

    note: called with DeviceError("config_older") when a damaged record gave way to the one before it.
    """
    pair = Pair((root + "config-0", root + "config-1"))
    data = pair.load()
    if data is None:
        raise DeviceError("config", "config is missing or damaged: flash this board")
    config = check(_parse(data, "config"))
    if pair.older:
        note(DeviceError("config_older", "config: flash this board"))
    changed, older = settings.load(root)
    if older:
        note(DeviceError("config_older", "settings: what was changed last may be lost"))
    if changed:
        try:
            return check(settings.over(config, changed))
        except DeviceError as error:
            note(error)  # a board goes on without settings that do not fit
    return config


def check(config):
    """Return `config` if a board can work with it. DeviceError("config")."""
    if config.get("v") != SCHEMA:
        raise DeviceError("config", "config is not version 1: flash this board with matching tools")
    for key in ("board", "role", "uid", "link"):
        need(config, key, str)
    if config["role"] == "bridge" or config["link"] == "radio":
        need(config, "radio", dict)
        need(config, "plan", dict)
    if config["role"] == "node":
        need(config, "kid", str)
        need(config, "service", str)
        if config["link"] not in ("radio", "serial"):
            raise DeviceError("config", 'config: "link" must be radio or serial')
        if not 1 <= need(config, "report_s", int) <= 86400:
            raise DeviceError("config", "config: report_s must be 1 to 86400")
    return config


def _hex(text, size, where):
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) not in size:
        raise DeviceError("config", "secret.json: %s is no hex of the right length" % where)
    return data


def _secret(root):
    try:
        with open(root + "secret.json") as file:
            return _parse(file.read(), "secret.json")
    except OSError:
        raise DeviceError("config", "secret.json is missing: flash this board")


def load_secret(root, config):
    """Return (kid, secret) as bytes. DeviceError("config"), or "identity" when it was made for another board."""
    table = _secret(root)
    if need(table, "kid", str, "secret.json") != config["kid"]:
        raise DeviceError("config", "secret.json is of kid %s, config of %s" % (table["kid"], config["kid"]))
    check_identity(need(table, "uid", str, "secret.json"), config["uid"], "secret.json")
    return read_secret(root)


def read_secret(root):
    """Return (kid, secret) of the file as bytes. DeviceError("config")."""
    table = _secret(root)
    kid, secret = (need(table, key, str, "secret.json") for key in ("kid", "secret"))
    return _hex(kid, (2, 4), "kid"), _hex(secret, (16,), "secret")


def check_identity(found, expected, what):
    """DeviceError("identity") unless both ids are the same: a cloned image or a swapped board must not send."""
    if found.lower() != expected.lower():
        raise DeviceError("identity", "%s is of %s, config of %s: flash this board" % (what, found, expected))


def identify(board, root):
    """Return the configuration (dict) below `root`; the board gets its uid. DeviceError: config, identity."""
    ladder, log = board.ladder, board.console.log
    config = load(root, board.faults.note)
    log("boot %s %s firmware %s reset %d" % (config["board"], board.role, VERSION, ladder.cause))
    if ladder.untold:
        for code, text in ladder.crashes():
            log("before: %d %s" % (code, text))
    check_identity(port().unique_id(), config["uid"], "the chip")
    board.uid = config["uid"]
    board.root = root
    return config
