"""The record of commissioning: a chain of lines that many add to, that no power cut breaks and nobody changes unseen."""

import contextlib
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from gateway import record
from gateway.errors import HostError

DONE = {
    "at": 1_790_000_000, "who": "anne@atelier", "board": "bin-quai", "uid": "e6614c311b7e6a10", "result": "applied",
    "error": None, "what": None, "port": "/dev/ttyACM0", "versions": {"jourdain": "0.1.0", "micropython": "1.28.0"},
    "hashes": {"slot": "ab" * 32, "config": "cd" * 32}, "kid": "0002", "files": {"written": ["a"], "same": 3, "removed": []},
    "selftest": [{"name": "radio", "passed": True, "value": None, "unit": "", "limits": None, "error": ""}],
    "uplink": {"kid": "0002", "piv": 1, "via": "serial"}, "calibration": {"empty_mm": 1150},
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / record.FILE


def _add(path, *boards):
    for board in boards:
        record.append(path, {**DONE, "board": board})


def _boards(path):
    return [entry["board"] for entry in record.read(path)]


def _refused(path, call=record.examine):
    with pytest.raises(HostError) as caught:
        call(path)
    assert caught.value.name == "bad_record"
    assert caught.value.hint
    return caught.value


def test_entries_come_back_as_they_went_in(path):
    assert record.examine(path) == ([], record.START, 0)
    title = 'Place de l\'Église, "bout"\n\u2028\udcff'
    record.append(path, {**DONE, "what": title, "selftest": None, "files": None})
    _add(path, "b", "c")
    first, *_rest = entries = record.read(path)
    assert first == {"prev": record.START, **DONE, "what": title, "selftest": None, "files": None}
    assert [entry["board"] for entry in entries] == ["bin-quai", "b", "c"]
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["prev"] for line in lines[1:]] == [hashlib.sha256(line).hexdigest() for line in lines[:-1]]
    assert record.examine(path).head == hashlib.sha256(lines[-1]).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0


@pytest.mark.produces("bad_record")
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_changed_line_is_named(path, at):
    _add(path, "a", "b", "c", "d")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:at], lines[at].replace("anne", "marc"), *lines[at + 1 :]]))
    error = _refused(path)
    assert error.where == f"{path}:{at + 2}"  # the line after it was written after another one
    path.write_text("".join([*lines[:at], *lines[at + 1 :]]))
    assert _refused(path).where == f"{path}:{at + 1}"
    path.write_text("".join([*lines[: at + 1], lines[at], *lines[at + 1 :]]))
    assert _refused(path).where == f"{path}:{at + 2}"


def test_a_head_kept_elsewhere_tells_of_lines_that_were_cut_off(path):
    _add(path, "a", "b")
    kept = record.examine(path).head
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0])
    assert record.examine(path).head != kept


