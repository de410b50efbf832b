"""A technician at the desk: asks the service console. MicroPython only, after desk.py."""

from desk import KID, SECRET, Service

from firmware.wire import hdlc
from firmware.wire.cbor import dumps_link
from firmware.wire.service import request_mac, service_key

SVC = service_key(SECRET, KID)
Service.script = lambda now: {3: 50, 4: 700}


class Asker:
    """The talk's state: its nonce, and the number of the last request."""

    nonce = None
    ident = 0


def ask(d, op, *args, key=SVC, ident=None):
    """Ask the board of the desk `d` now, and return the bytes of the request."""
    Asker.ident += 1
    items = [Asker.ident if ident is None else ident, op]
    items.extend(args)
    if op == "challenge":
        body = dumps_link(items)
    else:
        items.append(bytes(8))
        body = dumps_link(items)[:-8]
        body += request_mac(key, Asker.nonce or b"", body)
    line = hdlc.encode(0x24, body)
    d.host.say(line)
    return line


def greet(d, at=0):
    """Ask for a challenge in `at` seconds, and keep its nonce; its answer is not among the others."""

    def ask_and_keep():
        ask(d, "challenge")
        ident = Asker.ident

        def keep():
            for answer in d.host.answers:
                if answer[0] == ident and answer[1] == 0:
                    Asker.nonce = answer[2][0]
                    d.host.answers.remove(answer)
                    return

        d.after(0.5, keep)

    d.after(at, ask_and_keep)


def asked(d, *requests, seconds=10, every=5):
    """Run the desk with these requests (op, argument ...), one each `every` seconds: [(status, value)] of the answers."""
    greet(d, 1)
    for i, request in enumerate(requests):
        d.after(2 + i * every, lambda request=request: ask(d, *request))
    d.run(2 + len(requests) * every + seconds)
    found = [(status, value) for ident, status, value in d.host.answers]
    d.host.answers.clear()
    return found
