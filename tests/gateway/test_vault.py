"""The encrypted file: whatever is cut, swapped or changed in it is refused by name, and nothing wrong is ever read from it."""

import io
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import vault
from gateway.errors import HostError

FAST = (1, 1, 1)
CONTENT = random.Random(7).randbytes(5 * vault.CHUNK)
PASSPHRASE = "des mots de passe, plusieurs"
SIZES = [0, 1, 15, 16, 17, vault.CHUNK - 1, vault.CHUNK, vault.CHUNK + 1, 2 * vault.CHUNK, 3 * vault.CHUNK + 7]


def sealed(data, passphrase=PASSPHRASE, pieces=(), cost=FAST):
    out = io.BytesIO()
    writer = vault.Writer(out, passphrase, cost)
    at = 0
    for size in pieces:
        writer.write(data[at : at + size])
        at += size
    writer.write(data[at:])
    writer.finish()
    return out.getvalue()


def opened(file, passphrase=PASSPHRASE, read=io.RawIOBase.readall):
    return read(vault.Reader(io.BytesIO(file), passphrase, "backup"))


def refused(file, name="bad_backup", **how):
    with pytest.raises(HostError) as error:
        opened(file, **how)
    assert error.value.name == name
    assert error.value.where == "backup"
    return error.value


def content(size):
    return CONTENT[:size]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read_and_nothing_of_it_shows(size):
    data = content(size)
    file = sealed(data)
    assert opened(file) == data
    assert size < 16 or data[:16] not in file
    assert file != sealed(data), "a salt of its own each time"


@settings(deadline=None)
@given(st.integers(0, 200_000), st.lists(st.integers(0, 70_000), max_size=6), st.integers(1, 100_000))
def test_pieces_make_no_difference(size, pieces, step):
    data = content(size)
    file = sealed(data, pieces=pieces)

    def read(reader):
        found = bytearray()
        while piece := reader.read(step):
            found += piece
        return bytes(found)

    assert opened(file, read=read) == data


@pytest.mark.produces("bad_backup")
@pytest.mark.parametrize("size", [0, 40])
def test_each_bit_counts(size):
    file = sealed(content(size))
    for at in range(len(file)):
        for bit in range(8):
            changed = bytearray(file)
            changed[at] ^= 1 << bit
            refused(bytes(changed))


@pytest.mark.parametrize("size", [0, 40])
def test_each_length_counts(size):
    file = sealed(content(size))
    for length in range(len(file)):
        refused(file[:length])
    for more in (b"\0", b"x" * 16, file[-16:], b"\0" * (vault.CHUNK + 16)):
        refused(file + more)


@settings(deadline=None)
@given(st.data())
def test_damage_far_inside(data):
    size = data.draw(st.sampled_from(SIZES[4:]))
    file = bytearray(sealed(content(size)))
    at = data.draw(st.integers(0, len(file) - 1))
    if data.draw(st.booleans()):
        refused(bytes(file[:at]))
    else:
        file[at] ^= data.draw(st.integers(1, 255))
        refused(bytes(file))


def chunks(file):
    head = len(file) % (vault.CHUNK + 16)  # of a file of whole chunks
    return file[:head], [file[i : i + vault.CHUNK + 16] for i in range(head, len(file), vault.CHUNK + 16)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=0, max_size=5))
def test_chunks_stand_in_their_order_once_and_the_last_is_the_last(order):
    head, parts = chunks(sealed(content(4 * vault.CHUNK)))
    assert len(parts) == 4
    if order == [0, 1, 2, 3]:
        return
    refused(head + b"".join(parts[i] for i in order))


def test_chunks_of_another_file_do_not_fit():
    one, others = sealed(content(2 * vault.CHUNK)), chunks(sealed(content(2 * vault.CHUNK)))[1]
    head, parts = chunks(one)
    refused(head + parts[0] + others[1])
    refused(head + others[0] + parts[1])


@pytest.mark.produces("bad_passphrase")
def test_a_wrong_passphrase_is_not_called_damage():
    error = refused(sealed(b"x"), "bad_passphrase", passphrase="des mots de passe, plusieur")
    assert "another passphrase" in str(error)
    assert opened(sealed(b"x", "déjà vu, déjà su"), passphrase="déjà vu, déjà su") == b"x"


def test_no_file_makes_its_reader_work_or_remember_without_bound():
    file = sealed(b"x")
    for cost in ((25, 8, 1), (20, 8, 200), (24, 255, 1), (0, 8, 1), (16, 0, 1), (16, 8, 0)):
        changed = file[:8] + bytes(cost) + file[11:-4]
        head = changed[: vault._HEAD - 4]
        refused(head + zlib.crc32(head).to_bytes(4, "big") + file[vault._HEAD :])


def test_the_usual_cost_is_what_is_written():
    file = sealed(b"x", cost=vault.COST)
    assert tuple(file[8:11]) == vault.COST
    assert opened(file) == b"x"
