"""Does a broker answer? By its layers: the name and TCP, TLS and how long its certificate lasts, MQTT's CONNACK."""

import asyncio
import os
import socket
import ssl
import time
from pathlib import Path

from pydantic import ValidationError

from gateway import config as configuration
from gateway.config import Broker
from gateway.errors import HostError
from gateway.upstream import tls
from gateway.upstream.connection import Connection, Door, LostError
from tools.doctor.report import OK, WARN, Check, failed
from tools.i18n import _

TIMEOUT_S = 5.0
SOON_DAYS = 21.0


def asked(url: str | None, user: str | None, ca_file: Path | None, gateway: Path | None) -> list[tuple[Broker, str | None]]:
    """The brokers to ask, each with its password: the one that was named, those of a gateway. Raises HostError bad_config."""
    found: list[tuple[Broker, str | None]] = []
    if url:
        try:
            config = Broker.model_validate({"url": url, "username": user, "ca_file": ca_file})
        except ValidationError as error:
            what = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise HostError("bad_config", what, "--broker", "mqtt://HOST[:PORT], mqtts://HOST[:PORT]") from None
        found.append((config, os.environ.get("JOURDAIN_PASSWORD")))
    if gateway:
        settings = configuration.load(gateway)
        found += [(whole, whole.password) for one in (*settings.upstream, *settings.frames) for whole in [settings.whole(one)]]
    return found


def check(config: Broker, password: str | None) -> Check:
    """One line for a broker. The first layer that does not answer is the one to look at."""
    said = [config.url]
    try:
        left_days = _secured(config)
        asyncio.run(_taken(config, password))
    except HostError as error:
        where = error.where if error.where in ("", config.url) else f"{config.url}, {error.where}"
        return failed("broker", HostError(error.name, error.what, where or config.url, error.hint))
    said += ["TCP", *([_("TLS, its certificate lasts {days:.0f} days").format(days=left_days)] if config.tls else []), "CONNACK"]
    if config.tls and left_days < SOON_DAYS:
        return Check("broker", WARN, ", ".join(said), _("have the broker's certificate renewed"))
    return Check("broker", OK, ", ".join(said))


def _secured(config: Broker) -> float:
    """Days that the broker's certificate lasts, 0 without TLS. HostError broker_refused, bad_certificate."""
    context = tls.Trust(config).context()
    with _dialled(config) as line:
        if context is None:
            return 0.0
        try:
            with context.wrap_socket(line, server_hostname=config.host) as secured:
                until = (secured.getpeercert() or {})["notAfter"]
                return (ssl.cert_time_to_seconds(str(until)) - time.time()) / 86_400
        except OSError as error:
            hint = _("is there TLS at this port? 8883 is usual, 1883 is in clear")
            raise tls.named(error) or HostError("broker_refused", str(error), config.url, hint) from None


def _dialled(config: Broker) -> socket.socket:
    """A TCP connection. HostError broker_refused."""
    try:
        return socket.create_connection((config.host, config.tcp_port), TIMEOUT_S)
    except socket.gaierror:
        what = _("no address for {host}").format(host=config.host)
        hint = _("is the name right, and is there a network?")
    except (OSError, UnicodeError) as error:
        what = str(error)
        hint = _("does the broker run, and does a firewall let port {port} pass?").format(port=config.tcp_port)
    raise HostError("broker_refused", what, config.url, hint)


async def _taken(config: Broker, password: str | None) -> None:
    """Connect, hear the broker's yes, say good-bye. HostError broker_refused, bad_certificate."""
    connection = Connection(Door(config.host, config.tcp_port, "", config.username, password, tls.Trust(config).context()))
    try:
        await connection.open()
    except LostError as error:
        hint = _("is a broker with MQTT 5 running there?")
        raise HostError("broker_refused", str(error), config.url, hint) from None
    finally:
        connection.close()
