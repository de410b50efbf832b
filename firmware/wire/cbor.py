"""The small strict CBOR of payloads and link messages (README.md, sections 2 and 3; RFC 8949 section 4.2.1).

Shortest forms, definite lengths, no key twice, depth at most 4; integers, booleans, byte and text strings, arrays, maps.
A payload is a map with integer keys in bytewise order of their encoding. Link messages also know null and text keys, in
any order. Whatever else is read or given: WireError("cbor").
"""

from collections import OrderedDict as Pairs  # a map for dumps_link: MicroPython's own dicts keep no order

from .errors import WireError

DEPTH_MAX = 4  # containers inside each other, the outermost counted
_NEGATIVE = 1 << 64  # beyond every integer from 0


def _head(buf, pos, major, n):
    if n < 24:
        buf[pos] = major | n
        return pos + 1
    size = 1
    major |= 24
    while n >> (size << 3):
        size <<= 1
        major += 1
    if size > 8:
        raise WireError("cbor")
    buf[pos] = major
    for i in range(pos + size, pos, -1):
        buf[i] = n & 255
        n >>= 8
    return pos + size + 1


def _put(buf, pos, obj, link, depth):
    kind = type(obj)
    if kind is int:
        return _head(buf, pos, 0, obj) if obj >= 0 else _head(buf, pos, 0x20, ~obj)
    if kind is bool or (link and obj is None):
        buf[pos] = 0xF6 if obj is None else 0xF4 | obj
        return pos + 1
    if kind in _STRINGS:
        major = 0x40
        if kind is str:
            major = 0x60
            obj = obj.encode()
        pos = _head(buf, pos, major, len(obj))
        for byte in obj:
            buf[pos] = byte
            pos += 1
        return pos
    depth += 1
    if depth > DEPTH_MAX:
        raise WireError("cbor")
    if kind is list or kind is tuple:
        pos = _head(buf, pos, 0x80, len(obj))
        for item in obj:
            pos = _put(buf, pos, item, link, depth)
        return pos
    if kind is not dict and kind is not Pairs:
        raise WireError("cbor")
    n = len(obj)
    pos = _head(buf, pos, 0xA0, n)
    if link:
        for key in obj:
            pos = _put(buf, _put(buf, pos, key, link, depth), obj[key], link, depth)
        return pos
    first = 0
    for key in obj:
        if type(key) is not int:
            raise WireError("cbor")
        first += key < 0
    keys = sorted(obj)
    for i in range(n):
        # Bytewise order of the encodings: ascending from 0, then descending from -1.
        key = keys[first + i if first + i < n else n - 1 - i]
        pos = _put(buf, _put(buf, pos, key, link, depth), obj[key], link, depth)
    return pos


_STRINGS = (str, bytes, bytearray, memoryview)


def dump_into(buf, pos, obj):
    """Write `obj` by the payload's rules into `buf` from `pos`, almost without garbage; return the position after it.

    IndexError when `buf` is too small (it is then partly written).
    """
    return _put(buf, pos, obj, False, 0)


def dumps(obj, link=False, room=256):
    """Return `obj` encoded by the payload's rules (map keys are sorted), or by those of link messages."""
    buf = bytearray(room)
    try:
        return bytes(buf[: _put(buf, 0, obj, link, 0)])
    except IndexError:
        return dumps(obj, link, 2 * room)


def dumps_link(obj):
    """Return `obj` encoded as a link message; maps are dict or Pairs, keys in the order in which they iterate."""
    return dumps(obj, True)


def _items(buf, pos, count, link, depth):
    # `count` items from pos on, and the position behind them: one loop for a whole container, because a call an item
    # is what a host's receive path would spend its time on.
    out = []
    for _ in range(count):
        n = buf[pos]
        pos += 1
        if n >= 24:
            major = n >> 5
            n &= 31
            if n >= 24 and major < 7:
                if n == 24:
                    n = buf[pos]
                    pos += 1
                    least = 24
                elif n == 25:
                    n = buf[pos] << 8 | buf[pos + 1]
                    pos += 2
                    least = 0x100
                else:
                    if n > 27:
                        raise WireError("cbor")
                    least = 1 << (4 << (n - 24))
                    end = pos + (1 << (n - 24))
                    n = int.from_bytes(buf[pos:end], "big")
                    pos = end
                if n < least:
                    raise WireError("cbor")
            if major == 1:
                n = -1 - n
            elif major:
                n, pos = _other(buf, pos, major, n, link, depth)
        out.append(n)
    return out, pos


def _other(buf, pos, major, n, link, depth):  # noqa: PLR0917
    # What is no integer, its head read already.
    if major == 7:
        if n | 1 == 21:
            return n == 21, pos
        if n == 22 and link:
            return None, pos
        raise WireError("cbor")
    end = pos + n
    if end > len(buf):  # an element is at least one byte
        raise WireError("cbor")
    if major == 2:
        return bytes(buf[pos:end]), end
    if major == 3:
        try:
            return str(buf[pos:end], "utf-8"), end
        except UnicodeError:
            raise WireError("cbor")
    if major == 6 or depth >= DEPTH_MAX:
        raise WireError("cbor")
    if major == 4:
        return _items(buf, pos, n, link, depth + 1)
    items, pos = _items(buf, pos, 2 * n, link, depth + 1)
    out = {}
    last = -1
    for i in range(0, 2 * n, 2):
        key = items[i]
        if link:
            if type(key) not in (int, str) or key in out:
                raise WireError("cbor")
        else:
            # Bytewise order of the encodings: ascending from 0, then descending from -1. It also finds a key twice.
            if type(key) is not int or last >= (key if key >= 0 else _NEGATIVE - key):
                raise WireError("cbor")
            last = key if key >= 0 else _NEGATIVE - key
        out[key] = items[i + 1]
    return out, pos


def loads(buf, link=False):
    """Return the payload in `buf` (bytes) as a dict. WireError("cbor") for anything else than a canonical map."""
    try:
        (obj,), end = _items(buf, 0, 1, link, 0)
    except IndexError:
        end = None
    if end != len(buf) or not (link or type(obj) is dict):
        raise WireError("cbor")
    return obj


def loads_link(buf):
    """Return the link message in `buf` (bytes). WireError("cbor")."""
    return loads(buf, True)
