"""A crowd of devices that speak MQTT 3.1.1, QoS 1: messages as fast as the broker takes them, or at a rate. A process of its own.

Started with the broker's port. A line of JSON on standard input, {"file": pickle of [(topic, payload)], "rate": messages a
second or 0, "times": path}, is answered when every message was acknowledged; the file `times` holds (pickle) the monotonic
seconds at which each was written.
"""

import gc
import json
import pickle
import select
import socket
import sys
import time

WINDOW = 200
CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04feed"


def packet(mid, topic, payload):
    """A PUBLISH."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big") + payload
    n, head = len(body), b"\x32"
    while n > 127:
        head, n = head + bytes((n & 127 | 128,)), n >> 7
    return head + bytes((n,)) + body


def run(sock, messages, rate):
    """Publish them all; returns the times."""
    times, acked = [], 0
    packets = [packet(i % 65535 + 1, *message) for i, message in enumerate(messages)]
    start_s = time.monotonic()
    while acked < 4 * len(packets):
        n = len(times)
        due_s = start_s + n / rate - time.monotonic() if rate else 0.0
        more = n < len(packets) and n - acked // 4 < WINDOW
        if more and due_s <= 0:
            times.append(time.monotonic())
            sock.sendall(packets[n])
        wait_s = 0 if more and due_s <= 0 else due_s if more else 5.0
        if select.select([sock], [], [], max(0.0, wait_s))[0]:
            acked += len(sock.recv(65536))
    return times


def main():
    gc.disable()
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(CONNECT)
        sock.recv(64)
        print("{}", flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            with open(asked["file"], "rb") as file:
                messages = pickle.load(file)
            times = run(sock, messages, asked["rate"])
            with open(asked["times"], "wb") as file:
                pickle.dump(times, file)
            print("{}", flush=True)


if __name__ == "__main__":
    main()
