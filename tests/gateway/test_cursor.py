"""How far an upstream came: sets of ids against Python's own, and a file of marks cut and bent at every byte."""

import errno
import os

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import HostError
from gateway.upstream import cursor
from gateway.upstream.cursor import DONE, HANDED, Intervals, Mark, Marks, Upstream

EPOCH = bytes(range(16))
UPSTREAMS = [Upstream("senml", False), Upstream("été", True)]
SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1])), max_size=25)


def ids(spans):
    return {n for first, last in spans for n in range(first, last + 1)}


@given(SPANS)
def test_a_set_of_ids_is_a_set(spans):
    found, want = Intervals(spans), ids(spans)
    assert ids(found) == want
    assert found.count == len(want)
    assert [n for n in range(75) if n in found] == sorted(want)
    # Disjoint, in order, and nothing between two spans that could join them.
    assert all(b[0] > a[1] + 1 for a, b in zip(list(found), list(found)[1:], strict=False))
    assert Intervals(sorted(spans)) == found
    assert list(cursor.runs(sorted(want))) == list(found)
    assert Intervals.unpack(found.pack()) == found


@given(SPANS, st.integers(0, 72), st.integers(0, 72))
def test_gaps_and_parts_of_a_set_of_ids(spans, after, before):
    found, want = Intervals(spans), ids(spans)
    missing = [n for n in range(after + 1, before) if n not in want]
    assert ids(found.gaps(after, before)) == set(missing)
    first = found.gap(after, before)
    assert (first is None) == (not missing)
    if first:
        assert first == next(cursor.runs(missing))
    assert ids(found.within(after, before)) == {n for n in want if after <= n <= before}


def test_a_copy_goes_its_own_way():
    one = Intervals([(1, 3)])
    two = one.copy()
    two.add(4, 5)
    assert (list(one), list(two)) == ([(1, 3)], [(1, 5)])
    with pytest.raises(ValueError, match="from 5 to 4"):
        one.add(5, 4)


@given(st.binary(max_size=20))
def test_bytes_that_are_no_set_are_refused_by_value(data):
    try:
        found = Intervals.unpack(data)
    except ValueError:
        return
    assert ids(Intervals.unpack(found.pack())) == ids(found)


@pytest.mark.parametrize("numbers", [[1], [0, 1], [1, -1], [1, 1, 1, 0], [1, 1, 0, 5], [1.5, 2], "text", {1: 2}])
def test_numbers_that_are_no_set(numbers):
    with pytest.raises(ValueError, match="no set of ids"):
        Intervals.unpack(cbor2.dumps(numbers))


WRITTEN = [
    [Mark(0, HANDED, 1, 1, 50), Mark(1, HANDED, 1, 1, 7)],
    [Mark(0, DONE, 1, 1, 50)],
    [Mark(0, HANDED, 2**32 - 1, 51, 2**63 - 1)],
]


@pytest.fixture
def noted(tmp_path):
    """The bytes of a file of marks, and where each mark ends."""
    marks = Marks(tmp_path / "marks", EPOCH, UPSTREAMS)
    ends = []
    for group in WRITTEN:
        marks.write(group)
        ends.append(marks._at)
    marks.close()
    return (tmp_path / "marks").read_bytes()[: ends[-1]], ends


def test_marks_are_read_as_they_were_written(tmp_path, noted):
    found = cursor.read(tmp_path / "marks")
    assert found == (EPOCH, tuple(UPSTREAMS), [mark for group in WRITTEN for mark in group])
    assert (tmp_path / "marks").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "marks.new").exists()
    assert cursor.read(tmp_path / "none") is None


def test_a_file_cut_at_any_byte_keeps_every_whole_mark(tmp_path, noted):
    data, ends = noted
    whole = cursor.read(tmp_path / "marks").marks
    size = cursor._SIZE
    head = ends[0] - 2 * size
    for tail in (b"", bytes(64), b"\xff" * 40):  # nothing, room that was kept, what lay there before
        for cut in range(len(data) + 1):
            (tmp_path / "torn").write_bytes(data[:cut] + tail)
            found = cursor.read(tmp_path / "torn")
            if cut < head:
                assert found is None
            else:
                assert found.marks == whole[: (cut - head) // size]


def test_no_bent_byte_is_believed(tmp_path, noted):
    data, ends = noted
    whole = cursor.read(tmp_path / "marks").marks
    head = ends[0] - 2 * cursor._SIZE
    for at in range(len(data)):
        for bit in (1, 0x80):
            bent = bytearray(data)
            bent[at] ^= bit
            (tmp_path / "bent").write_bytes(bent)
            found = cursor.read(tmp_path / "bent")
            if at < head:
                assert found is None
            else:
                assert found.marks == whole[: (at - head) // cursor._SIZE]


def test_a_mark_of_another_life_in_the_same_place_is_not_believed(tmp_path, noted):
    """What a power cut may leave: blocks of the file before, at the same distance from the beginning."""
    data, ends = noted
    marks = Marks(tmp_path / "marks", bytes(16), UPSTREAMS)
    marks.write(WRITTEN[0])
    marks.close()
    fresh = (tmp_path / "marks").read_bytes()[: ends[0]]
    (tmp_path / "mixed").write_bytes(fresh + data[ends[0] :])
    found = cursor.read(tmp_path / "mixed")
    assert (found.epoch, found.marks) == (bytes(16), WRITTEN[0])


@pytest.mark.produces("disk_full", "disk_error")
def test_a_disk_that_takes_no_mark(tmp_path, monkeypatch):
    marks = Marks(tmp_path / "marks", EPOCH, UPSTREAMS)
    real = os.pwrite

    def short(fd, data, at):
        return real(fd, bytes(data[:10]), at)

    def failing(number):
        def fail(*args):
            raise OSError(number, os.strerror(number))

        return fail

    for name, pwrite in (("disk_full", short), ("disk_full", failing(errno.ENOSPC)), ("disk_error", failing(errno.EIO))):
        monkeypatch.setattr(os, "pwrite", pwrite)
        with pytest.raises(HostError) as caught:
            marks.write(WRITTEN[1])
        assert caught.value.name == name
        assert cursor.read(tmp_path / "marks").marks == []
    monkeypatch.setattr(os, "pwrite", real)
    marks.write(WRITTEN[1])
    assert cursor.read(tmp_path / "marks").marks == WRITTEN[1]
    marks.close()
    with pytest.raises(HostError, match="disk_error"):
        Marks(tmp_path / "no folder" / "marks", EPOCH, UPSTREAMS)
