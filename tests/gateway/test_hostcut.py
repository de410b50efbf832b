"""What strace shows of the daemon's word, and what a power cut of the host leaves of it."""

import os
import random
import shutil
from itertools import pairwise

import gatedesk as desk
import hostcut
import pytest
from hostrun import cuts, done, handled, left, pubacks, record, record_elsewhere

pytestmark = pytest.mark.skipif(
    not shutil.which("strace") and not os.environ.get("CI"), reason="no strace on this machine: apt install strace"
)
FRAMES = 60


@pytest.fixture(scope="module")
def traced(tmp_path_factory, broker):
    """A daemon under strace takes sixty frames, passes them on and is stopped -> (trace, operations, names by number)."""
    return record(tmp_path_factory.mktemp("traced"), broker, FRAMES)


def test_handled_leaves_after_the_sync_has_returned(traced, tmp_path):
    """At the moment of each [7], what is surely on disk holds every frame that it names."""
    trace, operations, names = traced
    acknowledged = [(at, handled(op)) for at, op in enumerate(operations) if handled(op)]
    assert acknowledged[-1][1] == FRAMES
    for at, upto in acknowledged:
        sure = left(trace, operations[:at], tmp_path / "disk", random.Random(at), "none")
        assert {name for seq, name in names.items() if seq <= upto} <= sure, f"[7, {upto}] left too early"


def test_nothing_goes_upstream_before_it_is_on_disk(traced, tmp_path):
    trace, operations, names = traced
    given = set()
    for at, op in enumerate(operations):
        if op.call != "out" or "/dev/pts/" in op.path:
            continue
        found = {name for name in names.values() if name in op.data} - given
        if found:
            given |= found
            assert found <= left(trace, operations[:at], tmp_path / "disk", random.Random(at), "none")
    assert len(given) == FRAMES, "each was seen to leave"


def test_any_cut_keeps_what_was_acknowledged(traced, tmp_path):
    """A hundred cuts at any operation, with any part of the unsynced sectors: the store opens, nothing of it is missing, and
    nothing counts as delivered that never left.
    """
    assert not cuts(traced, tmp_path / "disk", 100, random.Random(11))
    trace, operations, names = traced
    left(trace, operations, tmp_path / "disk", random.Random(1), "all")
    assert done(tmp_path / "disk") == set(names.values()), "in the end all of it does"


def test_the_disk_of_the_model_forgets_what_was_not_synced(tmp_path):
    """Of the model itself: synced bytes stay, others are torn at sectors, a new name may be missing until it is synced."""
    path = str(tmp_path / "file")
    write = hostcut.Operation("write", path, 0, b"a" * 1024)
    synced = [hostcut.Operation("create", path, 0, b""), write, hostcut.Operation("sync", path, 0, b"")]
    after = [write._replace(data=b"b" * 1024)]
    seen, rng = set(), random.Random(1)
    for _ in range(100):
        (data,) = hostcut.disk({}, synced + after, rng).values()
        assert len(data) == 1024
        assert all(len(set(data[at : at + 512])) == 1 for at in (0, 512)), "a sector is whole"
        seen.add((data[0], data[512]))
    assert len(seen) == 4
    assert {len(hostcut.disk({}, synced[:2], random.Random(seed))) for seed in range(60)} == {0, 1}
    renamed = [*synced, hostcut.Operation("rename", path, 0, str(tmp_path / "new").encode())]
    names = {next(iter(hostcut.disk({}, renamed, random.Random(seed)))).name for seed in range(60)}
    assert names == {"file", "new"}
    sure = [*renamed, hostcut.Operation("sync", str(tmp_path), 0, b"")]
    assert {next(iter(hostcut.disk({}, sure, random.Random(seed)))).name for seed in range(60)} == {"new"}


def test_syncs_that_are_left_out_are_found(traced, tmp_path):
    """The proof can fail: the same record without its syncs loses what was acknowledged."""
    trace, operations, names = traced
    careless = [op for op in operations if op.call != "sync"]
    at, upto = next((at, handled(op)) for at, op in enumerate(careless) if (handled(op) or 0) > FRAMES // 2)
    found = left(trace, careless[:at], tmp_path / "disk", random.Random(1), "none")
    assert not {name for seq, name in names.items() if seq <= upto} <= found
    assert all(a <= b for a, b in pairwise(filter(None, map(handled, operations)))), "acknowledged in order"


def test_a_puback_leaves_after_the_sync_has_returned(tmp_path, broker):
    """Of twelve messages of another gateway: at the moment of each PUBACK its frames are surely on disk."""
    messages = {n: [desk.frame(1, 3 * n + i, {3: i}) for i in (1, 2, 3)] for n in range(12)}
    trace, operations = record_elsewhere(tmp_path, broker, list(messages.values()))
    acked = [at for at, op in enumerate(operations) for _ in range(pubacks(op))]
    assert len(acked) == 12
    for n, at in enumerate(acked):
        sure = left(trace, operations[:at], tmp_path / "disk", random.Random(at), "none")
        assert {desk.name(1, piv) for piv in range(1, 3 * n + 4)} <= sure, f"PUBACK {n + 1} left too early"
