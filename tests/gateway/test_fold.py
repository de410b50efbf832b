"""Windows, counts and line numbers as folds of the rows: after any death the daemon knows what it knew before it."""

import itertools

import gatedesk as desk
import pytest
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from test_receive import Bench

from firmware.wire import cbor, link, seal
from gateway import fold, quick, receive
from gateway.fold import Kid
from gateway.uplink import FILLS, OPAQUE, PLAIN


def known(receiver):
    """All that a receiver knows and a death may not take away."""
    kids = {kid: context.row for kid, context in receiver.kids.items()}
    return kids, {source.board: source.numbering.pack() for source in receiver._sources}


class Lives(RuleBasedStateMachine):
    """Frames, copies, cut lines and boots of a bridge, in groups; folds; deaths without any farewell."""

    @initialize()
    def begin(self):
        self.folder = desk.fresh_folder()
        self.bench = Bench(self.folder)
        self.bench.hello()
        self.piv = {1: 0, 2: 0}

    def teardown(self):
        if hasattr(self, "bench"):
            self.bench.store.close()
            desk.drop_folder(self.folder)

    @rule(
        n=st.sampled_from([1, 2]), count=st.integers(1, 3), skip=st.sampled_from([0, 0, 0, 1, 2, 70]), size=st.integers(1, 5),
        backwards=st.booleans(), twice=st.booleans(), refused=st.booleans(),
    )  # fmt: skip
    def hear(self, n, count, skip, size, backwards, twice, refused):  # noqa: PLR0917 - what chance decides
        """Some frames of a board in one group: with batches, repeats, hop tags, and now and then something unreadable."""
        self.piv[n] += skip
        made = []
        for kind in itertools.islice(itertools.cycle(("bins", "hop", "odd")), count):
            self.piv[n] += 1
            repeats = min(size - 1, self.piv[n] - 1)
            payload = {3: self.piv[n] % 50} if size == 1 else {3: [self.piv[n] % 50, *[1] * (size - 1)], -8: 60}
            payload = cbor.dumps(payload | ({-9: repeats} if repeats else {})) if kind != "odd" else b"\x00"
            made.append(seal.seal(desk.keys(n), self.piv[n], payload, hop=kind == "hop"))
        made = made[::-1] if backwards else made
        self.bench.take(*made * (2 if twice else 1), *[b"\x81\x00\x01"] * refused)

    @rule()
    def line_is_cut(self):
        self.bench.seq += 3

    @rule()
    def bridge_boots(self):
        self.bench.seq = 0
        self.bench.hello(0)

    @rule()
    def fold(self):
        self.bench.gathered = self.bench.receiver.seal(folded=True)
        self.bench.again()
        assert self.bench.store.folded == self.bench.store.last

    @rule()
    def fold_what_is_on_disk(self):
        """As the daemon does when the disk is full."""
        self.bench.store.write(fold.load(self.bench.store).group())

    @rule()
    def die(self):
        """Another process would find just what this one wrote: nothing is told to the store before."""
        before, books = known(self.bench.receiver), self.bench.books
        self.bench.open()
        assert known(self.bench.receiver) == before
        assert self.bench.books == books
        self.bench.hello(self.bench.seq)

    @rule()
    def frames_are_made_again(self):
        for row in self.bench.rows():
            assert row.frame is None
            assert fold.frame(row, desk.keys(row.kid[1])).endswith(row.tag)


TestLives = Lives.TestCase
TestLives.settings = settings(examples(25), stateful_step_count=30)


def test_a_group_of_clean_frames_writes_its_rows_alone(tmp_path):
    bench = Bench(tmp_path)
    bench.hello()
    bench.take(desk.frame(1, 1, {3: 5}), desk.frame(2, 1, {3: [5, 1], -8: 60}))
    assert (bench.gathered.group.contexts, bench.gathered.group.links, bench.gathered.group.counts) == ([], {}, {})
    assert bench.store.read("SELECT count(*) FROM context") == [(0,)]
    bench.take(desk.frame(1, 1, {3: 5}))
    assert [row[0] for row in bench.gathered.group.contexts] == [b"\0\1"], "a copy is counted, and nowhere else to be found"
    assert set(bench.gathered.group.links) == {"bridge"}


def test_what_is_no_row_is_written_at_once(tmp_path):
    """A copy, and a bridge that counts anew, leave no row: context and link say it themselves, and no row twice."""
    bench = Bench(tmp_path)
    bench.hello()
    one, two = desk.frame(1, 1, {3: 5}), desk.frame(1, 2, {3: 6})
    for doing in (lambda: bench.take(one, one), lambda: bench.take(two), lambda: bench.hello(0), lambda: bench.take(two)):
        doing()
        before = known(bench.receiver)
        bench.open()
        assert known(bench.receiver) == before
        bench.hello(bench.seq)


