"""persist-queue's queue with acknowledgements, in its own environment: messages a second in, and out again.

Started with folder and number of messages; says {"put": a second, "out": a second}. One put is one sync, as it is shipped.
"""

import json
import sys
import time

import persistqueue


def main():
    folder, n = sys.argv[1], int(sys.argv[2])
    queue = persistqueue.SQLiteAckQueue(folder, auto_commit=True)
    start_s = time.perf_counter()
    for i in range(n):
        queue.put(b"%040d" % i)
    put_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    for _ in range(n):
        queue.ack(queue.get())
    out_s = time.perf_counter() - start_s
    print(json.dumps({"put": n / put_s, "out": n / out_s}))


if __name__ == "__main__":
    main()
