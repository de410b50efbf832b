"""The house holds: imports run one way, files stay small, one file knows each library, every error name has a test."""

import re
import subprocess

import house
import pytest

OURS = [p for top in ("firmware", "gateway", "tools") for p in house.sources(top)]


def _relative(path):
    return path.relative_to(house.ROOT).as_posix()


def _room_of_module(name):
    """Which room a dotted name of ours lies in, or None for a foreign module."""
    if name in house.PURE or any(name.startswith(pure + ".") for pure in house.PURE):
        return "PURE"
    return house.room(name.replace(".", "/") + "/x") or ("firmware" if name == "firmware" else None)


@pytest.mark.parametrize("path", OURS, ids=_relative)
def test_imports_run_one_way(path):
    mine = house.room(_relative(path))
    if mine is None:
        return  # firmware/main.py and package markers
    for name in sorted(house.imports(path)):
        theirs = _room_of_module(name)
        if theirs in (None, mine, "firmware") or theirs in house.MAY_IMPORT[mine]:
            continue
        # the packages themselves are the parents of the pure modules and import nothing
        if name in ("firmware.radio", "firmware.node") and "PURE" in house.MAY_IMPORT[mine]:
            continue
        if theirs == "PURE" and name.startswith(tuple(f.replace("/", ".") + "." for f in house.MAY_IMPORT[mine] | {mine})):
            continue
        if mine == "tools" and theirs in ("tools/twin/chips", "tools/twin/world"):
            assert _relative(path).startswith("tools/twin/"), f"{_relative(path)} imports {name}"
            continue
        raise AssertionError(f"{_relative(path)} ({mine}) imports {name} ({theirs})")


def test_boards_import_nothing_they_do_not_have():
    for path in house.sources("firmware"):
        # a host-only branch sits under `try: import cryptolib / except ImportError`
        wrong = {n.split(".")[0] for n in house.imports(path)} & house.NOT_ON_BOARDS
        assert not wrong, f"{_relative(path)} imports {wrong}"


@pytest.mark.parametrize("library", house.ONE_PLACE)
def test_one_file_knows_each_library(library):
    knows = {_relative(p) for p in OURS if any(n.split(".")[0] == library for n in house.imports(p))}
    assert knows <= house.ONE_PLACE[library]


def test_files_stay_small():
    long = {_relative(p): n for p in OURS if (n := len(p.read_text().splitlines())) > house.MAX_LINES}
    assert not long


def test_every_error_name_has_a_test():
    """Names of the shared table against the `produces` marks of all tests, read from the sources."""
    from firmware.wire.host.errors import DEVICE_ERRORS, FRAME_ERRORS, HOST_ERRORS

    marked = set()
    for path in (house.ROOT / "tests").rglob("*.py"):
        for call in re.findall(r"produces\(([^)]*)\)", path.read_text()):
            marked |= set(re.findall(r"[\"']([a-z0-9_]+)[\"']", call))
    table = {*FRAME_ERRORS, *DEVICE_ERRORS.values(), *HOST_ERRORS}
    assert table - marked == set(), "error names without a test"
    assert marked - table == set(), "marks for names that are not in the table"


def test_no_index_address_in_the_locks():
    for lock in (house.ROOT / "lock").glob("*.txt"):
        text = lock.read_text()
        assert "http" not in text
        for line in re.findall(r"^[a-z][^\n]*==[^\n]*", text, re.M):
            assert line.rstrip().endswith("\\"), f"{lock.name}: {line} has no hash"


def test_launcher_is_short():
    assert len((house.ROOT / "firmware/main.py").read_text().splitlines()) <= 20


def test_setup_names_the_one_line_that_helps():
    """The check before the installation refuses an old Python by name, and passes on this one."""
    code = "import sys; sys.version_info = (3, 9, 2); from tools.machine import fault; print(fault())"
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=house.ROOT, check=True)
    assert "3.11 to 3.13 needed" in done.stdout
    from tools.machine import fault

    assert fault() == ""