def test_contexts_are_folded_after_so_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(receive, "_FOLD_ROWS", 5)
    bench = Bench(tmp_path)
    bench.hello()
    for piv in range(1, 4):
        bench.take(desk.frame(1, piv, {3: 5}), desk.frame(2, piv, {3: 5}))
    assert bench.store.folded == 0, "two contexts are not written for every five rows"
    monkeypatch.setattr(receive, "_ROWS_A_KID", 5)
    for piv in range(4, 8):
        bench.take(desk.frame(1, piv, {3: 5}), desk.frame(2, piv, {3: 5}))
    assert (bench.store.folded, bench.store.last) == (10, 14)
    assert bench.store.prune([(1, 99)], None) == 10, "what is not folded stays"
    assert known(bench.open().receiver) == known(bench.receiver)


def test_rows_of_a_key_that_is_held_no_more_are_counted_all_the_same(tmp_path):
    bench = Bench(tmp_path)
    bench.hello()
    bench.take(desk.frame(1, 1, {3: 5}), desk.frame(2, 1, {3: 5}))
    before = known(bench.receiver)
    bench.KIDS = (1,)
    bench.open().hello(bench.seq)
    bench.gathered = bench.receiver.seal(folded=True)
    bench.again()
    bench.KIDS = (1, 2)
    assert known(bench.open().receiver) == before


def test_what_a_row_says(tmp_path):
    """kind and take of the receiver, and the entries that they stand for."""
    bench = Bench(tmp_path)
    bench.hello()
    three = {1: 3700, 3: [40, 1, 1], -8: 60, -9: 1}
    bench.take(desk.frame(1, 5, three), desk.frame(1, 4, {3: 40, 19: 1}), desk.frame(1, 6, b"\x00"))
    batch, filler, odd = bench.rows()
    assert [(row.kind, row.take, row.urgent, row.readings) for row in (batch, filler, odd)] == [
        (PLAIN, 0b111, 0, 3),
        (FILLS, 0, 1, 0),
        (OPAQUE, 0, 0, 0),
    ]
    assert [fold.counts(row.kind, row.take, row.payload) for row in bench.rows()] == [(2, 1), (1, -1), (0, 0)]
    said = [(entry.piv, entry.place, entry.values) for entry in fold.entries(batch)]
    assert said == [(4, 2, {3: 40}), (5, 1, {3: 41}), (5, 0, {1: 3700, 3: 42})]
    assert fold.entries(odd) == []
    assert odd.payload == b"\x00"
    assert [row.id for row in bench.store.alarms(0, 99, 9)] == [filler.id]


@pytest.mark.parametrize("more", [{}, {24: [1, 2, 3, 4, 5]}, {6: [True, False, True]}, {-6: "1.0", 14: 3}])
@pytest.mark.parametrize("repeats", [0, 1, 2])
def test_own_entries_are_counted_without_reading_them(more, repeats):
    """Cheaper than taking the payload apart, and the same."""
    payload = cbor.dumps({3: [40, 1, 1], 1: 3700, -8: 60} | ({-9: repeats} if repeats else {}) | more)
    assert fold.direct(PLAIN, 0b111, payload) == fold.own(quick.parse(payload, 9)[1]) == 3 - repeats
    assert fold.direct(PLAIN, 1, payload) == 1


def test_the_rows_handed_on_are_those_of_the_store(tmp_path):
    """What goes upstream while the daemon lives is what it would read back."""
    bench = Bench(tmp_path)
    bench.hello()
    frames = (desk.frame(1, 1, {3: 5}), desk.frame(1, 3, {3: [1, 1], -8: 60, -9: 1}), desk.frame(2, 1, {19: 2, 14: 7}))
    taken = bench.take(*frames)
    assert taken.rows == bench.rows()
    for row, found in zip(taken.rows, taken.entries, strict=True):
        assert fold.entries(row, found) == fold.entries(row)
        assert quick.parse(row.payload, row.piv)[1] == found
    assert bench.take(desk.frame(1, 4, {3: 1}), unix_s=1.0).rows == [], "what has no date goes nowhere yet"


@pytest.mark.parametrize("hop", [False, True])
@pytest.mark.parametrize("kid", [b"\0\1", b"\0\1\2\3"])
def test_a_frame_is_made_again_byte_by_byte(tmp_path, kid, hop):
    keys = seal.derive(desk.secret(1), kid)
    bench = Bench(tmp_path)
    bench.receiver.kids[kid] = Kid(keys, "bin-9")
    bench.hello()
    frames = [seal.seal(keys, piv, cbor.dumps({3: 5}), hop=hop) for piv in (1, 255, 256, 70_000, 2**32 - 1)]
    for frame in frames:
        bench.take(frame)
    assert [fold.frame(row, keys) for row in bench.rows()] == frames
    assert fold.frame(bench.rows()[0], None) is None
    assert fold.frame(bench.rows()[0], desk.keys(2)) is None, "other keys make another frame"


def test_numbers_of_a_line_that_is_not_configured_now_are_kept(tmp_path):
    bench = Bench(tmp_path)
    bench.hello()
    bench.take(desk.frame(1, 1, {3: 5}))
    seen = bench.source.numbering.pack()
    bench.open(board="spare")
    bench.gathered = bench.receiver.seal(folded=True)
    bench.again()
    bench.open(board="bridge")
    assert bench.source.numbering.pack() == seen
    assert bench.line(link.heard(1, desk.frame(1, 1, {3: 5}), -101, 22, 0)).stored == 0
    assert bench.books[1] == {"line_resent": 1}