def test_a_power_cut_at_every_byte_of_a_line_loses_nothing_before_it(path):
    _add(path, "a", "b")
    whole = path.read_bytes()
    _add(path, "cut")
    line = path.read_bytes()[len(whole) :]
    for cut in (*range(1, 90), len(line) // 2, len(line) - 2, len(line) - 1):
        for left in (line[:cut], bytes(cut), bytes(cut) + line[cut:]):  # a page that was never written reads as zeros
            path.write_bytes(whole + left)
            book = record.examine(path)
            assert ([entry["board"] for entry in book.entries], book.torn_bytes) == (["a", "b"], len(left))
            _add(path, "after")
            assert _boards(path) == ["a", "b", "after"]
            aside = path.with_name(path.name + ".torn-1")
            assert aside.read_bytes() == left
            aside.unlink()


def test_a_power_cut_in_the_first_line_and_one_after_another(path):
    _add(path, "a")
    line = path.read_bytes()
    for count, left in enumerate((line[:1], line[:-1], bytes(7)), start=1):
        path.write_bytes(left)
        assert record.read(path) == []
        _add(path, "b")
        assert _boards(path) == ["b"]
        assert path.with_name(f"{path.name}.torn-{count}").read_bytes() == left


@pytest.mark.produces("bad_record")
def test_another_file_is_not_taken_for_a_record(path):
    for content in (b"sites:\n  ville: {}\n", b"x", b"[]\n", b'{"a": 1}\n'):
        path.write_bytes(content)
        assert _refused(path, lambda file: _add(file, "a")).where == f"{path}:1"
        assert _refused(path).where == f"{path}:1"
        assert path.read_bytes() == content


HOSTILE = [
    b"not json\n",
    b"\xff\xfe\n",
    b"\n",
    b"[" * 200_000 + b"\n",
    b"[1]\n",
    b'"text"\n',
    b"{}\n",
    b"{" + b'"a":' * 50_000 + b"1\n",
    b"x" * (record.MAX_LINE_BYTES + 7) + b"\n",
    b'{"prev":7,"at":1,"who":"","board":"","result":""}\n',
    b'{"prev":"%s","at":"soon","who":"","board":"","result":""}\n' % record.START.encode(),
    b'{"prev":"%s","at":NaN,"who":"","board":"","result":""}\n' % record.START.encode(),
    b'{"prev":"%s","at":1,"who":"","board":"","result":"","files":{"same":NaN}}\n' % record.START.encode(),
    b'{"prev":"%s","at":1,"who":"","board":"","result":"","files":%s1%s}\n'
    % (record.START.encode(), b'{"a":' * 9, b"}" * 9),
    b'{"prev":"%s","at":1e300,"who":"","board":"","result":""}\n' % record.START.encode(),
    b'{"prev":"%s","at":true,"who":"","board":"","result":""}\n' % record.START.encode(),
    b'{"prev":"%s","at":1,"who":[],"board":"","result":""}\n' % record.START.encode(),
    b'{"prev":"%s","at":1,"who":"","board":"","result":"","selftest":{}}\n' % record.START.encode(),
    b'{"prev":"%s","at":%s,"who":"","board":"","result":""}\n' % (record.START.encode(), b"9" * 5000),
]


@pytest.mark.produces("bad_record")
@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:30].decode("latin-1"))
def test_a_hostile_line_is_named_and_the_record_goes_on(path, line):
    _add(path, "a")
    before = path.read_bytes()
    path.write_bytes(before + line + before)
    assert _refused(path).where == f"{path}:2"
    _add(path, "after")  # what is old and broken does not keep a board from its record
    assert path.read_bytes().startswith(before + line + before)
    # As the last line it is what a power cut may have left; whole, but written after another one, it is kept and named.
    path.write_bytes(before + line)
    _add(path, "b")
    if path.read_bytes().startswith(before + line):
        assert _refused(path).where == f"{path}:2"
    else:
        assert _boards(path) == ["a", "b"]
        assert path.with_name(path.name + ".torn-1").read_bytes() == line


