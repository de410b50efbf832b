"""Boards and hosts read a manifest alike: the same texts are accepted, with the same values, and all others refused."""

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from manifest_judge import judge

from firmware.node import manifest

CODE = """
import json, sys
from manifest_judge import judge
with open(sys.argv[1]) as file:
    texts = [bytes.fromhex(line) for line in json.load(file)]
print(json.dumps([judge(text) for text in texts]))
"""

HEAD = b"jourdain 1\nkind pico node bin radio sx126x a02yyuw\nmpy 6\nrelease 2\nversion 0.2.0\n"
LINES = [b"%s %d %s\n" % (bytes([97 + i % 6]) * 64, 7**i % 65537, path) for i, path in enumerate(
    (b"firmware/__init__.mpy", b"firmware/node/app.mpy", b"firmware/wire/cbor.mpy", b"modules"))]  # fmt: skip
SOUND = HEAD + b"".join(LINES)
PIECES = (b"", b"\n", b" ", b"0", b"9" * 30, b"/", b"..", b"../", b"modules", b"\x00", b"\xc3\xa9", b"-1", b"+1", b"0x10", b"1_0",
          b"A", b"firmware/", b".mpy", b"\r\n", b"\xff", b" 1 ", b"jourdain 1\n", *LINES)  # fmt: skip


def mutated(rng):
    """SOUND with a few pieces put in, taken away or doubled."""
    text = SOUND
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((0, 0, 1, 1, 2, 5, 64)))
        text = text[:at] + rng.choice((rng.choice(PIECES), bytes([rng.randrange(256)]), text[at:end] * 2)) + text[end:]
    return text


def test_both_judge_alike(mp, desk_path, tmp_path):
    rng = random.Random(7)
    texts = [SOUND, b"", *(mutated(rng) for _ in range(1500))]
    texts += [SOUND.replace(line, b"") for line in LINES] + [SOUND.replace(b" 1 ", b" %d " % n) for n in (0, 65536, 65537, 10**9)]
    (tmp_path / "texts").write_text(json.dumps([text.hex() for text in texts]))
    here = [json.loads(json.dumps(judge(text))) for text in texts]
    there = json.loads(mp(CODE, heap_kb=8000, path=desk_path, args=(tmp_path / "texts",)))
    for text, mine, boards in zip(texts, here, there, strict=True):
        assert mine == boards, text
    assert here[0] is not None
    assert 20 < sum(found is not None for found in here) < len(here) // 2


def test_a_kind_is_what_decides_the_files():
    sensors = {"temperature": {"driver": "ds18b20"}, "distance": {"driver": "a02yyuw"}, "other": {"driver": "ds18b20"}}
    config = {"type": "pico", "role": "node", "service": "bin", "link": "radio", "radio": {"chip": "sx126x"}, "sensors": sensors}
    assert manifest.kind_of(config) == "pico node bin radio sx126x a02yyuw+ds18b20"
    bridge = {"type": "pico", "role": "bridge", "service": None, "link": "serial", "radio": {"chip": "sx126x"}, "sensors": {}}
    assert manifest.kind_of(bridge) == "pico bridge - serial sx126x -"
    assert manifest.kind_of({"type": "esp32", "role": "node"}) == "esp32 node - - - -"
