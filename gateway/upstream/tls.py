"""Certificates of a connection: from files to a context, again when the files change; and the names of what goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.config import Broker
from gateway.errors import HostError
from gateway.keys import others

# What a broker answers when it does not like our certificate, in the words of OpenSSL.
_ABOUT_US = ("UNKNOWN_CA", "CERTIFICATE", "DECRYPT_ERROR")


def named(error: Exception) -> HostError | None:
    """bad_certificate for what TLS says about theirs or ours; None for any other error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "is ca_file the authority of this broker, the name in url the one in its certificate, and our clock right?"
        return HostError("bad_certificate", f"the broker's certificate: {error.verify_message}", hint=hint)
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason and "ALERT" in reason and any(word in reason for word in _ABOUT_US):
        words = reason.partition("ALERT_")[2].replace("_", " ").lower()
        hint = "set cert_file and key_file to what the broker's authority signed, and renew it before it expires"
        return HostError("bad_certificate", f"the broker refuses our certificate: {words}", hint=hint)
    return None


class _Talkative(ssl.SSLSocket):
    """A broker that does not like our certificate says so and hangs up, while we write already: hear it all the same."""

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.recv(1)  # raises what it said
            raise


class Trust:
    """The files for a broker with TLS and the context made from them. Without TLS there is none of both.

    Unusable files are named bad_certificate and change nothing: what was good before stays in force.
    """

    def __init__(self, config: Broker) -> None:
        self._config = config
        self._files = [file for file in (config.ca_file, config.cert_file, config.key_file) if file]
        self._seen: list[tuple[int, int]] | None = None
        self._context: ssl.SSLContext | None = None
        self._before: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """What to connect with; None where the url asks for no TLS. Raises HostError bad_certificate."""
        if not self._config.tls:
            return None
        if self._context is None:
            self.load()
        return self._context

    def changed(self) -> bool:
        """Are there other files than those that were last loaded, or refused? (Before the first `context` there are none.)"""
        return self._context is not None and _stamps(self._files) != self._seen

    def load(self) -> None:
        """Read the files. Raises HostError bad_certificate, and keeps what it has."""
        self._seen = _stamps(self._files)
        context = _context(self._config)
        self._before, self._context = self._context, context

    def proven(self) -> None:
        """A broker took us with the new ones."""
        self._before = None

    def doubted(self) -> bool:
        """A broker did not; back to the old ones, until the files change again. False: there are none."""
        if self._before is None:
            return False
        self._context, self._before = self._before, None
        return True


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    """What tells one content of a file from the next without reading it; (0, 0) for a file that is not there."""
    found = []
    for file in files:
        try:
            stat = file.stat()
            found.append((stat.st_mtime_ns, stat.st_ino))
        except OSError:
            found.append((0, 0))
    return found


def _context(config: Broker) -> ssl.SSLContext:
    file = config.ca_file
    try:
        context = ssl.create_default_context(cafile=file)
        context.sslsocket_class = _Talkative
        if config.cert_file is not None:
            file = config.key_file
            _private(config.key_file or config.cert_file)
            file = config.cert_file
            _current(config.cert_file)
            context.load_cert_chain(config.cert_file, config.key_file, password=_no_passphrase)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        hint = "it must hold certificates in PEM form, and key_file the key of the first in cert_file"
        raise HostError("bad_certificate", f"cannot be used: {reason}", str(file), hint) from None
    return context


def _private(file: Path) -> None:
    if mode := others(file):
        raise HostError("bad_certificate", f"the key can be read by others (mode {mode:04o})", str(file), f"chmod 600 {file}")


def _current(file: Path) -> None:
    until = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    if until < datetime.now(UTC):
        raise HostError("bad_certificate", f"our certificate expired on {until:%Y-%m-%d %H:%M} UTC", str(file), "renew it")


def _no_passphrase() -> str:
    """Instead of asking on the terminal of a daemon."""
    raise ValueError("the key is under a passphrase")
