"""What systemd wants to hear of a service of Type=notify: that it is ready, that it lives, that it stops.

Datagrams to the socket that $NOTIFY_SOCKET names (sd_notify(3)); nothing at all where there is none.
"""

from __future__ import annotations

import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def say(*lines: str) -> None:
    """Tell the service manager these lines (READY, ALIVE, STOPPING, STATUS=...). It may be deaf: that stops nobody."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), "\0" + where[1:] if where[0] == "@" else where)
    except OSError:
        pass
