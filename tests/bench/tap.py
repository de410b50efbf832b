"""A way to the broker that records: every piece of both directions with the time at which it passed. A process of its own.

Started with the broker's port; says {"port": its own}. Commands on standard input, a line of JSON each, answered by one:
{"do": "quiet"} -> {"quiet_s": seconds since the last piece, "pieces": how many}, {"do": "dump", "file": path} writes the
pieces (pickle: [(monotonic s, connection, from the client?, bytes)]) and forgets them.
"""

import gc
import json
import pickle
import selectors
import socket
import sys
import time

LOOPBACK = "127.0.0.1"


def connect(server, broker_port, selector, peers):
    """Take a client in and connect it to the broker."""
    client, _ = server.accept()
    broker = socket.create_connection((LOOPBACK, broker_port))
    number = len(peers)
    for sock, other, up in ((client, broker, True), (broker, client, False)):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ)
        peers[sock] = (other, number, up)


def command(pieces, last_s):
    """Obey one line of standard input. False: it was closed."""
    line = sys.stdin.readline()
    if not line:
        return False
    asked = json.loads(line)
    answer = {"quiet_s": time.monotonic() - last_s, "pieces": len(pieces)}
    if asked["do"] == "dump":
        with open(asked["file"], "wb") as file:
            pickle.dump(pieces, file)
        pieces.clear()
    print(json.dumps(answer), flush=True)
    return True


def main():
    gc.disable()
    server = socket.create_server((LOOPBACK, 0))
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    peers, pieces, last_s = {}, [], time.monotonic()
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            if sock is server:
                connect(server, int(sys.argv[1]), selector, peers)
            elif sock is sys.stdin:
                if not command(pieces, last_s):
                    return
            else:
                other, number, up = peers[sock]
                try:
                    data = sock.recv(1 << 18)
                    last_s = time.monotonic()
                    pieces.append((last_s, number, up, data))
                    other.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    for one in (sock, other):
                        if one.fileno() >= 0:
                            selector.unregister(one)
                            one.close()


if __name__ == "__main__":
    main()
