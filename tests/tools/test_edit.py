"""One value of boards.yaml is changed and not a byte besides, in whatever form a person wrote the file; or nothing is."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import HostError
from gateway.inventory import load
from tools import edit

ROOT = Path(__file__).parents[2]
UID, OTHER = "e6614c311b7e6aff", "e6614c311b7e6a01"
HEAD = """\
# a fleet
sites: {ville: {plan: town}}
plans:
  town: {freq_hz: 868100000, sf: 9}
gateways:
  quai: {site: ville, position: [48.6, -2.8]}
"""
USUAL = {"position": "[48.601, -2.801]", "sensors": "{field: rm3100}", "link": "serial", "gateway": "quai",
         "service": "parking", "type": "pico"}  # fmt: skip
_KIDS = ('["0007", "0001"]', '["0001",]', '["0001"]  # two to come', '[ "0001" ]', "['0001']",
         '[\n      "0007", # first\n      "0001" # so far\n    ]')  # fmt: skip
_BLOCK_KIDS = ('\n    - "0007"\n    - "0001"', "\n      -   '0001' # in force", '\n    # the keys\n    - "0001"\n    # no more')
_UIDS = (f'"{OTHER}"', f"'{OTHER}' # the old one", "e6614c311b7e6a01", "", " # not known yet", "~", "null  # none")
_COMMENTS = ("", "", "", "   # a comment: with [signs] {in} it", " # é")
_TITLES = ('"a: b # c"', "the quay", "'it''s, [so]'", "|\n      in the\n      street", ">-\n      folded\n\n      text")
_BETWEEN = ("", "", "", "\n", "    # uid: \"no\"\n", "# at the margin\n\n")


def _board(draw, name, kid, uid):
    """An entry as people write them: order, comments, quotes and blank lines as they like."""
    choose = lambda options: draw(st.sampled_from(options))  # noqa: E731
    braces = choose([True, False, False])
    kids = choose(_KIDS[:2] if braces else [*_KIDS, *_BLOCK_KIDS])
    values = dict(USUAL, kids=kids.replace("0001", kid).replace("0007", f"{kid}0007"))
    values["type"] = choose(['"pico"', "'pico'", "pico"])
    if choose([True, False]):
        values["title"] = choose(_TITLES[:1] if braces else _TITLES)
    if uid is not None:
        values["uid"] = f'"{OTHER}"' if braces else uid
    values = dict(draw(st.permutations(sorted(values.items()))))
    if braces:
        pairs = [f"{key}: {value}" for key, value in values.items()]
        return f"  {name}: {{" + choose([", ", " , ", ",\n    "]).join(pairs) + choose(["", ","]) + "}" + choose(_COMMENTS) + "\n"
    lines = [f"  {name}:{choose(_COMMENTS)}\n"]
    for key, value in values.items():
        comment = choose(_COMMENTS) if "\n" not in value and "#" not in value else ""
        lines.append(choose(_BETWEEN) + f"    {key}:{'' if value[:1] in ('', ' ', chr(10)) else ' '}{value}{comment}\n")
    return "".join(lines)


@st.composite
def fleets(draw):
    """(bytes of a boards.yaml, whose board bin-2 may have a uid)."""
    uid = draw(st.sampled_from([None, None, *_UIDS]))
    text = HEAD + "boards:\n" + _board(draw, "bin-1", "0001", None) + _board(draw, "bin-2", "0002", uid)
    if draw(st.booleans()):
        text += _board(draw, "bin-3", "0003", None)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    ending = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.replace("\n", ending).encode()


def _one_line_differs(before, after):
    """Exactly one line was added or changed; a file without a last line end stays without one."""
    assert before.endswith(b"\n") == after.endswith(b"\n")
    old, new = before.splitlines(), after.splitlines()  # the ends are looked at below
    assert after.count(b"\r") - before.count(b"\r") == (len(new) - len(old) if b"\r" in before else 0)
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    assert new[same + 1 :] == old[same + (len(new) == len(old)) :]
    assert len(new) - len(old) in (0, 1)
    assert new != old


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fleet")


@given(raw=fleets(), what=st.sampled_from(["uid", "kid"]))
@examples(40)
def test_one_line_changes_and_the_fleet_in_that_alone(folder, raw, what):
    path = folder / "boards.yaml"
    path.write_bytes(raw)
    before = load(path)
    board = before.boards["bin-2"]
    if what == "uid":
        edit.set_uid(path, "bin-2", UID)
        wanted = replace(board, uid=UID)
    else:
        edit.add_kid(path, "bin-2", "0031")
        wanted = replace(board, kids=(*board.kids, "0031"))
    after = load(path)
    assert after.boards == {**before.boards, "bin-2": wanted}
    assert (after.sites, after.plans, after.gateways) == (before.sites, before.plans, before.gateways)
    changed = path.read_bytes()
    _one_line_differs(raw, changed)
    assert f'"{UID if what == "uid" else "0031"}"'.encode() in changed
    (edit.set_uid if what == "uid" else edit.add_kid)(path, "bin-2", UID if what == "uid" else "0031")
    assert path.read_bytes() == changed, "once more changes nothing"
    assert os.listdir(folder) == ["boards.yaml"]


def test_every_board_of_the_town_at_once_or_none(tmp_path):
    path = tmp_path / "boards.yaml"
    path.write_bytes((ROOT / "boards.yaml").read_bytes())
    before = path.read_text().splitlines()
    town = load(path)
    kids = {board.name: f"00f{number:x}" for number, board in enumerate(town.nodes)}
    edit.add_kids(path, kids)
    after = path.read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [(f'    kids: ["{board.kid}"]', f'    kids: ["{board.kid}", "{kids[board.name]}"]') for board in town.nodes]
    _refused(path, "00f0 is already used", lambda path: edit.add_kids(path, {"bin-quai": "0031", "bin-gare": "00f0"}))


REST = "position: [48.6, -2.8]\n    sensors: {field: rm3100}\n    link: serial\n    gateway: quai\n"
FLOW = "position: [48.6, -2.8], sensors: {field: rm3100}, link: serial, gateway: quai}"


def _small(tmp_path, entry=""):
    path = tmp_path / "boards.yaml"
    first = f'    type: pico\n    service: parking  # ours\n    kids: ["0001"]\n    uid: "{OTHER}"\n    {REST}'
    second = entry or '{type: pico, service: parking, kids: ["0002"], ' + FLOW
    path.write_text(f"{HEAD}boards:\n  bin-1:\n{first}  bin-2: {second}\n")
    return path


def test_where_a_new_uid_stands(tmp_path):
    path = _small(tmp_path)
    edit.set_uid(path, "bin-2", UID.upper())
    assert f'link: serial, gateway: quai, uid: "{UID.upper()}"}}' in path.read_text()
    text = path.read_text().replace(f'    uid: "{OTHER}"\n', "")
    path.write_text(text)
    edit.set_uid(path, "bin-1", OTHER)
    assert f'    gateway: quai\n    uid: "{OTHER}"\n  bin-2:' in path.read_text()


def test_a_new_uid_behind_a_key_without_a_value(tmp_path):
    path = tmp_path / "boards.yaml"
    text = (ROOT / "boards.yaml").read_text()
    line = '    uid: "e6614c311b7e6a10"\n'
    assert line in text
    path.write_text(text.replace(line, "    gateway:  # none\n\n    # more\n"))
    edit.set_uid(path, "bin-quai", UID)
    assert f'    gateway:  # none\n    uid: "{UID}"\n\n    # more\n    kids: ["0002"]\n' in path.read_text()


def test_a_file_in_json_stays_json(tmp_path):
    path = tmp_path / "boards.yaml"
    entry = {"type": "pico", "service": "parking", "kids": ["0001"], "position": [48.6, -2.8], "sensors": {"field": "rm3100"}}
    fleet = {"sites": {"ville": {}}, "gateways": {"quai": {"position": [48.6, -2.8]}},
             "boards": {"bin-1": {**entry, "link": "serial", "gateway": "quai"}}}  # fmt: skip
    for indent in (None, 2):
        path.write_text(json.dumps(fleet, indent=indent))
        edit.set_uid(path, "bin-1", UID)
        edit.add_kid(path, "bin-1", "0031")
        found = json.loads(path.read_text())["boards"]["bin-1"]
        assert (found["uid"], found["kids"]) == (UID, ["0001", "0031"])


@pytest.mark.produces("bad_inventory", "unknown_board")
@pytest.mark.parametrize(
    ("board", "uid", "kid", "what"),
    [
        ("bin-1", "xx", None, "would be wrong: .*hexadecimal"),
        ("bin-1", "3c71bf4a1c20", None, "would be wrong: .*a pico has"),
        ("bin-2", OTHER, None, "already that of bin-1"),
        ("bin-2", None, "0001", "already used by bin-1"),
        ("bin-3", UID, None, "no board 'bin-3'"),
    ],
)
def test_what_would_be_wrong_is_not_written(tmp_path, board, uid, kid, what):
    _refused(_small(tmp_path), what, lambda path: edit.set_uid(path, board, uid) if uid else edit.add_kid(path, board, kid))


@pytest.mark.parametrize(
    "entry",
    [
        '{uid, type: pico, kids: ["0002"], service: parking, ' + FLOW,
        f'\n    uid: >-\n      {OTHER[:-1]}2\n    type: pico\n    kids: ["0002"]\n    service: parking\n    {REST}',
    ],
)
def test_an_odd_form_is_left_to_the_person(tmp_path, entry):
    _refused(_small(tmp_path, entry), "without a doubt", lambda path: edit.set_uid(path, "bin-2", UID))


def test_a_change_in_the_wrong_place_is_found_out(tmp_path, monkeypatch):
    """The changed text is loaded and compared: a fault of ours in finding the place leaves the file alone."""
    path = _small(tmp_path)
    for wrong in ('["0001"]', "rm3100", "# ours", "town}"):  # another board's, another key's, a comment's, the fleet's
        at = path.read_text().index(wrong)
        monkeypatch.setattr(edit, "_kid", lambda *_how, at=at: edit._Change(at, at + 1, '["0002", "0031"] #'))
        with pytest.raises(HostError, match="bad_inventory"):
            edit.add_kid(path, "bin-2", "0031")
    monkeypatch.setattr(edit, "_kid", lambda text, *_how: edit._Change(text.index("spare"), text.index("spare"), "no "))
    path.write_text(path.read_text().replace("# ours", "# ours, spare"))
    _refused(path, "without a doubt", lambda path: edit.add_kid(path, "bin-2", "0031"))


def _refused(path, what, change):
    before = path.read_bytes()
    with pytest.raises(HostError, match=what) as caught:
        change(path)
    assert caught.value.name == ("unknown_board" if "no board" in what else "bad_inventory")
    assert caught.value.where
    assert caught.value.hint
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["boards.yaml"]


def test_mode_and_link_stay(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    path = _small(real)
    path.chmod(0o640)
    link = tmp_path / "boards.yaml"
    link.symlink_to(path)
    edit.set_uid(link, "bin-2", UID)
    assert link.is_symlink()
    assert load(path).boards["bin-2"].uid == UID
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_several_processes_at_once_lose_nothing(tmp_path):
    path = _small(tmp_path)
    code = "import sys; from pathlib import Path; from tools import edit; edit.add_kid(Path(sys.argv[1]), 'bin-2', sys.argv[2])"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    kids = ["0031", "0032", "0033"]
    running = [subprocess.Popen([sys.executable, "-P", "-c", code, str(path), kid], env=env) for kid in kids]
    assert [process.wait(120) for process in running] == [0] * 3
    assert sorted(load(path).boards["bin-2"].kids) == ["0002", *kids]
