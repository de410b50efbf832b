"""One value of boards.yaml changed and not a byte besides: comments, order and line ends stay the person's own.

The place is found in the syntax tree, the text is changed there, and the changed text must load as the same fleet but for
that value, or nothing is written.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gateway.errors import HostError
from gateway.inventory import Board, Inventory, InventoryError, load, loads
from tools import files
from tools.fleet import find_board
from tools.i18n import _

_BOM = "\ufeff".encode()
_LINE_END = re.compile(r"\r\n|\r|\n")
_BEFORE_UID = ("gateway", "link", "service", "role", "type")  # `uid` stands after the first of these that the entry has


class _Change(NamedTuple):
    """What stands from `start` to `end` of a text gives way to `text`."""

    start: int
    end: int
    text: str


class _Wish(NamedTuple):
    """What a board shall become: where its entry is to be changed, what then loads, and the line for a person to write."""

    find: Callable[[str, MappingNode], _Change]
    wanted: Callable[[Board], Board]
    by_hand: str


class _OddError(Exception):
    """An entry whose form leaves a doubt about where the value belongs."""


def set_uid(path: Path, board: str, uid: str) -> None:
    """Give a board of boards.yaml this unique id: its `uid` changed, or a line added. Nothing where it has that one already.

    Raises HostError: bad_inventory (the file is wrong, or would be; an entry in a form that cannot be changed safely),
    unknown_board, disk_full, disk_error. Nothing is written then.
    """
    _write(path, {board: _Wish(lambda text, entry: _uid(text, entry, uid),
                               lambda before: replace(before, uid=uid.lower()), f'uid: "{uid}"')})  # fmt: skip


def add_kid(path: Path, board: str, kid: str) -> None:
    """Put a key id at the end of a board's `kids`. Nothing where it is the last one already. Raises as `set_uid`."""
    add_kids(path, {board: kid})


def add_kids(path: Path, kids: Mapping[str, str]) -> None:
    """As `add_kid` for each {board: key id}, a line a board, all of them at once or none. Raises as `set_uid`."""
    _write(path, {board: _added(kid) for board, kid in kids.items()})


def _added(kid: str) -> _Wish:
    def wanted(before: Board) -> Board:
        return before if before.kid == kid else replace(before, kids=(*before.kids, kid))

    return _Wish(lambda text, entry: _kid(text, entry, kid), wanted, f'kids: [..., "{kid}"]')


def _write(path: Path, wishes: Mapping[str, _Wish]) -> None:
    with files.locked(path, "bad_inventory"):
        before = load(path)
        wanted = {name: wish.wanted(find_board(before, name)) for name, wish in wishes.items()}
        wanted = {name: board for name, board in wanted.items() if board != before.boards[name]}
        if not wanted:
            return
        raw = path.read_bytes()
        mark = _BOM if raw.startswith(_BOM) else b""
        text = raw.removeprefix(_BOM).decode()
        top = YAML(typ="safe", pure=True).compose(text)  # the text was loaded before, so it is sound and not too deep
        changes = [_found(before, top, text, name, wishes[name]) for name in wanted]
        for change in sorted(changes, reverse=True):  # from the end on, so that the places before it stay right
            text = text[: change.start] + change.text + text[change.end :]
        _judge(before, wanted, wishes, text)
        if path.read_bytes() != raw:
            what = _("another program has changed the file just now")
            raise HostError("bad_inventory", what, str(path), _("run the command again"))
        files.replace(path, mark + text.encode(), "disk_error", path.stat())


def _found(inv: Inventory, top: Node, text: str, name: str, wish: _Wish) -> _Change:
    try:
        change = wish.find(text, _entry(top, name))
        if _LINE_END.search(text, change.start, change.end):
            raise _OddError
        return change
    except _OddError:
        raise _odd(inv, name, wish) from None


