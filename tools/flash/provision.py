"""The frame counter of a key: made on a board once in the key's life, and noted here before the board can use it.

A counter that begins again sends two frames under one number, which breaks the key. So a board whose files were lost, or a
copy of another board's, gets no new counter for the same key, but needs a new key.
"""

from collections.abc import Mapping
from pathlib import Path

from gateway.errors import HostError
from gateway.inventory import Board
from tools.flash.config import counter_files
from tools.flash.connect import Connection
from tools.flash.identify import Found
from tools.i18n import _
from tools.keys import secrets as keys

# Runs on the board: makes what is in FILES, unless any of them is there.
MAKE = """
import os
def there(p):
    try:
        return os.stat(p)
    except OSError:
        return None
if not there('/state'):
    os.mkdir('/state')
if not [p for p in FILES if there('/' + p)]:
    for p in FILES:
        with open('/' + p + '.new', 'wb') as f:
            f.write(FILES[p])
        os.rename('/' + p + '.new', '/' + p)
"""


def wanted(entry: Board, found: Found, issued: Mapping[str, Mapping[str, str]]) -> bool:
    """Has the board's key no counter yet? HostError (bad_keys): it had one, which is lost or on another chip."""
    if entry.kid is None:
        return False
    there = entry.kid in found.counters
    chip = issued.get(entry.kid, {}).get("counts_on")
    if there and chip in (None, found.uid):
        return False
    if not there and chip is None and found.kid != entry.kid:
        return True
    if chip in (None, found.uid):
        what = _("the board has lost the counter of key id {kid}").format(kid=entry.kid)
    else:
        what = _("key id {kid} counts on another chip, {chip}").format(kid=entry.kid, chip=chip)
    hint = _("a counter must not begin again: jourdain keys new {board}, add it to boards.yaml, flash again")
    raise HostError("bad_keys", what, entry.name, hint.format(board=entry.name))


def make(connection: Connection, entry: Board, found: Found, secrets: Path, *, fresh: bool) -> None:
    """Make the key's counter where it is `fresh`, then note in the file of secrets which chip the key counts on. HostError.

    In this order, before the key itself is written: whoever is interrupted in between has a counter that nothing uses yet, and
    may begin again. A note without a counter would be a counter that was lost.
    """
    if entry.kid is None:
        return
    if fresh:
        connection.run(f"FILES = {counter_files(entry.kid)!r}\n{MAKE}")
    keys.counts_on(secrets, entry.kid, found.uid)