def test_any_bytes_at_all(path):
    dice = random.Random(7)
    for _ in range(150):
        _add(path, "a", "b")
        content = bytearray(path.read_bytes())
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(content))
            content[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
        path.write_bytes(content)
        for call in (record.examine, lambda file: _add(file, "c")):
            with contextlib.suppress(HostError):
                call(path)
        for file in path.parent.iterdir():
            file.unlink()


@pytest.mark.parametrize("key", ["secret", "Secret_hex", "key", "app_key", "k_up", "passphrase", "password", "private_half",
                                 "common_iv", "owner_token"])  # fmt: skip
@pytest.mark.produces("bad_record")
def test_no_secret_gets_in(path, key):
    for entry in ({key: "x"}, {"versions": {key: "x"}}, {"selftest": [{"name": {key: 1}}]}):
        error = _refused(path, lambda file, entry=entry: record.append(file, {**DONE, **entry}))
        assert key in error.what
    assert not path.exists()


def test_what_looks_like_a_secret_is_withheld_and_hashes_are_not(path):
    secret = os.urandom(16).hex()
    record.append(path, {**DONE, "what": f"refused: {secret.upper()}!", "selftest": [{"name": secret, "value": (1, 2)}]})
    assert secret not in path.read_text().lower()
    (entry,) = record.read(path)
    assert entry["what"] == f"refused: {record.WITHHELD}!"
    assert entry["selftest"] == [{"name": record.WITHHELD, "value": [1, 2]}]
    assert entry["hashes"] == DONE["hashes"]
    assert entry["uid"] == DONE["uid"]


@pytest.mark.produces("bad_record")
@pytest.mark.parametrize("wrong", [{"result": "fine"}, {"at": "today"}, {"at": float("nan")}, {"who": None}, {"what": b"x"},
                                   {"versions": {"a": object()}}, {"what": "x" * record.MAX_LINE_BYTES}, {"uplink": {1: 2}},
                                   {"calibration": {"a": float("inf")}}])  # fmt: skip
def test_an_entry_that_is_none_is_refused(path, wrong):
    _add(path, "a")
    _refused(path, lambda file: record.append(file, {**DONE, **wrong}))
    _refused(path, lambda file: record.append(file, {key: DONE[key] for key in ("at", "who", "board")}))
    assert _boards(path) == ["a"]


@pytest.mark.produces("disk_error")
def test_a_place_that_is_none(tmp_path):
    for path in (tmp_path / "no" / "such", tmp_path):
        with pytest.raises(HostError) as caught:
            record.append(path, DONE)
        assert caught.value.name == "disk_error"
    with pytest.raises(HostError, match="disk_error"):
        record.read(tmp_path)


@pytest.mark.produces("disk_full")
def test_a_full_disk_leaves_the_record_as_it_was(path):
    """The system itself ends a file at its limit, in the middle of a line."""
    _add(path, "a", "b")
    before = path.read_bytes()
    code = (
        "import resource, signal, sys; from pathlib import Path; from gateway import record; import json\n"
        "from gateway.errors import HostError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, {len(before) + 100}))\n"
        "try: record.append(Path(sys.argv[1]), json.loads(sys.argv[2]))\n"
        "except HostError as error: print(error.name)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(path), json.dumps(DONE)], capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    assert done.stdout == "disk_full\n"
    assert path.read_bytes() == before


WRITER = """
import json, sys
from pathlib import Path
from gateway import record
entry = json.loads(sys.argv[2])
n = 0
while True:
    record.append(Path(sys.argv[1]), {**entry, "who": sys.argv[3], "kid": f"{n:04x}"})
    print(n, flush=True)
    n += 1
"""


def _writer(path, name):
    words = [sys.executable, "-P", "-c", WRITER, str(path), json.dumps({**DONE, "what": "x" * 9000}), name]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_processes_append_at_once_and_some_are_killed(path):
    """Whatever a process was told to be kept is there, once, in its order, and the chain holds: three rounds of four, killed."""
    told = {}
    for turn in range(3):
        writers = {f"{turn}-{n}": _writer(path, f"{turn}-{n}") for n in range(4)}
        until = time.monotonic() + 30
        while path.stat().st_size < 200_000 * (turn + 1) if path.exists() else True:
            assert time.monotonic() < until
            time.sleep(0.01)
        for process in writers.values():
            process.send_signal(signal.SIGKILL)
        for name, process in writers.items():
            told[name] = [int(word) for word in process.communicate(timeout=30)[0].split()]
    _add(path, "last")
    entries = record.read(path)
    for name, numbers in told.items():
        kept = [int(entry["kid"], 16) for entry in entries if entry["who"] == name]
        assert kept == list(range(len(kept)))
        # The one after those it told of may have been kept as well; it was killed before it could say so.
        assert len(numbers) <= len(kept) <= len(numbers) + 1, name
    assert sum(map(len, told.values())) > 12
    assert entries[-1]["board"] == "last"


def test_threads_append_at_once(path):
    threads = [threading.Thread(target=_add, args=(path, *[f"{n}"] * 8)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    boards = _boards(path)
    assert {board: boards.count(board) for board in boards} == {f"{n}": 8 for n in range(6)}
