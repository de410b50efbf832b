"""Fuzz a door of the gateway: mutated inputs by the thousand, each of which must be taken or refused by name.

    outcomes = door.run(open_it, seeds, n, random.Random(7), tokens=[b"name"])

`open_it(data)` lets one input in and returns how it went ("taken", or another word); a named error of ours (HostError, WireError)
is counted by its name. Anything else that is raised, an input that takes longer than SLOW_S, or memory that grows is a fault; the
input then lies in FOUND, and belongs into tests/fuzz/seeds/<door>/ for ever once it is cured.
"""

import hashlib
import os
import time
from collections import Counter
from pathlib import Path

from firmware.wire.errors import WireError
from gateway.errors import HostError

COUNT = int(os.environ.get("JOURDAIN_FUZZ", "10000"))  # inputs a door
SEEDS = Path(__file__).parent / "seeds"
FOUND = Path(__file__).parents[2] / "build/fuzz"
SLOW_S = 2.0
GROWTH_BYTES = 16 << 20  # of the whole process, after the first tenth of the inputs
SIZE_MAX = 1 << 17  # of an input, so that doubling does not end in memory

NUMBERS = (b"0", b"-1", b"1", b"255", b"256", b"65536", b"2147483648", b"18446744073709551616", b"1e400", b"nan", b"9" * 400)
BYTES = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\r\n",
)  # fmt: skip
DEEP = (b"[" * 300, b"{" * 300, b'{"a":' * 100, b"(" * 300, b"\x81" * 300, b"\xa1\x01" * 150)
COMMON = NUMBERS + BYTES + DEEP


class FuzzError(AssertionError):
    """An input that was neither taken nor refused by name."""


def kept(door):
    """The inputs of tests/fuzz/seeds/<door>/: good ones, and what was found wrong before."""
    return [path.read_bytes() for path in sorted((SEEDS / door).iterdir())]


def run(open_it, seeds, n, rng, *, tokens=(), name=""):
    """Every seed as it is, then `n` mutated ones. A Counter of outcomes; FuzzError as said above."""
    outcomes = Counter()
    words = (*COMMON, *tokens)
    warm = 0
    for number in range(-len(seeds), n):
        data = seeds[number] if number < 0 else mutated(rng, seeds, words)
        outcomes[_once(open_it, data, name or getattr(open_it, "__name__", "door"))] += 1
        if number == n // 10:
            warm = resident()
    if n >= 1000 and resident() - warm > GROWTH_BYTES:
        raise FuzzError(f"memory grew by {resident() - warm >> 20} MB over {n} inputs")
    return outcomes


def _once(open_it, data, name):
    begun_s = time.process_time()  # of the processor: a busy machine is no fault of the input
    try:
        outcome = open_it(data)
    except (HostError, WireError) as error:
        outcome = error.name
    except BaseException as error:
        raise FuzzError(f"{name}: {type(error).__name__}: {error}; the input: {keep(name, data)}") from error
    took_s = time.process_time() - begun_s
    if took_s > SLOW_S:
        raise FuzzError(f"{name}: {took_s:.1f} s for {len(data)} bytes; the input: {keep(name, data)}")
    return outcome


def keep(name, data):
    """Write an input down; returns its path."""
    path = FOUND / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def resident():
    """Bytes of this process in memory; 0 where nobody says."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def mutated(rng, seeds, words=COMMON):
    """One of the seeds, changed once or a few times."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(MUTATORS)(rng, data, seeds, words)
        del data[SIZE_MAX:]
    return bytes(data)


def _place(rng, data):
    return rng.randint(0, len(data))


def _slice(rng, data):
    start = _place(rng, data)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 8, 16, 64, 256)))


def _bit(rng, data, _seeds, _words):
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(rng, data, _seeds, _words):
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(rng, data, _seeds, _words):
    start, end = _slice(rng, data)
    del data[start:end]


def _end(rng, data, _seeds, _words):
    del data[_place(rng, data) :]


def _again(rng, data, _seeds, _words):
    start, end = _slice(rng, data)
    at = _place(rng, data)
    data[at:at] = data[start:end] * rng.choice((1, 1, 2, 30))


def _swap(rng, data, _seeds, _words):
    start, end = _slice(rng, data)
    piece = data[start:end]
    del data[start:end]
    at = _place(rng, data)
    data[at:at] = piece


def _word(rng, data, _seeds, words):
    start, end = _slice(rng, data)
    data[start : rng.choice((start, end))] = rng.choice(words)


def _splice(rng, data, seeds, _words):
    other = rng.choice(seeds)
    data[_place(rng, data) :] = other[rng.randint(0, len(other)) :]


MUTATORS = (_bit, _byte, _cut, _end, _again, _swap, _word, _word, _splice)
