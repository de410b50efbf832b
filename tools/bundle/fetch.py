"""Fetch a file from a server: the one place of the tools that asks the network for something.

Over https with the system's certificates, or by http from a server that was named so; never a part of a file, never more than
was said, never elsewhere than asked.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from gateway.errors import HostError
from tools.i18n import _

# For one answer of the server, and for a whole file.
ANSWER_S, FILE_S = 30.0, 900.0
SIZE_MAX = 16 << 20
PIECE = 64 * 1024

Step = Callable[[int, int], None]  # bytes that are there, bytes that will be


def fetch(source: str, name: str, step: Step) -> bytes:
    """A file of a server's folder (a URL), or of a folder. HostError: no_image (it is not there), transfer, timeout."""
    if "://" not in source:
        return _from_folder(Path(source) / name)
    address = urljoin(source if source.endswith("/") else source + "/", name)
    scheme = urlsplit(address).scheme
    if scheme not in ("https", "http"):
        raise _broken(_("a {scheme} address is no source").format(scheme=scheme), address)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, Redirect,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor,
    ):  # fmt: skip
        opener.add_handler(handler())
    request = urllib.request.Request(address, headers={"Accept-Encoding": "identity", "User-Agent": "jourdain"})
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            return _read(answer, address, step)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise _absent(address) from None
        reason = " ".join(str(error.reason).split())[:120]
        raise _broken(_("the server answers {code}: {reason}").format(code=error.code, reason=reason), address) from None
    except TimeoutError:
        raise _late(address) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause: object = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            raise _late(address) from None
        said = " ".join(str(cause).split())[:200] or type(error).__name__
        raise _broken(_("it cannot be fetched: {error}").format(error=said), address) from None


class Redirect(urllib.request.HTTPRedirectHandler):
    """Follows to https, and from http to http; never from https to anything less, nor to a file."""

    max_redirections = 5

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        there = urlsplit(newurl).scheme
        if there != "https" and there != urlsplit(req.full_url).scheme:
            raise ValueError(_("the server sends elsewhere, to {address}").format(address=newurl[:200]))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(answer: Any, address: str, step: Step) -> bytes:
    said = answer.headers.get("Content-Length", "")
    if answer.status != 200 or not said.isdecimal():
        raise _broken(_("the server does not say how long the file is"), address)
    if int(said[:12]) > SIZE_MAX:
        raise _broken(_("the file is too large: {size} bytes").format(size=said[:12]), address)
    deadline = time.monotonic() + FILE_S
    data = bytearray()
    while piece := answer.read1(PIECE):
        data += piece
        step(len(data), int(said))
        if len(data) > int(said) or time.monotonic() > deadline:
            break
    if time.monotonic() > deadline:
        raise _late(address)
    if len(data) != int(said):
        raise _broken(_("{there} bytes of {size} came").format(there=len(data), size=said), address)
    return bytes(data)


def _from_folder(path: Path) -> bytes:
    try:
        if path.stat().st_size > SIZE_MAX:
            raise _broken(_("the file is too large: {size} bytes").format(size=path.stat().st_size), str(path))
        return path.read_bytes()
    except FileNotFoundError:
        raise _absent(str(path)) from None
    except OSError as error:
        raise _broken(_("it cannot be fetched: {error}").format(error=error.strerror), str(path)) from None


def _absent(where: str) -> HostError:
    hint = _("name another source (--source), or the file itself (--image TYPE=FILE)")
    return HostError("no_image", _("the image is not there"), where, hint)


def _broken(what: str, where: str) -> HostError:
    return HostError("transfer", what, where, _("try again; or name another source: --source URL or FOLDER"))


def _late(where: str) -> HostError:
    return HostError("timeout", _("the server is too slow, or does not answer"), where,
                     _("try again; or name another source: --source URL or FOLDER"))  # fmt: skip
