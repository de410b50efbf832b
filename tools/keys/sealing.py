"""`jourdain keys lock` and `passphrase`: a plain file encrypted, an encrypted one under another passphrase."""

from pathlib import Path

import click

from gateway.errors import HostError
from gateway.keys import passphrase_in
from tools.i18n import _
from tools.keys import options as o
from tools.keys import secrets
from tools.keys.passphrase import given


@click.command(help="Encrypt a file of secrets that is not, under a passphrase that is typed twice.")
@o.SECRETS
@o.PASSPHRASE
@o.NO_INPUT
@o.JSON
@o.QUIET
def lock(path: Path, as_json: bool, quiet: bool) -> None:
    """A file that is encrypted already stays as it is. Raises HostError: bad_keys, bad_passphrase."""
    _there(path)
    was = secrets.is_sealed(path)
    if not was:
        secrets.seal_anew(path, given())
    text = _("{file} is encrypted already") if was else _("{file} is encrypted")
    o.answer({"file": str(path), "encrypted": True, "changed": not was}, [text.format(file=path)], as_json=as_json, quiet=quiet)
    if not was:
        o.then([_("copies of the plain file, in backups too, are still readable: remove them, or give the boards new keys")],
               quiet=quiet)  # fmt: skip


@click.command(help="Change the passphrase of the secrets.")
@click.option("--new-passphrase-file", "new", type=click.Path(path_type=Path),
              help="A file of mode 0600 with the new passphrase, instead of asking.")  # fmt: skip
@o.SECRETS
@o.PASSPHRASE
@o.NO_INPUT
@o.JSON
@o.QUIET
def passphrase(new: Path | None, path: Path, as_json: bool, quiet: bool) -> None:
    """Copies that were made before stay under the old one. Raises HostError: bad_keys, bad_passphrase."""
    _there(path)
    if not secrets.is_sealed(path):
        raise HostError("bad_keys", _("this file is not encrypted"), str(path), "jourdain keys lock")
    secrets.load(path)
    secrets.seal_anew(path, passphrase_in(new) if new else None)
    o.answer({"file": str(path), "encrypted": True, "changed": True}, [_("{file} has another passphrase").format(file=path)],
             as_json=as_json, quiet=quiet)  # fmt: skip


def _there(path: Path) -> None:
    if not path.exists():
        raise HostError("bad_keys", _("there are no secrets yet"), str(path), _("make one: jourdain keys new"))
