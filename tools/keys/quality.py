"""Which secrets are none: known to everybody, put together by hand, or shared by two boards."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from gateway.errors import HostError
from gateway.keys import TEST_SECRETS
from tools.i18n import _

_DIFFERENT = 9  # of 16 random bytes at least so many differ: fewer happen once in ten thousand million


class Fault(NamedTuple):
    """What is wrong with a secret: the error's name and a sentence that does not say it."""

    name: str
    what: str


def faults(kid: str, secrets: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with the secret of a key id, among all of {key id: hexadecimal digits}."""
    secret = bytes.fromhex(secrets[kid])
    if secret in TEST_SECRETS:
        yield Fault("test_key", _("everybody knows this secret: it is printed in the specification"))
    elif len(set(secret)) < _DIFFERENT or len({(b - a) % 256 for a, b in pairwise(secret)}) == 1:
        yield Fault("bad_keys", _("this secret is not random: its bytes repeat themselves, or count"))
    same = [other for other, text in secrets.items() if other != kid and text.lower() == secrets[kid].lower()]
    if same:
        what = _("key ids {kid} and {others} have one secret").format(kid=kid, others=", ".join(same))
        yield Fault("bad_keys", what)


def judge(kid: str, secrets: Mapping[str, str], where: str) -> None:
    """Raise HostError (test_key, bad_keys) when the secret of a key id must not be used."""
    for fault in faults(kid, secrets):
        raise HostError(fault.name, fault.what, where, _("make a new one: jourdain keys rotate BOARD"))