def _judge(before: Inventory, wanted: Mapping[str, Board], wishes: Mapping[str, _Wish], text: str) -> None:
    """Does the text load as the fleet before it with these boards in the place of theirs, and as nothing else?"""
    name = next(iter(wanted))
    try:
        after = loads(text, before.path.name)
    except InventoryError as error:
        what = _("the file would be wrong: {fault}").format(fault=error.faults[0].what)
        raise HostError("bad_inventory", what, before.where(name), _("nothing was written; is it the right board?")) from None
    same = replace(before, path=after.path, lines=after.lines, boards={**before.boards, **wanted})
    if after != same:
        odd = [name for name in after.boards if after.boards[name] != same.boards.get(name)]
        name = next((one for one in odd if one in wanted), name)
        raise _odd(before, name, wishes[name])


def _odd(inv: Inventory, name: str, wish: _Wish) -> HostError:
    what = _("the entry of {board} has a form that cannot be changed without a doubt").format(board=name)
    return HostError("bad_inventory", what, inv.where(name), _("change it by hand: {line}").format(line=wish.by_hand))


def _entry(top: Node, name: str) -> MappingNode:
    entry = _pair(_pair(top, "boards")[1], name)[1]
    if not isinstance(entry, MappingNode):
        raise _OddError
    return entry


def _pair(node: Node, name: str) -> tuple[Node, Node]:
    found = next(((key, value) for key, value in node.value if key.value == name), None)
    if found is None:
        raise _OddError
    return found


def _uid(text: str, entry: MappingNode, uid: str) -> _Change:
    keys = [key.value for key, _value in entry.value]
    if "uid" in keys:
        return _new_value(text, *_pair(entry, "uid"), f'"{uid}"')
    key, value = _pair(entry, next(name for name in _BEFORE_UID if name in keys))
    end = _after_colon(text, key) if _is_empty(value) else value.end_mark.index
    if entry.flow_style:
        quote = '"' if text.startswith('"', key.start_mark.index) else ""  # a file in JSON stays one
        return _Change(end, end, f', {quote}uid{quote}: "{uid}"')
    return _new_line(text, end, " " * key.start_mark.column + f'uid: "{uid}"')


def _kid(text: str, entry: MappingNode, kid: str) -> _Change:
    kids = _pair(entry, "kids")[1]
    if not isinstance(kids, SequenceNode) or not kids.value:
        raise _OddError
    last = kids.value[-1]
    end = last.end_mark.index
    if kids.flow_style:
        return _Change(end, end, f', "{kid}"')
    dash = text[kids.start_mark.index : kids.value[0].start_mark.index]
    if dash.strip() != "-" or _LINE_END.search(dash):
        raise _OddError
    return _new_line(text, end, " " * kids.start_mark.column + f'{dash}"{kid}"')


def _new_value(text: str, key: Node, value: Node, said: str) -> _Change:
    if not isinstance(value, ScalarNode):
        raise _OddError
    if _is_empty(value):
        end = _after_colon(text, key)
        return _Change(end, end, f" {said}")
    return _Change(value.start_mark.index, value.end_mark.index, said)


def _is_empty(value: Node) -> bool:
    """`key:` and nothing: its mark is then somewhere behind the comments that follow."""
    return bool(value.start_mark.index == value.end_mark.index)


def _after_colon(text: str, key: Node) -> int:
    colon = re.compile(r"[ \t]*:").match(text, key.end_mark.index)
    if colon is None:
        raise _OddError
    return colon.end()


def _new_line(text: str, after: int, line: str) -> _Change:
    """A line behind the one that holds the position `after`, or begins there when a value ended with the line before."""
    if after and text[after - 1] in "\r\n":
        first = _LINE_END.search(text)
        return _Change(after, after, line + (first.group() if first else "\n"))
    ending = _LINE_END.search(text, after)
    if ending:
        return _Change(ending.end(), ending.end(), line + ending.group())
    first = _LINE_END.search(text)
    return _Change(len(text), len(text), (first.group() if first else "\n") + line)
